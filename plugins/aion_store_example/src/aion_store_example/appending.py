"""Appending: the heart of the store. What follows from the events is left to `RunProjection`.

The rows of a workflow are read into a projection, the events applied, and what has changed is
written back: all in the one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

import attrs

from aion_core.contracts import Append, DueTimer, Message, OpenActivity
from aion_core.errors import (
    HistoryShapeError,
    MessageGoneError,
    SequenceConflictError,
    StoreError,
)
from aion_core.events import ActivityStarted, HistoryEvent, RateRow
from aion_core.history import RunProjection
from aion_core.ids import WorkflowId
from aion_core.storing import event_rows, read_row, write_row
from aion_store_example import keys
from aion_store_example.database import Counter, Table, Transaction
from aion_store_example.rows import (
    activities_of,
    answer_to,
    read_event,
    summary_of,
    timers_of,
    write_event,
)

__all__ = ["append_many", "post"]


def append_many(txn: Transaction, appends: Sequence[Append]) -> list[StoreError | None]:
    """As the contract says, but for the writer's epoch."""
    return [_refusal(txn, append) for append in appends]


def _refusal(txn: Transaction, append: Append) -> StoreError | None:
    try:
        with txn.part() as part:
            _append(part, append)
    except StoreError as refusal:
        return refusal
    return None


def _append(txn: Transaction, append: Append) -> None:
    rows = event_rows(append)
    run = _Run(txn, append.workflow_id)
    projection = run.projection
    if projection.head != append.expected_seq:
        raise SequenceConflictError(append.workflow_id, append.expected_seq, projection.head)
    for row in rows:
        position = txn.next_number(Counter.POSITION)
        value = write_event(row, position)
        txn.put(Table.EVENTS, run.key + keys.number(row.seq), value)
        txn.put(Table.FEED, keys.number(position), f"{row.seq} {append.workflow_id}")
        # What is stored, not what was given: a row must not say more than its event.
        event = read_event(append.workflow_id, row.seq, value.encode())
        try:
            run.apply(event)
        except HistoryShapeError as error:
            raise StoreError(f"{error}; read its history again before writing") from error
        if isinstance(event, ActivityStarted):
            rate = projection.activities[event.activity_id].rate
            if rate is not None:
                _count_start(txn, rate, event.recorded_at, position)
    if rows:
        run.save(txn)
    for message_id in append.consume:
        _consume(txn, append.workflow_id, message_id)
    for message in append.post:
        post(txn, message)
    for answer in append.answer:
        txn.put(Table.ANSWERS, keys.text(answer.message_id), write_row(answer))


def _count_start(txn: Transaction, rate: RateRow, at: datetime, position: int) -> None:
    """Keep a start under a rate limit, and forget those of the limit that count no more."""
    name, now = keys.text(rate.name), keys.instant(at)
    starts = txn.scan(Table.STARTS, prefix=name)
    for each, _ in list(takewhile(lambda item: item[1] < now, starts)):
        txn.delete(Table.STARTS, each)
    counts_until = keys.instant(at, plus=rate.window)
    txn.put(Table.STARTS, name + now + keys.number(position), counts_until)


def post(txn: Transaction, message: Message) -> None:
    """Leave a message, unless it is there already or has an answer."""
    key = keys.text(message.message_id)
    if txn.get(Table.PENDING, key) is None and answer_to(txn, message.message_id) is None:
        place = keys.number(txn.next_number(Counter.MESSAGE))
        txn.put(Table.PENDING, key, place)
        txn.put(Table.MESSAGES, place, write_row(message))


def _consume(txn: Transaction, workflow_id: WorkflowId, message_id: str) -> None:
    key = keys.text(message_id)
    place = txn.get(Table.PENDING, key)
    value = None if place is None else txn.get(Table.MESSAGES, place)
    if place is None or value is None or read_row(Message, value).target != workflow_id:
        raise MessageGoneError(workflow_id, message_id)
    txn.delete(Table.PENDING, key)
    txn.delete(Table.MESSAGES, place)


class _Run:
    """The rows of one workflow, as they lie in the tables and as events change them."""

    def __init__(self, txn: Transaction, workflow_id: WorkflowId) -> None:
        self.key = keys.text(workflow_id)
        activities = list(activities_of(txn, workflow_id))
        summary = summary_of(txn, workflow_id)
        self.projection = (
            RunProjection(workflow_id)
            if summary is None
            else RunProjection.restored(
                summary,
                (each.timer for each in timers_of(txn, workflow_id)),
                (each.activity for each in activities),
            )
        )
        self._heartbeats = {each.activity.scheduled_seq: each.heartbeat for each in activities}
        self._before = self._tables()

    def apply(self, event: HistoryEvent) -> None:
        self.projection.apply(event)
        if not self.projection.is_open:
            self._heartbeats.clear()

    def save(self, txn: Transaction) -> None:
        after = self._tables()
        for table, rows in after.items():
            before = self._before[table]
            for key in before.keys() - rows.keys():
                txn.delete(table, key)
            for key, value in rows.items():
                if before.get(key) != value:
                    txn.put(table, key, value)

    def _tables(self) -> dict[Table, dict[bytes, str]]:
        summary = self.projection.summary
        tables: dict[Table, dict[bytes, str]] = {table: {} for table in _OF_A_RUN}
        if summary is None:
            return tables
        summary = attrs.evolve(summary, events=self.projection.head)
        tables[Table.WORKFLOWS][self.key] = write_row(summary)
        tables[Table.BY_START][keys.newest_first(summary.started_at) + self.key] = ""
        for timer in self.projection.timers.values():
            started = keys.number(timer.started_seq)
            row = write_row(DueTimer(summary.workflow_id, summary.run_id, timer))
            tables[Table.TIMERS][self.key + started] = row
            tables[Table.DUE][keys.instant(timer.fire_at) + started + self.key] = row
        for activity in self.projection.activities.values():
            heartbeat = self._heartbeats.get(activity.scheduled_seq)
            row = write_row(OpenActivity(summary.workflow_id, summary.run_id, activity, heartbeat))
            tables[Table.ACTIVITIES][self.key + keys.number(activity.scheduled_seq)] = row
        return tables


_OF_A_RUN = (Table.WORKFLOWS, Table.BY_START, Table.TIMERS, Table.DUE, Table.ACTIVITIES)
