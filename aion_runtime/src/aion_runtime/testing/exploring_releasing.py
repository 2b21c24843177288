"""Releasing: what of a script is to be handed to an engine next, and how that is done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias, assert_never

import trio

from aion_core.authoring.workflows import Workflow
from aion_core.errors import (
    AionError,
    EngineStoppedError,
    UpdateFailedError,
    WorkflowFailedError,
)
from aion_core.ids import RunId, WorkflowId, validated_workflow_id
from aion_core.machine.arrivals import StartRequest
from aion_runtime.engine import Engine
from aion_runtime.testing import script as s
from aion_runtime.testing.exploring_ledger import AttemptKey, Ledger
from aion_runtime.testing.exploring_scene import Scene
from aion_runtime.testing.exploring_world import World
from aion_runtime.testing.virtual_clock import VirtualClock

__all__ = ["Place", "Releaser"]

Place: TypeAlias = tuple[int, int]
"""Which item of the script, and which arrival of it; the start comes before the first."""

Told: TypeAlias = tuple[str, object]
"""What somebody was told: a value, or the type and the text of an error."""

_LAST = datetime.max.replace(tzinfo=UTC)
_START: Place = (-1, 0)
_VALUE = "value"
_TAKEN: Told = ("taken", None)
_SEED = 1
"""Of the first run. Fixed, so that all ids and all that is drawn are the same in every run."""


class Releaser:
    """Hands a script over, item by item, to one engine after the other.

    An item is released when the engine is at rest after the former. An engine that comes after a
    crash is given again what is not durable of the items that were released before.

    Args:
        skips: what does not fit when its turn has come is left out. Else it is an error.

    Attributes:
        script: the bursts, without what was left out.
    """

    def __init__(
        self,
        scene: Scene,
        ledger: Ledger,
        world: World,
        script: Sequence[tuple[s.Arrival, ...]],
        *,
        skips: bool,
    ) -> None:
        self._scene = scene
        self._ledger = ledger
        self._world = world
        self._skips = skips
        self._next = -1
        self._again: list[int] = []
        self._targets: dict[Place, AttemptKey | datetime] = {}
        self._told: dict[Place, Told] = {}
        self.script = list(script)

    def begin_life(self, engine: Engine, nursery: trio.Nursery) -> None:
        """Another engine takes over.

        Args:
            nursery: where calls of the engine wait for their answers.
        """
        self._engine = engine
        self._nursery = nursery
        self._again = list(range(-1, self._next))

    def next_burst(self, now: datetime) -> Sequence[Place] | None:
        """What is to be released next, all at once; None at the end.

        Raises:
            ScriptError: it does not fit.
        """
        while self._again:
            burst = self._undone(self._again.pop(0), now)
            if burst:
                return burst
        while self._next < len(self.script):
            item, self._next = self._next, self._next + 1
            if item < 0:
                return [_START]
            self._fit(item, now)
            if self.script[item]:
                return [(item, index) for index in range(len(self.script[item]))]
        return None

    def release(self, place: Place, clock: VirtualClock) -> None:
        """Hand one arrival over, and do not wait for what follows."""
        if place == _START:
            self._call(place, self._start)
            return
        arrival = self._arrival(place)
        match arrival:
            case s.Outcome():
                key = self._targets[place]
                assert isinstance(key, AttemptKey)
                if not self._world.is_under_way(key):
                    raise s.ScriptError(f"{arrival}: {key} is open, but nobody makes it")
                self._world.answer(key, arrival.value)
            case s.Fire():
                instant = self._targets[place]
                assert isinstance(instant, datetime)
                clock.jump(max(0.0, (instant - clock.now()).total_seconds()))
            case _:
                self._call(place, partial(self._send, place, arrival))

    async def result(self, engine: Engine) -> Told | None:
        """What the explored workflow returned, or how it failed; None while it is open."""
        workflow_id = self._scene.workflow_id
        if workflow_id not in self._ledger.states or self._ledger.is_open(workflow_id):
            return None
        try:
            return _VALUE, await engine.get(workflow_id).result()
        except WorkflowFailedError as error:
            return error.failure.type, error.failure.message

    async def answers(self, engine: Engine) -> Mapping[Place, Told]:
        """What senders were told. Those whose engine was killed before ask the last one again."""
        told = {place: each for place, each in self._told.items() if place != _START}
        for item, burst in enumerate(self.script):
            for index, arrival in enumerate(burst):
                place = (item, index)
                if isinstance(arrival, s.SendUpdate) and self._is_answered(place, arrival.to):
                    told[place] = await self._told_by(partial(self._send, place, arrival))
                elif place not in told and self._is_durable(place, _LAST):
                    told[place] = _TAKEN
        return told

    def _undone(self, item: int, now: datetime) -> list[Place]:
        """What of an item that has been released is to be released again after a crash."""
        places = (
            [_START] if item < 0 else [(item, index) for index in range(len(self.script[item]))]
        )
        return [place for place in places if self._is_undone(place, now)]

    def _is_undone(self, place: Place, now: datetime) -> bool:
        if place in self._told:
            return False
        # Who sent by a name of his own and was not answered sends again.
        sends_again = place == _START or isinstance(
            self._arrival(place), s.SendSignal | s.SendUpdate | s.Start
        )
        return sends_again or not self._is_durable(place, now)

    def _is_durable(self, place: Place, now: datetime) -> bool:
        if place == _START:
            return self._scene.workflow_id in self._ledger.states
        arrival = self._arrival(place)
        match arrival:
            case s.Outcome():
                key = self._targets[place]
                assert isinstance(key, AttemptKey)
                return self._ledger.row_of(key) is None
            case s.Fire():
                instant = self._targets[place]
                assert isinstance(instant, datetime)
                return now >= instant and not self._ledger.has_timer_due(instant)
            case s.SendSignal() | s.SendUpdate():
                return self._is_taken(place, arrival.to)
            case s.Cancel():
                return self._ledger.is_asked_to_stop(self._target(arrival.to))
            case s.Terminate():
                return not self._ledger.is_open(self._target(arrival.to))
            case s.Start():
                return WorkflowId(arrival.workflow_id) in self._ledger.states
            case s.Ask():
                return False
            case _:
                assert_never(arrival)

    def _arrival(self, place: Place) -> s.Arrival:
        return self.script[place[0]][place[1]]

    def _is_taken(self, place: Place, to: str | None) -> bool:
        return self._ledger.has_taken(self._target(to), _id_of(place))

    def _is_answered(self, place: Place, to: str | None) -> bool:
        return self._ledger.has_answered(self._target(to), _id_of(place))

    def _fit(self, item: int, now: datetime) -> None:
        """Decide what the arrivals of an item are meant for, once and for all runs to come."""
        fitting: list[s.Arrival] = []
        taken: set[AttemptKey] = set()
        for arrival in self.script[item]:
            place = (item, len(fitting))
            reason = self._unfit(place, arrival, now, taken)
            if reason is None:
                fitting.append(arrival)
            elif not self._skips:
                raise s.ScriptError(f"item {item} of the script, {arrival}, does not fit: {reason}")
        self.script[item] = tuple(fitting)

    def _unfit(
        self, place: Place, arrival: s.Arrival, now: datetime, taken: set[AttemptKey]
    ) -> str | None:
        match arrival:
            case s.Outcome():
                keys = [key for key in self._world.open_for(arrival) if key not in taken]
                if arrival.nth >= len(keys):
                    open_now = ", ".join(self._world.open_activities()) or "none"
                    return f"{len(keys)} of its attempts are open (activities open: {open_now})"
                self._targets[place] = keys[arrival.nth]
                taken.add(keys[arrival.nth])
            case s.Fire():
                instant = self._ledger.next_due(now, arrival.timer)
                if instant is None:
                    return "nothing is going to fire"
                self._targets[place] = instant
            case s.Start():
                if self._skips and WorkflowId(arrival.workflow_id) in self._ledger.states:
                    return "it has been started"
            case s.Ask():
                if self._target(arrival.to) not in self._ledger.states:
                    return "there is no such workflow"
            case s.SendSignal() | s.SendUpdate() | s.Cancel() | s.Terminate():
                if self._skips and not self._ledger.is_open(self._target(arrival.to)):
                    return "the workflow is not open"
            case _:
                assert_never(arrival)
        return None

    def _call(self, place: Place, call: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async def wait() -> None:
            # One whose engine is killed, or stops, is told nothing.
            with contextlib.suppress(EngineStoppedError):
                self._take_answer(place, await self._told_by(call))

        self._nursery.start_soon(wait)

    async def _told_by(self, call: Callable[[], Coroutine[Any, Any, object]]) -> Told:
        try:
            return _VALUE, await call()
        except EngineStoppedError:
            raise
        except UpdateFailedError as error:
            return error.failure.type, error.failure.message
        except AionError as error:
            return type(error).__name__, str(error)

    def _take_answer(self, place: Place, told: Told) -> None:
        """Somebody was told something. What counts as taken has to be durable by then."""
        arrival = None if place == _START else self._arrival(place)
        if told[0] == _VALUE and not isinstance(arrival, s.Ask):
            if not self._is_durable(place, _LAST):
                self._ledger.violations.append(
                    f"the sender of {arrival or 'the start'} was told that it was taken before "
                    "that was durable"
                )
            if not isinstance(arrival, s.SendUpdate):
                told = _TAKEN
        self._told[place] = told

    async def _start(self) -> None:
        scene = self._scene
        await self._start_of(
            scene.workflow_id, scene.workflow, scene.args, scene.keywords, scene.delay
        )

    async def _start_of(
        self,
        workflow_id: WorkflowId,
        workflow: Workflow[..., Any],
        args: tuple[object, ...],
        keywords: Mapping[str, object],
        delay: float | None = None,
    ) -> None:
        """As `Engine.start`, but for the draws."""
        converter = self._engine._converter
        now = self._engine._clock.now()
        request = StartRequest(
            workflow_type=workflow.name,
            input=workflow.signature.encode_arguments(args, keywords, converter),
            run_id=RunId(f"first of {workflow_id}"),
            package_version=None,
            random_seed=_SEED,
            not_before=None if delay is None else now + timedelta(seconds=delay),
        )
        await self._engine._send(workflow_id, request)

    async def _send(self, place: Place, arrival: s.Arrival) -> object:
        engine = self._engine
        match arrival:
            case s.SendSignal():
                handle = engine.get(self._target(arrival.to))
                await handle.signal(arrival.signal, arrival.value, signal_id=_id_of(place))
            case s.SendUpdate():
                handle = engine.get(self._target(arrival.to))
                return await handle.update(arrival.update, arrival.arg, update_id=_id_of(place))
            case s.Ask():
                return await engine.get(self._target(arrival.to)).query(arrival.query)
            case s.Cancel():
                await engine.get(self._target(arrival.to)).cancel(arrival.reason)
            case s.Terminate():
                await engine.get(self._target(arrival.to)).terminate(arrival.reason)
            case s.Start():
                workflow_id = validated_workflow_id(arrival.workflow_id)
                await self._start_of(workflow_id, arrival.workflow, arrival.args, {})
            case s.Outcome() | s.Fire():
                raise AssertionError(f"{arrival} is not sent")
            case _:
                assert_never(arrival)
        return None

    def _target(self, to: str | None) -> WorkflowId:
        return self._scene.workflow_id if to is None else validated_workflow_id(to)


def _id_of(place: Place) -> str:
    """The sender's name for what is sent, the same after a crash."""
    return f"item {place[0]}.{place[1]}"
