"""The play: one run through a script, from the first engine to the last, and what it leads to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import trio

from aion_core.contracts import EventStore
from aion_core.events import HistoryEvent, WorkflowStarted
from aion_core.machine.workflow_machine import WorkflowMachine
from aion_runtime.engine import Engine
from aion_runtime.guard import activation_guard
from aion_runtime.opening import open_engine
from aion_runtime.testing.exploring_comparing import Ending
from aion_runtime.testing.exploring_ledger import Ledger
from aion_runtime.testing.exploring_releasing import Releaser
from aion_runtime.testing.exploring_scene import Scene
from aion_runtime.testing.exploring_stage import PACER_ID, Crash, Stage, beat, pacer
from aion_runtime.testing.exploring_world import World
from aion_runtime.testing.script import Arrival, ScriptError
from aion_runtime.testing.stillness import Stillness
from aion_runtime.testing.virtual_clock import VirtualClock

__all__ = ["Play"]

_DAWN = datetime(2030, 1, 1, tzinfo=UTC)


class Play:
    """Goes through a script once.

    Args:
        number: of the run.
        script: its bursts.
        crashes: where the first engine is killed, and the second, and so on; the one after the last
            crash lives to the end.
        skips: what does not fit when its turn has come is left out. Else it is an error.

    Attributes:
        appends: how many the last engine made.
    """

    def __init__(
        self,
        scene: Scene,
        number: int,
        script: Sequence[tuple[Arrival, ...]],
        crashes: Sequence[Crash],
        *,
        skips: bool,
    ) -> None:
        self._scene = scene
        self._number = number
        self._crashes = crashes
        self._ledger = Ledger()
        self._world = World(self._ledger)
        self._releaser = Releaser(scene, self._ledger, self._world, script, skips=skips)
        self._instant = _DAWN
        self._lives = 0
        self._kept: EventStore | None = None
        self.appends = 0

    @property
    def violations(self) -> Sequence[str]:
        """What engines did that they must not do, whatever came of it."""
        return self._ledger.violations

    @property
    def played(self) -> Sequence[tuple[Arrival, ...]]:
        """The script without what was left out."""
        return self._releaser.script

    async def perform(self) -> Ending:
        """Live once more than there are crashes, or until the script is played.

        Raises:
            ScriptError: something of it does not fit.
        """
        async with AsyncExitStack() as kept:
            for crash in (*self._crashes, None):
                ending = await self._live(crash, kept)
                if ending is not None:
                    return ending
        raise AssertionError("an engine that is not killed sees the end of its script")

    async def _live(self, crash: Crash | None, kept: AsyncExitStack) -> Ending | None:
        """One engine's life: what it all led to, or None when it was killed before."""
        ending: Ending | None = None
        failure: Exception | None = None
        self._world.begin_life()
        async with self._opened_store(kept) as inner:
            stage = Stage(inner, self._ledger, crash, after_crash=self._lives > 0)
            self._lives += 1
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_with, stage, nursery.cancel_scope)
                # Kept until the nursery is left, which would put it into a group.
                try:
                    ending = await self._live_on(stage, nursery)
                except Exception as error:
                    failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return ending

    async def _live_on(self, stage: Stage, nursery: trio.Nursery) -> Ending:
        clock = VirtualClock(max(self._instant, self._ledger.last_recorded_at))
        stillness = Stillness()
        rest = _Rest(stage, stillness, self._world)
        async with open_engine(
            stage,
            workflows=self._scene.workflows,
            executor=self._world,
            plugins=self._scene.plugins,
            resident_bytes=self._scene.resident_bytes,
            clock=clock,
            shutdown_grace=0,
        ) as engine:
            try:
                with stillness.watching():
                    await rest.reached()
                    self._releaser.begin_life(engine, nursery)
                    while (burst := self._releaser.next_burst(clock.now())) is not None:
                        if len(burst) > 1:
                            await self._release_together(burst, engine, stage, clock, nursery, rest)
                        else:
                            self._releaser.release(burst[0], clock)
                            # Killed now, the next engine opens when the timer is due already. Of a
                            # burst it would then take the timer first, and the rest after it.
                            self._instant = clock.now()
                        await rest.reached()
                        self._instant = clock.now()
                    ending = await self._read(engine, stage)
            finally:
                # Before the engine stops its attempts.
                self._world.end_life()
        self.appends = stage.appends
        return ending

    async def _release_together(
        self,
        burst: Sequence[tuple[int, int]],
        engine: Engine,
        stage: Stage,
        clock: VirtualClock,
        nursery: trio.Nursery,
        rest: _Rest,
    ) -> None:
        """Have all of a burst taken in one step: it gathers while another append is under way."""
        await engine.start(pacer, workflow_id=PACER_ID)
        await rest.reached()
        with stage.holding():
            nursery.start_soon(_beat, engine, f"beat {self._lives} {burst[0][0]}")
            await rest.reached()
            for place in burst:
                self._releaser.release(place, clock)
                await rest.reached()

    async def _end_with(self, stage: Stage, scope: trio.CancelScope) -> None:
        await stage.crashed.wait()
        self._world.end_life()
        scope.cancel()

    @asynccontextmanager
    async def _opened_store(self, kept: AsyncExitStack) -> AsyncIterator[EventStore]:
        """A persistent store is opened anew for each life; one in memory is kept."""
        if self._kept is not None:
            yield self._kept
            return
        url = self._scene.store.replace("{run}", str(self._number))
        async with AsyncExitStack() as opened:
            store = await opened.enter_async_context(self._scene.plugins.open_store(url))
            if store.capabilities.persistent and url == self._scene.store:
                raise ScriptError(
                    f"the store {url!r} keeps what it is given, and each run needs an empty one; "
                    "write {run} where its name may differ, as in sqlite:///explored-{run}.db"
                )
            if not store.capabilities.persistent:
                self._kept = store
                kept.push_async_exit(opened.pop_all())
            yield store

    async def _read(self, engine: Engine, stage: Stage) -> Ending:
        store = stage.inner
        histories = {
            workflow_id: await store.read_history(workflow_id)
            for workflow_id in await store.list_workflow_ids()
            if workflow_id != PACER_ID
        }
        for history in histories.values():
            self._check_replay(engine, history)
        self._ledger.violations += [f"the store: {each}" for each in await store.check()]
        messages = [
            (stored.message.kind, stored.message.target) async for stored in store.all_messages()
        ]
        self._ledger.violations += [
            f"a message ({kind}) is left for workflow {target!r}, which has ended"
            for kind, target in messages
            if target in self._ledger.states and not self._ledger.is_open(target)
        ]
        return Ending(
            result=await self._releaser.result(engine),
            histories=histories,
            answers=await self._releaser.answers(engine),
            messages=messages,
        )

    def _check_replay(self, engine: Engine, history: Sequence[HistoryEvent]) -> None:
        """The code asks for what is recorded, run by run, and for no more."""
        for event in history:
            if not isinstance(event, WorkflowStarted):
                continue
            definition = engine._catalog(event.workflow_type)
            machine = WorkflowMachine(event, definition, engine._converter, activation_guard)
            where = f"run {event.run_id} of workflow {event.workflow_id!r}"
            try:
                ahead = machine.replay(history)
            except Exception as error:
                self._ledger.violations.append(f"{where} cannot be replayed: {error}")
            else:
                if ahead:
                    self._ledger.violations.append(f"{where}, replayed, asks for {ahead[0]} too")
            finally:
                machine.close()


class _Rest:
    """When nothing happens any more by itself."""

    def __init__(self, stage: Stage, stillness: Stillness, world: World) -> None:
        self._stage = stage
        self._stillness = stillness
        self._world = world

    async def reached(self) -> None:
        """Return when all has been done that follows from what was released."""
        while True:
            await self._stillness.until(lambda: not self._stage.calls_under_way)
            if not self._world.let_one_stop():
                return


async def _beat(engine: Engine, signal_id: str) -> None:
    await engine.get(PACER_ID).signal(beat, 1, signal_id=signal_id)
