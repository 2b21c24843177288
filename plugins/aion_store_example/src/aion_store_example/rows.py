"""Rows: how the values of the contract lie in the tables, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from aion_core.codec import decode_event, from_micros
from aion_core.contracts import Answer, DueTimer, OpenActivity
from aion_core.errors import CorruptHistoryError
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.storing import EventRow, read_row
from aion_store_example import keys
from aion_store_example.database import Table, Transaction

__all__ = [
    "activities_of",
    "answer_to",
    "read_event",
    "read_position",
    "summary_of",
    "timers_of",
    "write_event",
]


def write_event(row: EventRow, position: int) -> str:
    """An event as it is kept; no kind has a space."""
    return f"{position} {row.recorded_at} {row.kind} {row.data}"


def read_position(value: bytes) -> int:
    """The place of an event among those of all workflows."""
    return int(value.partition(b" ")[0])


def read_event(workflow_id: WorkflowId, seq: int, value: bytes) -> HistoryEvent:
    """The event of `write_event`.

    Raises:
        CorruptHistoryError: it cannot be read.
    """
    try:
        _, recorded_at, kind, data = value.decode().split(" ", 3)
        instant = from_micros(int(recorded_at))
    except (ValueError, OverflowError) as error:
        raise CorruptHistoryError(workflow_id, seq, "$", f"no event: {error}") from error
    return decode_event(kind, data, seq=seq, recorded_at=instant, workflow_id=workflow_id)


def summary_of(txn: Transaction, workflow_id: WorkflowId) -> WorkflowSummary | None:
    """The summary of a workflow."""
    value = txn.get(Table.WORKFLOWS, keys.text(workflow_id))
    return None if value is None else read_row(WorkflowSummary, value)


def timers_of(txn: Transaction, workflow_id: WorkflowId) -> Iterator[DueTimer]:
    """The open timers of a workflow, in order of their start."""
    for _, value in txn.scan(Table.TIMERS, prefix=keys.text(workflow_id)):
        yield read_row(DueTimer, value)


def activities_of(txn: Transaction, workflow_id: WorkflowId) -> Iterator[OpenActivity]:
    """The open activities of a workflow, in order of their start, with their heartbeats."""
    for _, value in txn.scan(Table.ACTIVITIES, prefix=keys.text(workflow_id)):
        yield read_row(OpenActivity, value)


def answer_to(txn: Transaction, message_id: str) -> Answer | None:
    """The kept answer to a message."""
    value = txn.get(Table.ANSWERS, keys.text(message_id))
    return None if value is None else read_row(Answer, value)
