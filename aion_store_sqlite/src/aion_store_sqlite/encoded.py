"""Writes made ready to be written. Whatever can be wrong with one alone is found out here, before
a transaction has begun and without looking at the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from aion_core import events as e
from aion_core.contracts import Append
from aion_core.errors import StoreError
from aion_core.history import Change, changes
from aion_core.ids import WorkflowId
from aion_core.storing import EventRow, event_rows
from aion_store_sqlite.mail import AnswerRow, MessageRow, answer_row, message_row

__all__ = ["EncodedAppend", "SideWrite", "encode", "seen_id"]


class EncodedMail(NamedTuple):
    """What an append does to messages and answers."""

    consume: Sequence[str]
    post: Sequence[MessageRow]
    answer: Sequence[AnswerRow]


class EncodedAppend(NamedTuple):
    """An append as rows and changes.

    Attributes:
        changes: of each event; None for none.
        seen: signal and update ids among the events.
        mail: None where it consumes, posts and answers nothing.
    """

    workflow_id: WorkflowId
    expected_seq: int
    events: Sequence[EventRow]
    changes: Sequence[Change | None]
    seen: Sequence[str]
    mail: EncodedMail | None


class SideWrite(NamedTuple):
    """Something else that a writer writes.

    Attributes:
        what: for the error, when it cannot be stored.
        apply: makes it within the transaction; raises `StoreError` having left nothing.
        moves_heads: histories may end elsewhere afterwards.
    """

    what: str
    apply: Callable[[sqlite3.Cursor], object]
    moves_heads: bool = False


def encode(append: Append) -> EncodedAppend:
    """Encode an append.

    Raises:
        StoreError: it has other events than the next ones of its workflow, or something in it
            has no stored form.
    """
    mail = None
    rows = event_rows(append)
    if append.consume or append.post or append.answer:
        mail = EncodedMail(
            tuple(append.consume),
            [message_row(message) for message in append.post],
            [answer_row(answer) for answer in append.answer],
        )
    seen: Sequence[str] = ()
    for event in append.events:
        if (found := seen_id(event)) is not None:
            seen = [*seen, found]
    known = append.changes
    return EncodedAppend(
        append.workflow_id,
        append.expected_seq,
        rows,
        _changes(append) if known is None else known,
        seen,
        mail,
    )


def _changes(append: Append) -> list[Change | None]:
    try:
        return [changes(event) for event in append.events]
    except OverflowError as error:
        raise StoreError(
            f"an append to workflow {append.workflow_id!r} after event {append.expected_seq} "
            f"cannot be stored: {error}"
        ) from error


def seen_id(event: e.HistoryEvent) -> str | None:
    """The id by which an event's sender knows it, when it has one."""
    if event.__class__ is e.SignalReceived:
        return event.signal_id
    if event.__class__ is e.UpdateAccepted:
        return event.update_id
    return None
