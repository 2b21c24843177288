"""For writers of stores: what every store needs and none should write again.

Checking and encoding an append, and the pages of lists. No I/O.
"""

from __future__ import annotations

import base64
import json
from typing import NamedTuple

from aion_core.codec import encode_event, from_micros, kind_of, to_micros
from aion_core.contracts import Append
from aion_core.errors import StoreError
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId

__all__ = ["EventRow", "event_rows", "read_cursor", "require_limit", "write_cursor"]


class EventRow(NamedTuple):
    """An event as the columns in which it is stored; `aion_core.codec.decode_event` reads it.

    Attributes:
        recorded_at: microseconds since 1970.
        data: JSON text, always storable as UTF-8.
    """

    seq: int
    kind: str
    recorded_at: int
    data: str


def event_rows(append: Append) -> list[EventRow]:
    """Check an append by itself, and encode its events.

    Raises:
        StoreError: it has no events, or others than the next ones of its workflow, or one of them
            has no stored form. It is to be refused with that.
    """
    workflow_id = append.workflow_id
    if not append.events:
        raise StoreError(f"an append to workflow {workflow_id!r} has no events; leave it out")
    rows: list[EventRow] = []
    for seq, event in enumerate(append.events, append.expected_seq + 1):
        if event.seq != seq or event.workflow_id != workflow_id:
            raise StoreError(
                f"event {event.seq} of workflow {event.workflow_id!r} stands where event {seq} of "
                f"workflow {workflow_id!r} belongs; append a workflow's events in order"
            )
        try:
            row = EventRow(seq, kind_of(event), to_micros(event.recorded_at), encode_event(event))
            # Half a surrogate pair is text to Python and to JSON, but not to a file.
            (workflow_id + row.data).encode()
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(
                f"event {seq} of workflow {workflow_id!r} cannot be stored: {error!r}"
            ) from error
        rows.append(row)
    return rows


def require_limit(limit: int) -> None:
    """Refuse a page without rows.

    Raises:
        ValueError: the limit is less than 1.
    """
    if limit < 1:
        raise ValueError(f"a page holds at least 1 row, not {limit}")


def write_cursor(last: WorkflowSummary) -> str:
    """The cursor of the page that follows one whose last row this is."""
    place = json.dumps([to_micros(last.started_at), last.workflow_id])
    return base64.urlsafe_b64encode(place.encode()).decode()


def read_cursor(cursor: str) -> tuple[int, WorkflowId]:
    """Start, in microseconds since 1970, and id of the row behind which the page begins.

    Raises:
        ValueError: it is no cursor.
    """
    try:
        started_at, workflow_id = json.loads(base64.urlsafe_b64decode(cursor))
        from_micros(started_at)
        workflow_id.encode()
    except Exception as error:
        raise ValueError(f"{cursor!r} is no cursor of list_runs; begin without one") from error
    return started_at, WorkflowId(workflow_id)
