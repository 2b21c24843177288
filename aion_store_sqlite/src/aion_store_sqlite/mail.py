"""Messages that wait, and the answers given to those from outside.

Within a transaction the functions of this module take a cursor; where one is to be made, the
connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from aion_core.codec import from_micros, to_micros
from aion_core.contracts import (
    Answer,
    Message,
    MessageKind,
    RunRef,
    StoredMessage,
    unreadable_message,
)
from aion_core.errors import MessageGoneError, StoreError
from aion_core.ids import RunId, WorkflowId
from aion_store_sqlite.columns import payload_columns, payload_of
from aion_store_sqlite.faults import transaction

__all__ = [
    "AnswerRow",
    "MessageRow",
    "answer",
    "answer_row",
    "answer_to",
    "consume",
    "forget_answers",
    "message_row",
    "messages_after",
    "post",
    "post_alone",
]

MessageRow: TypeAlias = tuple[object, ...]
AnswerRow: TypeAlias = tuple[object, ...]


def message_row(message: Message) -> MessageRow:
    """A message as a row.

    Raises:
        StoreError: it cannot be stored.
    """
    source = message.source
    try:
        row = (
            message.message_id,
            message.kind,
            message.target,
            to_micros(message.posted_at),
            *payload_columns(message.body),
            *((None,) * 3 if source is None else (source.workflow_id, source.run_id, source.seq)),
        )
        _require_columns(row)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _unstorable(message.message_id, error) from error
    return row


def answer_row(given: Answer) -> AnswerRow:
    """An answer as a row.

    Raises:
        StoreError: it cannot be stored.
    """
    try:
        row = (given.message_id, to_micros(given.answered_at), *payload_columns(given.body))
        _require_columns(row)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise _unstorable(given.message_id, error) from error
    return row


def consume(cursor: sqlite3.Cursor, workflow_id: WorkflowId, message_ids: Sequence[str]) -> None:
    """Take messages to a workflow out.

    Raises:
        MessageGoneError: one does not wait for it; others may be gone already.
    """
    for message_id in message_ids:
        cursor.execute(
            "DELETE FROM messages WHERE message_id = ? AND target = ?", (message_id, workflow_id)
        )
        if cursor.rowcount != 1:
            raise MessageGoneError(workflow_id, message_id)


def post(cursor: sqlite3.Cursor, row: MessageRow) -> None:
    """Add a message, unless it waits or has an answer."""
    cursor.execute(
        """
        INSERT INTO messages (message_id, kind, target, posted_at, body_type, body,
            source_id, source_run_id, source_seq)
        SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?
        WHERE NOT EXISTS (SELECT 1 FROM answers WHERE message_id = ?)
        ON CONFLICT (message_id) DO NOTHING
        """,
        (*row, row[0]),
    )


def post_alone(connection: sqlite3.Connection, path: Path, row: MessageRow) -> None:
    """Add a message from any process, in a transaction of its own.

    Raises:
        StoreUnavailableError: nothing was written.
        StoreError: it cannot be stored, or that cannot be told: to post it again is harmless.
    """
    with transaction(connection, path) as cursor:
        post(cursor, row)


def answer(cursor: sqlite3.Cursor, row: AnswerRow) -> None:
    """Keep an answer, the last one given."""
    cursor.execute(
        "INSERT OR REPLACE INTO answers (message_id, answered_at, body_type, body) "
        "VALUES (?, ?, ?, ?)",
        row,
    )


def forget_answers(cursor: sqlite3.Cursor, answered_to: datetime) -> int:
    """Delete answers given by then; returns how many."""
    cursor.execute("DELETE FROM answers WHERE answered_at <= ?", (to_micros(answered_to),))
    return cursor.rowcount


def messages_after(connection: sqlite3.Connection, after: int, limit: int) -> list[StoredMessage]:
    """A page of messages, in order of posting. A bad row spoils no other."""
    rows = connection.execute(
        """
        SELECT position, message_id, kind, target, posted_at, body_type, body,
            source_id, source_run_id, source_seq
        FROM messages WHERE position > ? ORDER BY position LIMIT ?
        """,
        (after, limit),
    ).fetchall()
    return [StoredMessage(position, _message(*row)) for position, *row in rows]


def answer_to(connection: sqlite3.Connection, message_id: str) -> Answer | None:
    """The answer to a message, if there is one.

    Raises:
        TypeError, ValueError: the row is not as this store writes it.
    """
    row = connection.execute(
        "SELECT answered_at, body_type, body FROM answers WHERE message_id = ?", (message_id,)
    ).fetchone()
    if row is None:
        return None
    answered_at, body_type, body = row
    return Answer(
        message_id=message_id,
        body=payload_of(body_type, body),
        answered_at=from_micros(answered_at),
    )


def _message(
    message_id: str,
    kind: MessageKind,
    target: str,
    posted_at: int,
    body_type: str,
    body: bytes,
    source_id: str | None,
    source_run_id: str | None,
    source_seq: int | None,
) -> Message:
    source = None
    if source_id is not None and source_run_id is not None and source_seq is not None:
        source = RunRef(WorkflowId(source_id), RunId(source_run_id), source_seq)
    try:
        return Message(
            message_id=message_id,
            kind=kind,
            target=WorkflowId(target),
            body=payload_of(body_type, body),
            posted_at=from_micros(posted_at),
            source=source,
        )
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        return unreadable_message(message_id, kind, target, error)


def _require_columns(row: Sequence[object]) -> None:
    for value in row:
        if isinstance(value, str):
            # Half a surrogate pair is text to Python, but not to a file.
            value.encode()
        elif isinstance(value, int):
            # Nor is a number of more than 64 bits.
            value.to_bytes(8, signed=True)


def _unstorable(message_id: str, error: Exception) -> StoreError:
    return StoreError(f"message {message_id!r} cannot be stored: {error!r}")
