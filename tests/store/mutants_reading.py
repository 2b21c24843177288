"""Mutants that answer wrongly: stores with one defect each, in what they list and when."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import attrs
import trio

from aion_core.contracts import (
    EVERYTHING,
    Append,
    DueReason,
    DueRun,
    DueTimer,
    FeedItem,
    OpenActivity,
    RunFilter,
    RunPage,
    StoredMessage,
)
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.payloads import Payload
from aion_core.status import WorkflowStatus
from aion_store_memory.contents import Contents
from aion_store_memory.store import MemoryStore
from aion_store_memory.workflow import StoredWorkflow

__all__ = [
    "DropsTheLastMessageOfAPage",
    "ExpiresTooLate",
    "FeedsByTime",
    "FeedsWhatIsNumbered",
    "ForgetsFormerRuns",
    "ForgetsToSayWhoIsStuck",
    "ForgetsToSettleTimers",
    "KeepsHeartbeats",
    "LeavesOutTheBound",
    "ListsOnePageOfIds",
    "ListsWorkOfPausedRuns",
    "ListsWorkOfStuckRuns",
    "PagesByOffset",
    "ReadsWithoutACheckpoint",
    "ReplacesAttributes",
    "SortsEqualTimersByWorkflow",
    "SplicesTextIntoLike",
    "TakesBoolsForNumbers",
]


class ForgetsToSettleTimers(MemoryStore):
    """Timers stay armed when their run closes."""

    class Forgetful(Contents):
        def __init__(self) -> None:
            super().__init__()
            self.left: list[DueTimer] = []

        def append(self, append: Append) -> None:
            before = [row for row in super().timers() if row.workflow_id == append.workflow_id]
            super().append(append)
            if not self.workflows[append.workflow_id].projection.is_open:
                self.left += before

        def timers(self) -> list[DueTimer]:
            return [*super().timers(), *self.left]

    def __init__(self) -> None:
        super().__init__()
        self._contents = self.Forgetful()


class ExpiresTooLate(MemoryStore):
    """``fire_at < as_of`` where ``<=`` is meant."""

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        rows = await super().expired_timers(as_of, starts=starts)
        return [row for row in rows if row.timer.fire_at < as_of]


class SortsEqualTimersByWorkflow(MemoryStore):
    """Timers of one instant come by workflow id, not by their start."""

    async def expired_timers(
        self, as_of: datetime, *, starts: bool | None = None
    ) -> Sequence[DueTimer]:
        rows = await super().expired_timers(as_of, starts=starts)
        return sorted(rows, key=lambda row: (row.timer.fire_at, row.workflow_id))


class PagesByOffset(MemoryStore):
    """The cursor is a number of rows, and they have moved."""

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        everything = (await super().list_runs(filter, limit=10_000)).runs
        first = int(cursor or 0)
        more = len(everything) > first + limit
        return RunPage(everything[first : first + limit], str(first + limit) if more else None)


class ListsOnePageOfIds(MemoryStore):
    """What has no pages ends where a page would."""

    async def _listed(self, filter: RunFilter) -> list[WorkflowSummary]:
        return list((await self.list_runs(filter, limit=1000)).runs)


class OtherFilter(MemoryStore):
    """Not a mutant yet: a store that filters by another rule."""

    def _matching(self, filter: RunFilter) -> list[WorkflowSummary]:
        summaries = (workflow.summary for workflow in self._contents.workflows.values())
        return [summary for summary in summaries if self.matches(filter, summary)]

    def matches(self, filter: RunFilter, run: WorkflowSummary) -> bool:
        raise NotImplementedError


class TakesBoolsForNumbers(OtherFilter):
    """True is found as 1."""

    def matches(self, filter: RunFilter, run: WorkflowSummary) -> bool:
        return attrs.evolve(filter, attributes={}).matches(run) and all(
            run.attributes.get(name) == value for name, value in filter.attributes.items()
        )


class SplicesTextIntoLike(OtherFilter):
    """``%`` and ``_`` of the user's text are wildcards."""

    def matches(self, filter: RunFilter, run: WorkflowSummary) -> bool:
        pattern = re.escape(filter.text or "").replace("%", ".*").replace("_", ".")
        texts = (run.workflow_id, run.workflow_type, run.failure_reason or "")
        return attrs.evolve(filter, text=None).matches(run) and any(
            re.search(pattern, text, re.DOTALL) for text in texts
        )


