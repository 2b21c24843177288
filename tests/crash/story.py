"""A workflow that uses everything, a script that sees it through, and a store that dies on demand.

The script decides by what is durable, and by nothing else, what comes next. So after a crash it
goes on as if nothing had happened, and whatever then differs is the engine's doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import attrs
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import Append, EventStore, StoreWriter
from aion_core.errors import StoreError
from aion_core.history import RunProjection
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_runtime.testing import VirtualClock
from tests.runtime.faults import FaultyStore

WORKFLOW_ID = WorkflowId("w")
RESULT = ["tried 2 times", "plain 1", "approved", "no answer", "Broken", "gave up", "plain 2"]

approval = aion.Signal("approval", str)

Moment = Literal["before the commit", "after the commit"]


class MortalStore(FaultyStore):
    """Commits so many times; then whoever commits hears nothing any more.

    Args:
        lives: how many commits; None for without end.
        moment: whether the end comes before the next commit, or after the last one before anybody
            knows that it has succeeded.
    """

    def __init__(self, inner: EventStore, lives: int | None, moment: Moment) -> None:
        super().__init__(inner)
        self.commits = 0
        self.died = trio.Event()
        self._lives = lives
        self._moment = moment
        self._changed = trio.Event()

    async def commit(
        self, inner: StoreWriter, appends: Sequence[Append]
    ) -> Sequence[StoreError | None]:
        if self.commits == self._lives:
            await self._die()
        result = await inner.append_many(appends)
        assert result == [None] * len(appends)
        self.commits += 1
        if self.commits == self._lives and self._moment == "after the commit":
            await self._die()
        changed, self._changed = self._changed, trio.Event()
        changed.set()
        return result

    async def change(self) -> None:
        """Return after the next commit."""
        await self._changed.wait()

    async def _die(self) -> None:
        self.died.set()
        await trio.sleep_forever()


class Story:
    """What outlives the engines: the clock, and a record of every execution of an activity."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.executions: list[tuple[ActivityId, int]] = []
        self._plain_is_recorded = trio.Event()

        def executed() -> int:
            info = aion.activity_info()
            self.executions.append((info.activity_id, info.attempt))
            return info.attempt

        @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
        async def flaky() -> str:
            attempt = executed()
            # After the other one's outcome, always: so there is one order only.
            await self._plain_is_recorded.wait()
            if attempt == 1:
                raise ConnectionError("hung up")
            return f"tried {attempt} times"

        @aion.activity
        def plain(number: int) -> str:
            executed()
            return f"plain {number}"

        @aion.activity
        async def endless() -> None:
            executed()
            await trio.sleep_forever()

        @aion.activity
        async def broken() -> None:
            executed()
            raise aion.ApplicationError("broken", type="Broken", non_retryable=True)

        @aion.workflow(accepts=[approval])
        async def story() -> list[str]:
            done = list(await aion.gather(flaky(), plain(1)))
            with aion.move_on_after(100):
                done.append(await approval.receive())
            await aion.sleep(30)
            with aion.move_on_after(20) as scope:
                await approval.receive()
            done.append("no answer" if scope.cancelled_caught else "?")
            try:
                async with aion.open_nursery() as nursery:
                    nursery.start_soon(endless)
                    nursery.start_soon(broken)
            except* aion.ActivityError as group:
                done += [error.type for error in group.exceptions if hasattr(error, "type")]
            with aion.move_on_after(10) as scope:
                await endless()
            done.append("gave up" if scope.cancelled_caught else "?")
            done.append(await plain(2))
            return done

        self.workflow = story

    async def live(self, store: MortalStore) -> list[str] | None:
        """One engine's life: the story's result, or None when the store died before."""
        self._plain_is_recorded = trio.Event()
        result: list[str] | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_with, store, nursery.cancel_scope)
            async with aion.open_engine(
                store, workflows=[self.workflow], clock=self.clock, shutdown_grace=0
            ) as engine:
                await self._follow_the_script(engine, store)
                result = await engine.get(WORKFLOW_ID).result()
            nursery.cancel_scope.cancel()
        return result

    async def _end_with(self, store: MortalStore, scope: trio.CancelScope) -> None:
        await store.died.wait()
        scope.cancel()

    async def _follow_the_script(self, engine: aion.Engine, store: MortalStore) -> None:
        handle = await engine.start(self.workflow, workflow_id=WORKFLOW_ID)
        while True:
            # Counted before the read: a commit that it did not see must not be waited for.
            commits = store.commits
            run = RunProjection(WORKFLOW_ID, await store.read_history(WORKFLOW_ID))
            assert run.summary is not None
            if run.summary.status.is_closed:
                return
            if ActivityId("activity:1/0") not in run.activities:
                self._plain_is_recorded.set()
            waiting = [row for row in run.activities.values() if row.activity_type != "endless"]
            retries = [row.next_attempt_at for row in waiting if row.next_attempt_at is not None]
            if len(waiting) == len(retries) == 1:
                self._advance_to(retries[0])
            elif not waiting and run.timers and not run.signal_ids:
                await handle.signal(approval, "approved", signal_id="the one")
            elif not waiting and run.timers:
                self._advance_to(min(timer.fire_at for timer in run.timers.values()))
            if store.commits == commits:
                await store.change()

    def _advance_to(self, instant: Any) -> None:
        self.clock.jump(max(0.0, (instant - self.clock.now()).total_seconds()))


def comparable(history: Sequence[e.HistoryEvent]) -> list[e.HistoryEvent]:
    """A history without what a crash may change: ids, seeds, deliveries, and what follows."""
    kept = [event for event in history if not isinstance(event, e.ActivityStarted)]
    seqs = {event.seq: seq for seq, event in enumerate(kept, start=1)}
    events: list[e.HistoryEvent] = []
    for event in kept:
        changes: dict[str, Any] = {"seq": seqs[event.seq], "recorded_at": kept[0].recorded_at}
        match event:
            case e.WorkflowStarted():
                changes |= {"run_id": RunId(""), "random_seed": 0}
            case e.TimerFired():
                changes["started_seq"] = seqs[event.started_seq]
            case e.ActivityFailed():
                changes["error"] = attrs.evolve(event.error, stack="")
            case e.ActivityCancelled():
                # After a crash nobody knows what became of it.
                changes["detail"] = None
        events.append(attrs.evolve(event, **changes))
    return events
