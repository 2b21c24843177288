"""Following: the committed events of all workflows, for ever, and what of them is gone."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Self

from aion_core.contracts import EVERYTHING, FeedItem, RunFilter
from aion_core.errors import Lagged
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId

__all__ = ["Followed"]


class Followed(AsyncIterator[FeedItem]):
    """What is committed behind a position, item by item; it has no end.

    Positions are given one by one, without gaps, so where one is missing its event was there and
    has been purged. Whoever begins at 0 knows none of those that were there, and misses none.

    Args:
        feed: a page of the feed behind a position; an empty one at its end.
        next_commit: as of `Port`.
    """

    def __init__(
        self,
        feed: Callable[[int], Awaitable[Sequence[FeedItem]]],
        summary_of: Callable[[WorkflowId], Awaitable[WorkflowSummary | None]],
        next_commit: Callable[[object], Awaitable[object]],
        filter: RunFilter,
        after: int,
    ) -> None:
        self._feed = feed
        self._summary_of = summary_of
        self._next_commit = next_commit
        self._filter = filter
        self._position = after
        self._is_owed_all = after > 0
        self._mark: object = None
        self._page: deque[FeedItem] = deque()
        self._summaries: dict[WorkflowId, WorkflowSummary | None] = {}

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> FeedItem:
        while True:
            while not self._page:
                await self._turn()
            item = self._page[0]
            before = self._position
            if self._is_owed_all and item.position > before + 1:
                # Asked again, it goes on behind the gap.
                self._position = item.position - 1
                raise Lagged(item.position - 1 - before, item.position - 1)
            is_wanted = await self._wants(item)
            self._page.popleft()
            self._position = item.position
            if is_wanted:
                return item
            if is_wanted is None and self._is_owed_all:
                raise Lagged(1, item.position)

    async def _turn(self) -> None:
        """Read the next page; at the end of the feed wait until there may be one."""
        if self._mark is None:
            self._mark = await self._next_commit(None)
        page = await self._feed(self._position)
        if not page:
            self._is_owed_all = True
            self._mark = await self._next_commit(self._mark)
        self._page.extend(page)
        self._summaries.clear()

    async def _wants(self, item: FeedItem) -> bool | None:
        """Is it for this reader? None when nobody can tell: its workflow has just been purged."""
        if self._filter is EVERYTHING:
            return True
        workflow_id = item.event.workflow_id
        if workflow_id not in self._summaries:
            self._summaries[workflow_id] = await self._summary_of(workflow_id)
        summary = self._summaries[workflow_id]
        return None if summary is None else self._filter.matches(summary)