class LeavesOutTheBound(OtherFilter):
    """The upper bound of the start is exclusive."""

    def matches(self, filter: RunFilter, run: WorkflowSummary) -> bool:
        return filter.matches(run) and run.started_at != filter.started_to


class FeedsByTime(MemoryStore):
    """The feed is in order of ``recorded_at`` and id, and not of the commits."""

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        items = await super().feed(0, 100_000)
        events = sorted(
            (item.event for item in items), key=lambda event: (event.recorded_at, event.workflow_id)
        )
        return [
            FeedItem(position, event)
            for position, event in enumerate(events, 1)
            if position > after
        ][:limit]


class FeedsWhatIsNumbered(MemoryStore):
    """A position is the number of events before it, and is given again after a purge."""

    async def feed(self, after: int = 0, limit: int = 1000) -> Sequence[FeedItem]:
        items = await super().feed(0, 100_000)
        numbered = [FeedItem(number, item.event) for number, item in enumerate(items, 1)]
        return numbered[after : after + limit]


class ForgetsFormerRuns(MemoryStore):
    """Signal ids are known of the newest run only."""

    async def seen(self, workflow_id: WorkflowId, ids: Collection[str]) -> frozenset[str]:
        await trio.lowlevel.checkpoint()
        newest: set[str] = set()
        for event in await self.read_history(workflow_id):
            if type(event).__name__ == "WorkflowStarted":
                newest.clear()
            newest.add(getattr(event, "signal_id", None) or getattr(event, "update_id", None) or "")
        return frozenset(ids) & newest


class KeepsHeartbeats(MemoryStore):
    """Heartbeats go by activity id, and stay when it is used again."""

    class Keeping(Contents):
        def __init__(self) -> None:
            super().__init__()
            self.kept: dict[tuple[str, str], Payload] = {}

        def append(self, append: Append) -> None:
            self.activities()
            super().append(append)

        def activities(self) -> list[OpenActivity]:
            rows = super().activities()
            for row in rows:
                if row.heartbeat is not None:
                    self.kept[row.workflow_id, row.activity.activity_id] = row.heartbeat
            return [
                attrs.evolve(
                    row, heartbeat=self.kept.get((row.workflow_id, row.activity.activity_id))
                )
                for row in rows
            ]

    def __init__(self) -> None:
        super().__init__()
        self._contents = self.Keeping()


class OtherRest(MemoryStore):
    """Not a mutant yet: a store with another rule for which runs go on."""

    def __init__(self) -> None:
        super().__init__()
        store = self

        class Restless(Contents):
            def _that_go_on(self) -> list[StoredWorkflow]:
                return [each for each in self.workflows.values() if store.goes_on(each.summary)]

        self._contents = Restless()

    def goes_on(self, summary: WorkflowSummary) -> bool:
        raise NotImplementedError


class ListsWorkOfPausedRuns(OtherRest):
    """What a paused run has open is due."""

    def goes_on(self, summary: WorkflowSummary) -> bool:
        return summary.stuck is None


class ListsWorkOfStuckRuns(OtherRest):
    """What a stuck run has open is due."""

    def goes_on(self, summary: WorkflowSummary) -> bool:
        return summary.status is WorkflowStatus.RUNNING


class ForgetsToSayWhoIsStuck(MemoryStore):
    """Stuck runs are not named to an engine that starts."""

    async def due_work(self, now: datetime) -> Sequence[DueRun]:
        due = await super().due_work(now)
        return [run for run in due if run.reasons != (DueReason.STUCK,)]


class ReplacesAttributes(MemoryStore):
    """An update of attributes takes the place of all there were."""

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        summary = await super().read_summary(workflow_id)
        for event in await self.read_history(workflow_id):
            if type(event).__name__ == "SearchAttributesUpdated" and summary is not None:
                updated: dict[str, Any] = dict(event.attributes)  # type: ignore[attr-defined]
                summary = attrs.evolve(summary, attributes=updated)
        return summary


class DropsTheLastMessageOfAPage(MemoryStore):
    """A full page of messages lacks its last row, behind which the next one begins."""

    async def messages(self, after: int = 0, limit: int = 1000) -> Sequence[StoredMessage]:
        page = list(await super().messages(after, limit))
        if len(page) == limit > 1:
            del page[-2]
        return page


class ReadsWithoutACheckpoint(MemoryStore):
    """An answer that is at hand is given at once."""

    async def read_summary(self, workflow_id: WorkflowId) -> WorkflowSummary | None:
        workflow = self._contents.workflows.get(workflow_id)
        return None if workflow is None else workflow.summary
