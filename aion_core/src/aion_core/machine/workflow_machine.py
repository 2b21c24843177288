"""The workflow machine: one activation per arrival, from an arrival to the commands it caused."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import HistoryShapeError, NonDeterminismError
from aion_core.failures import failure_from
from aion_core.ids import ROOT_PATH, RunId, WorkflowId
from aion_core.machine.environment import Environment
from aion_core.machine.kernel import Kernel
from aion_core.machine.places import Place, Places
from aion_core.payloads import Payload, PayloadConverter
from aion_core.replay.matching import describe, point, same_intent
from aion_core.replay.segment import Group, cut_segment

__all__ = ["ActivationGuard", "Catalog", "WorkflowDefinition", "WorkflowMachine"]

ActivationGuard = Callable[[], AbstractContextManager[None]]
"""Entered for the length of each activation; the shell keeps the host's primitives out of it."""


class WorkflowDefinition(Protocol):
    """What the machine needs of a workflow."""

    @property
    def name(self) -> str:
        """The workflow type."""

    def begin(self, input: Payload, converter: PayloadConverter) -> Any:
        """The coroutine of a run with this input. Raises `PayloadError`."""

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store what the coroutine returned. Raises `PayloadError`."""


Catalog = Callable[[str], WorkflowDefinition]
"""Finds the definition of a workflow type. Raises `UnknownWorkflowTypeError`."""


_AWAITS = (c.AwaitSignal, c.AwaitTimer, c.AwaitChild, c.Park)


class WorkflowMachine:
    """Runs the code of one workflow run.

    It holds coroutines, which cannot be copied: a machine that ran ahead of the disk is thrown
    away (`close`) and another one made from history (`replay`).

    Attributes:
        ahead: after a replay, commands that the code issues beyond the last event: it has grown
            since they could have been recorded.
        head: after a replay, seq of the run's last event; 0 before.
    """

    def __init__(
        self,
        started: e.WorkflowStarted,
        definition: WorkflowDefinition,
        converter: PayloadConverter,
        guard: ActivationGuard,
    ) -> None:
        self._definition = definition
        self._guard = guard
        self._started = started
        self.environment = Environment(
            started.workflow_id, started.run_id, started.recorded_at, converter
        )
        self._kernel = Kernel(self.environment, self._root_ended)
        self._has_begun = False
        self._has_ended = False
        self._common: e.HistoryEvent | None = None
        self.ahead: list[c.AnchoredCommand] = []
        self.head = 0

    @property
    def workflow_id(self) -> WorkflowId:
        """Whose code it runs."""
        return self._started.workflow_id

    @property
    def run_id(self) -> RunId:
        """Which run of it."""
        return self._started.run_id

    def activate(self, arrival: e.HistoryEvent) -> list[c.AnchoredCommand]:
        """Apply one arrival and run the code until it rests; returns the commands it issued."""
        issued = self._activate(arrival, arrival.recorded_at)
        return [command for command in issued if not isinstance(command, _AWAITS)]

    def replay(self, history: Sequence[e.HistoryEvent]) -> list[c.AnchoredCommand]:
        """Bring a new machine to the end of a history.

        Returns:
            What is `ahead`.

        Raises:
            NonDeterminismError: the code asks for something else than history holds.
            HistoryShapeError: no engine wrote this history.
        """
        for _ in self.replaying(history):
            pass
        return self.ahead

    def replaying(self, history: Sequence[e.HistoryEvent]) -> Iterator[c.Command]:
        """Bring a new machine to the end of a history, command by command.

        Of each activation the commands and the awaits that were answered are given, in order. At
        the end what is `ahead` follows, then an await for each thing still open, the oldest first,
        or `Park`. Exhausted, the machine stands at the end of the history.

        Args:
            history: of the workflow; what belongs to other runs is not looked at.

        Raises:
            NonDeterminismError: the code asks for something else than history holds.
            HistoryShapeError: no engine wrote this history.
        """
        segment = cut_segment(self.workflow_id, self.run_id, history)
        pending: list[c.AnchoredCommand] = []
        same = self.environment.converter.same
        for group in segment.groups():
            head = group.head
            if isinstance(head, e.WorkflowReopened):
                issued = [*pending, *self._activate_kept(group)]
            elif pending:
                raise self._diverged(head, pending[0], history)
            else:
                issued = self._activate(head, head.recorded_at)
            self._common = head
            recorded = iter(group.intents)
            pending = []
            for command in issued:
                if isinstance(command, _AWAITS):
                    yield command
                    continue
                intent = next(recorded, None)
                if intent is None:
                    pending.append(command)
                    continue
                if not same_intent(command, intent, same):
                    raise self._diverged(intent, command, history)
                self._common = intent
                yield command
            for intent in recorded:
                raise self._diverged(intent, None, history)
        self.ahead, self.head = pending, segment.head
        yield from pending
        if not self._has_ended:
            yield from self.environment.open_awaits()

    def close(self) -> None:
        """Throw the code away; whatever its clean-up asks for is ignored."""
        with self._guard():
            self._kernel.close()

    def _activate_kept(self, group: Group) -> list[c.Command]:
        """Apply what a reopening kept of the part that it made void, all at its instant."""
        issued: list[c.Command] = []
        for arrival in group.arrivals:
            # It may keep more than the code waits for now: what comes after its end is void.
            if not self._has_ended:
                issued += self._activate(arrival, group.now)
        return issued

    def _activate(self, arrival: e.HistoryEvent, now: datetime) -> list[c.Command]:
        environment = self.environment
        environment.now = now
        with self._guard():
            match arrival:
                case e.WorkflowStarted():
                    self._begin(arrival)
                case e.TimerFired():
                    environment.fire_timer(arrival)
                case e.SignalReceived():
                    environment.deliver_signal(arrival)
                case e.ActivityCompleted() | e.ActivityFailed() | e.ActivityCancelled():
                    environment.settle_activity(arrival)
                case _:
                    raise HistoryShapeError(
                        f"workflow {self.workflow_id!r}: event {arrival.seq}, {describe(arrival)}, "
                        "is not an arrival that this version can apply to a run"
                    )
            self._kernel.run_until_rest()
        return environment.take_commands()

    def _begin(self, started: e.WorkflowStarted) -> None:
        if self._has_begun:
            raise HistoryShapeError(f"event {started.seq} starts a run that has been started")
        if started.not_before is not None:
            raise HistoryShapeError(
                f"workflow {self.workflow_id!r} starts at {started.not_before.isoformat()}, but "
                "this version has no starts that wait"
            )
        self._has_begun = True
        try:
            coroutine = self._definition.begin(started.input, self.environment.converter)
        except Exception as error:
            self._root_ended(None, error)
            return
        if self.environment.places is not None:
            self.environment.places.begin(coroutine)
        self._kernel.spawn(coroutine, ROOT_PATH, None, contextvars.Context())

    def _root_ended(self, value: object, error: BaseException | None) -> None:
        self._has_ended = True
        if error is None:
            try:
                result = self._definition.encode_result(value, self.environment.converter)
            except Exception as unstorable:
                error = unstorable
            else:
                self.environment.issue(c.CompleteWorkflow(result))
                return
        self.environment.issue(c.FailWorkflow(failure_from(error)), error=error)

    def _diverged(
        self,
        event: e.HistoryEvent,
        command: c.AnchoredCommand | None,
        history: Sequence[e.HistoryEvent],
    ) -> NonDeterminismError:
        """What history holds at an event, and what the code asked for there: None for nothing."""
        places = self.environment.places
        if places is None:
            return self._located(history) or self._divergence(event, command, None)
        if command is None:
            return self._divergence(event, None, places.of_rest(self._kernel.root))
        return self._divergence(event, command, places.of(command))

    def _divergence(
        self, event: e.HistoryEvent, command: c.AnchoredCommand | None, place: Place | None
    ) -> NonDeterminismError:
        file, line = place or (None, None)
        return NonDeterminismError(
            self.workflow_id,
            event.seq,
            describe(event),
            "nothing more in this step" if command is None else describe(command),
            last_common=point(self._common),
            file=file,
            line=line,
        )

    def _located(self, history: Sequence[e.HistoryEvent]) -> NonDeterminismError | None:
        """The same divergence, with its place in the author's code.

        To know places costs time, so they are found by replaying once more on another machine.
        """
        twin = WorkflowMachine(
            self._started, self._definition, self.environment.converter, self._guard
        )
        twin.environment.places = Places()
        try:
            twin.replay(history)
        except NonDeterminismError as error:
            return error
        finally:
            twin.close()
        return None
