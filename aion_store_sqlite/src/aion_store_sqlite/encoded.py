"""Appends made ready to be written. Whatever can be wrong with one alone is found out here,
before a transaction has begun and without looking at the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aion_core.codec import encode_event, kind_of, to_micros
from aion_core.contracts import Append
from aion_core.errors import StoreError
from aion_core.history import Change, changes
from aion_core.ids import WorkflowId

__all__ = ["EncodedAppend", "EventRow", "encode"]


class EventRow(NamedTuple):
    """An event as its columns."""

    seq: int
    kind: str
    recorded_at: int
    data: str


class EncodedAppend(NamedTuple):
    """An append as rows and changes."""

    workflow_id: WorkflowId
    expected_seq: int
    events: Sequence[EventRow]
    changes: Sequence[Change]


def encode(append: Append) -> EncodedAppend:
    """Encode an append.

    Raises:
        StoreError: it has no events, or others than the next ones of its workflow, or one of them
            has no stored form.
    """
    workflow_id = append.workflow_id
    if not append.events:
        raise StoreError(f"an append to workflow {workflow_id!r} has no events; leave it out")
    rows: list[EventRow] = []
    seq = append.expected_seq
    for event in append.events:
        seq += 1
        if event.seq != seq or event.workflow_id != workflow_id:
            raise StoreError(
                f"event {event.seq} of workflow {event.workflow_id!r} stands where event {seq} of "
                f"workflow {workflow_id!r} belongs; append a workflow's events in order"
            )
        try:
            row = EventRow(seq, kind_of(event), to_micros(event.recorded_at), encode_event(event))
            # Half a surrogate pair is text to Python and to JSON, but not to a file.
            row.data.encode()
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(
                f"event {seq} of workflow {workflow_id!r} cannot be stored: {error!r}"
            ) from error
        rows.append(row)
    found = [change for event in append.events if (change := changes(event)) is not None]
    return EncodedAppend(workflow_id, append.expected_seq, rows, found)
