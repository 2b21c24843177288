"""Reading: the questions of the contract, each within one transaction, so of one moment."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from aion_core.codec import from_micros, to_micros
from aion_core.contracts import (
    DueTimer,
    FeedItem,
    OpenActivity,
    Package,
    PackageRoute,
    RunFilter,
    RunPage,
    StoredMessage,
    StoreStats,
)
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import START_TIMER, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.storing import read_cursor, read_message, read_row, require_limit, write_cursor
from aion_store_example import keys
from aion_store_example.database import Table, Transaction
from aion_store_example.rows import read_event, summary_of

__all__ = [
    "expired_timers",
    "feed",
    "history",
    "limit_starts",
    "messages",
    "next_timer",
    "open_activities",
    "packages",
    "routes",
    "runs",
    "stats",
]


def history(
    txn: Transaction, workflow_id: WorkflowId, seq: int, limit: int | None
) -> Sequence[HistoryEvent]:
    """`EventStore.read_history_from`."""
    if limit is not None:
        require_limit(limit)
    key = keys.text(workflow_id)
    rows = islice(txn.scan(Table.EVENTS, key + keys.number(seq), prefix=key), limit)
    return [read_event(workflow_id, keys.seq_in(found), value) for found, value in rows]


def runs(txn: Transaction, filter: RunFilter, limit: int, cursor: str | None) -> RunPage:
    """`EventStore.list_runs`."""
    require_limit(limit)
    listed = (run for run in _all_runs(txn, cursor) if filter.matches(run))
    page = list(islice(listed, limit))
    more = next(listed, None) is not None
    return RunPage(page, write_cursor(page[-1]) if more else None)


def _all_runs(txn: Transaction, cursor: str | None) -> Iterator[WorkflowSummary]:
    start, after = b"", None
    if cursor is not None:
        micros, workflow_id = read_cursor(cursor)
        start, after = keys.newest_first(from_micros(micros)), (-micros, workflow_id)
    rows = ((key, _summary_at(txn, key[8:])) for key, _ in txn.scan(Table.BY_START, start))
    for run in keys.in_order(rows, lambda run: run.workflow_id, exact=8):
        if after is None or (-to_micros(run.started_at), run.workflow_id) > after:
            yield run


def _summary_at(txn: Transaction, key: bytes) -> WorkflowSummary:
    return read_row(WorkflowSummary, txn.get(Table.WORKFLOWS, key) or b"")


def feed(txn: Transaction, after: int, limit: int) -> Sequence[FeedItem]:
    """`EventStore.feed`."""
    require_limit(limit)
    items = []
    for key, value in islice(txn.scan(Table.FEED, keys.number(after + 1)), limit):
        seq, workflow_id = value.decode().split(" ", 1)
        event = txn.get(Table.EVENTS, keys.text(workflow_id) + keys.number(int(seq))) or b""
        found = read_event(WorkflowId(workflow_id), int(seq), event)
        items.append(FeedItem(keys.seq_in(key), found))
    return items


def open_activities(
    txn: Transaction, after: tuple[WorkflowId, int] | None, limit: int
) -> Sequence[OpenActivity]:
    """`EventStore.open_activities`."""
    require_limit(limit)
    moves = _moving(txn)
    start = b"" if after is None else keys.text(after[0]) + keys.number(after[1])
    rows = (
        (key, read_row(OpenActivity, value))
        for key, value in txn.scan(Table.ACTIVITIES, start[: keys.EXACT])
    )

    def place(each: OpenActivity) -> tuple[WorkflowId, int]:
        return each.workflow_id, each.activity.scheduled_seq

    found = (
        each
        for each in keys.in_order(rows, place)
        if (after is None or place(each) > after) and moves(each.workflow_id)
    )
    return list(islice(found, limit))


def expired_timers(txn: Transaction, as_of: datetime, *, starts: bool | None) -> Sequence[DueTimer]:
    """`EventStore.expired_timers`."""
    moves = _moving(txn)
    found = []
    for key, value in txn.scan(Table.DUE):
        if key[:8] > keys.instant(as_of):
            break
        each = read_row(DueTimer, value)
        is_asked = starts in (None, each.timer.timer_id == START_TIMER)
        if is_asked and moves(each.workflow_id):
            found.append((key[:16], each))
    return list(keys.in_order(found, lambda each: each.workflow_id, exact=16))


def next_timer(txn: Transaction, after: datetime | None) -> datetime | None:
    """`EventStore.next_timer`."""
    moves = _moving(txn)
    # Greater than all keys of that instant: what follows in them is a seq, and no byte of 255.
    start = b"" if after is None else keys.instant(after) + b"\xff"
    for _, value in txn.scan(Table.DUE, start):
        each = read_row(DueTimer, value)
        if moves(each.workflow_id):
            return each.timer.fire_at
    return None


def _moving(txn: Transaction) -> Callable[[WorkflowId], bool]:
    """Is the run of a workflow neither paused nor stuck?"""

    @functools.cache
    def moves(workflow_id: WorkflowId) -> bool:
        run = summary_of(txn, workflow_id)
        return run is not None and run.status is WorkflowStatus.RUNNING and run.stuck is None

    return moves


def limit_starts(txn: Transaction, name: str, since: datetime) -> Sequence[datetime]:
    """`EventStore.limit_starts`."""
    key = keys.text(name)
    starts = txn.scan(Table.STARTS, key + keys.instant(since), prefix=key)
    return [keys.instant_in(found[len(key) :]) for found, _ in starts]


def messages(txn: Transaction, after: int, limit: int) -> Sequence[StoredMessage]:
    """`EventStore.messages`."""
    require_limit(limit)
    rows = islice(txn.scan(Table.MESSAGES, keys.number(after + 1)), limit)
    return [StoredMessage(keys.seq_in(key), read_message(value)) for key, value in rows]


def packages(txn: Transaction) -> Sequence[Package]:
    """`EventStore.list_packages`."""
    found = [read_row(Package, value) for _, value in txn.scan(Table.PACKAGES)]
    return sorted(found, key=lambda each: (each.workflow_type, each.deployed_at, each.version))


def routes(txn: Transaction) -> Sequence[PackageRoute]:
    """`EventStore.list_package_routes`."""
    found = [read_row(PackageRoute, value) for _, value in txn.scan(Table.ROUTES)]
    return sorted(found, key=lambda each: each.workflow_type)


def stats(txn: Transaction, size: int) -> StoreStats:
    """`EventStore.stats`."""
    rows = (read_row(WorkflowSummary, value) for _, value in txn.scan(Table.WORKFLOWS))
    return StoreStats(
        workflows=txn.count(Table.WORKFLOWS),
        open_workflows=sum(not run.status.is_closed for run in rows),
        events=txn.count(Table.EVENTS),
        timers=txn.count(Table.TIMERS),
        activities=txn.count(Table.ACTIVITIES),
        messages=txn.count(Table.MESSAGES),
        answers=txn.count(Table.ANSWERS),
        bytes=size,
    )
