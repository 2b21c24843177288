"""For writers of stores: what every store needs and none should write again.

Checking and encoding an append, rows as text, and the pages of lists. No I/O.
"""

from __future__ import annotations

import base64
import binascii
import functools
import json
from typing import Any, NamedTuple, TypeVar

import cattrs

from aion_core.codec import encode_event, from_micros, kind_of, to_micros
from aion_core.codec.hooks import make_converter
from aion_core.contracts import Append, Message, unreadable_message
from aion_core.errors import StoreError
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus

__all__ = [
    "EventRow",
    "event_rows",
    "read_cursor",
    "read_message",
    "read_row",
    "require_limit",
    "write_cursor",
    "write_row",
]

Row = TypeVar("Row")


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
        StoreError: it has other events than the next ones of its workflow, or one of them
            has no stored form, or it has not as many changes as events. It is to be refused with
            that.
    """
    workflow_id = append.workflow_id
    rows: list[EventRow] = []
    instant: object = rows  # none yet; an event without an instant is not to pass for the next one
    micros = 0
    for seq, event in enumerate(append.events, append.expected_seq + 1):
        if event.seq != seq or event.workflow_id != workflow_id:
            raise StoreError(
                f"event {event.seq} of workflow {event.workflow_id!r} stands where event {seq} of "
                f"workflow {workflow_id!r} belongs; append a workflow's events in order"
            )
        try:
            if event.recorded_at is not instant:  # the events of a step have one in common
                instant, micros = event.recorded_at, to_micros(event.recorded_at)
            data = encode_event(event)
            text = workflow_id + data
            if not text.isascii():
                # Half a surrogate pair is text to Python and to JSON, but not to a file.
                text.encode()
            # As `EventRow(…)`, which is a function around this one.
            rows.append(tuple.__new__(EventRow, (seq, kind_of(event), micros, data)))
        except (TypeError, ValueError, KeyError) as error:
            raise StoreError(
                f"event {seq} of workflow {workflow_id!r} cannot be stored: {error!r}"
            ) from error
    if append.changes is not None and len(append.changes) != len(rows):
        raise StoreError(
            f"an append to workflow {workflow_id!r} has {len(rows)} events and "
            f"{len(append.changes)} changes; give one for each, or None for all"
        )
    return rows


def write_row(row: object) -> str:
    """A row of the contract as JSON text: a summary, a timer, an activity, a message, an answer,
    a package. What has its default is left out, so that a row may gain fields.

    Raises:
        StoreError: it has no stored form.
    """
    try:
        text = json.dumps(
            _rows().unstructure(row), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        text.encode()
    except (TypeError, ValueError) as error:
        raise StoreError(f"{row!r} cannot be stored: {error}") from error
    return text


def read_row(cls: type[Row], text: str | bytes) -> Row:
    """The row that `write_row` was given.

    Raises:
        StoreError: it is none of this class.
    """
    try:
        return _rows().structure(json.loads(text), cls)
    except Exception as error:
        raise StoreError(
            f"a stored {cls.__name__} cannot be read: {error}; restore the store from a back-up"
        ) from error


def read_message(text: str | bytes) -> Message:
    """The message that `write_row` was given, or what is left of it: for `EventStore.messages`."""
    try:
        return read_row(Message, text)
    except StoreError as error:
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        named = found if isinstance(found, dict) else {}
        return unreadable_message(
            named.get("message_id"), named.get("kind"), named.get("target"), error
        )


@functools.cache
def _rows() -> cattrs.Converter:
    converter = make_converter(detailed=False)
    converter.register_structure_hook(WorkflowStatus, lambda value, _: WorkflowStatus(value))
    converter.register_unstructure_hook(WorkflowStatus, lambda status: status.value)
    converter.register_structure_hook(bytes, _read_bytes)
    converter.register_unstructure_hook(bytes, lambda data: base64.b64encode(data).decode())
    return converter


def _read_bytes(value: Any, _: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, binascii.Error) as error:
        raise TypeError(f"expected base64, got {value!r}") from error


def require_limit(limit: int) -> None:
    """Refuse a page without rows.

    Raises:
        TypeError: the limit is no number.
        ValueError: it is less than 1.
    """
    if not isinstance(limit, int):
        raise TypeError(f"limit is a number of rows, not {limit!r}")
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
