"""The log: writes batches of appends and what else a writer writes, one transaction for each batch.
Runs in the writing connection's thread; waits for nobody and knows of no tasks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from aion_core.errors import (
    FencedError,
    MessageGoneError,
    SequenceConflictError,
    StoreError,
)
from aion_core.history import RunClosed, RunOpened
from aion_core.ids import WorkflowId
from aion_store_sqlite import mail
from aion_store_sqlite.encoded import EncodedAppend, SideWrite
from aion_store_sqlite.faults import commit_fault, fault
from aion_store_sqlite.rows import NotOpenError, apply_change, create_workflow, note_seen

__all__ = ["Claim", "Log", "Write"]

Write: TypeAlias = EncodedAppend | SideWrite

MAX_HEADS = 10_000
"""Workflows whose heads are kept in memory; the others are looked up."""


class Log:
    """The end of every history, and the right to write there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Both hold as long as no other connection has written: `PRAGMA data_version` tells.
        self._heads: dict[WorkflowId, _Head] = {}
        self._epoch = 0
        self._data_version: int | None = None

    def claim(self, connection: sqlite3.Connection, confirm: Callable[[], None]) -> Claim:
        """Become the writer: raise the epoch, so that everybody else's appends are refused.

        Args:
            confirm: called when nobody else can be claiming; raises when it is not to be after all.

        Raises:
            StoreError: nobody is fenced.
        """
        try:
            cursor = self._begin(connection)
            confirm()
            self._observe(cursor)
            epoch = self._epoch + 1
            (written,) = cursor.execute("SELECT value FROM meta WHERE name = 'written'").fetchone()
            cursor.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", (epoch,))
            cursor.execute("UPDATE meta SET value = 1 WHERE name = 'written'")
            cursor.execute("COMMIT")
        except BaseException as error:
            self._forget(connection)
            if isinstance(error, sqlite3.Error):
                raise fault(error, self._path) from error
            raise
        self._epoch = epoch
        return Claim(epoch, after_crash=bool(written))

    def leave(self, connection: sqlite3.Connection, epoch: int) -> None:
        """Say that the writer ends in order: what follows is not after a crash.

        Raises:
            FencedError: there is another writer by now, which has to say that itself.
            StoreError: it could not be written; the next writer thinks that there was a crash.
        """
        try:
            cursor = self._authorized(connection, epoch)
            cursor.execute("UPDATE meta SET value = 0 WHERE name = 'written'")
            cursor.execute("COMMIT")
        except BaseException:
            self._forget(connection)
            raise

    def commit(
        self, connection: sqlite3.Connection, epoch: int, batch: Sequence[Write]
    ) -> list[object]:
        """Write a batch: for each append None, for each other write its result; instead of either
        a `StoreError`, when that one alone was refused.

        Raises:
            FencedError: the epoch is over; nothing was written.
            StoreUnavailableError: nothing was written.
            StoreError: nothing was written, or that cannot be told.
        """
        try:
            cursor = self._authorized(connection, epoch)
            heads: dict[WorkflowId, _Head] = {}
            try:
                results = self._write_together(cursor, batch, heads)
            except _FAULTS_OF_ONE:
                # Somewhere in the batch; found by giving each write a savepoint of its own. The
                # cached heads are not trusted either: a wrong one ends here, too.
                connection.rollback()
                self._heads.clear()
                heads.clear()
                cursor = self._authorized(connection, epoch)
                results = self._write_one_by_one(cursor, batch, heads)
        except BaseException as error:
            self._forget(connection)
            if isinstance(error, sqlite3.Error):
                raise fault(error, self._path) from error
            raise
        try:
            cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self._forget(connection)
            raise commit_fault(error, self._path) from error
        self._remember(heads)
        return results

    @staticmethod
    def _begin(connection: sqlite3.Connection) -> sqlite3.Cursor:
        # If an earlier rollback failed, too, it has to succeed before anything is written.
        connection.rollback()
        # A cursor's methods do not pass through the hop's execute().
        cursor = connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        return cursor

    def _authorized(self, connection: sqlite3.Connection, epoch: int) -> sqlite3.Cursor:
        cursor = self._begin(connection)
        self._observe(cursor)
        if self._epoch != epoch:
            raise FencedError(
                f"another writer has taken over {str(self._path)!r}; nothing was written, "
                "and this one can write no more"
            )
        return cursor

    def _observe(self, cursor: sqlite3.Cursor) -> None:
        """Drop what is remembered when another connection has written since."""
        (version,) = cursor.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            (self._epoch,) = cursor.execute(
                "SELECT value FROM meta WHERE name = 'epoch'"
            ).fetchone()
            self._heads.clear()
            self._data_version = version

    def _forget(self, connection: sqlite3.Connection) -> None:
        # Has everything read anew: of a failed COMMIT, even of a claim's, this connection's own
        # `data_version` does not tell.
        self._data_version = None
        # The first error is the one to tell; `_begin` tries again.
        with suppress(sqlite3.Error):
            connection.rollback()

    def _remember(self, heads: dict[WorkflowId, _Head]) -> None:
        for workflow_id, head in heads.items():
            self._heads.pop(workflow_id, None)
            if not head.closed:
                self._heads[workflow_id] = head
        while len(self._heads) > MAX_HEADS:
            del self._heads[next(iter(self._heads))]

    def _write_together(
        self, cursor: sqlite3.Cursor, batch: Sequence[Write], heads: dict[WorkflowId, _Head]
    ) -> list[object]:
        results: list[object] = []
        lines = _Lines(cursor)
        for write in batch:
            if isinstance(write, EncodedAppend):
                results.append(self._append(cursor, write, heads, lines))
            else:
                lines.write()
                results.append(self._write_aside(cursor, write, heads))
        lines.write()
        return results

    def _write_one_by_one(
        self, cursor: sqlite3.Cursor, batch: Sequence[Write], heads: dict[WorkflowId, _Head]
    ) -> list[object]:
        results: list[object] = []
        for write in batch:
            # Heads that it has moved go back with it.
            tried = dict(heads)
            cursor.execute("SAVEPOINT one")
            try:
                result: object
                (result,) = self._write_together(cursor, [write], tried)
                heads = tried
            except MessageGoneError as refusal:
                cursor.execute("ROLLBACK TO one")
                result = refusal
            except _FAULTS_OF_ONE as error:
                cursor.execute("ROLLBACK TO one")
                result = _unstorable(write, error)
            cursor.execute("RELEASE one")
            results.append(result)
        return results

    def _append(
        self,
        cursor: sqlite3.Cursor,
        append: EncodedAppend,
        heads: dict[WorkflowId, _Head],
        lines: _Lines,
    ) -> StoreError | None:
        head = self._head(cursor, append.workflow_id, heads)
        refusal = _refusal(append, head)
        if refusal is not None:
            return refusal
        if append.has_mail:
            mail.consume(cursor, append.workflow_id, append.consume)
            for message in append.post:
                mail.post(cursor, message)
            for answer in append.answer:
                mail.answer(cursor, answer)
        if append.events:
            heads[append.workflow_id] = _write_rows(cursor, append, head, lines)
        return None

    def _write_aside(
        self, cursor: sqlite3.Cursor, write: SideWrite, heads: dict[WorkflowId, _Head]
    ) -> object:
        if write.moves_heads:
            heads.clear()
            self._heads.clear()
        try:
            return write.apply(cursor)
        except StoreError as refusal:
            return refusal

    def _head(
        self, cursor: sqlite3.Cursor, workflow_id: WorkflowId, heads: dict[WorkflowId, _Head]
    ) -> _Head:
        head = heads.get(workflow_id) or self._heads.get(workflow_id)
        if head is not None:
            return head
        found = cursor.execute(
            "SELECT workflow, (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow) "
            "FROM workflows w WHERE workflow_id = ?",
            (workflow_id,),
        ).fetchone()
        if found is None:
            return _NOTHING
        workflow, seq = found
        return _Head(workflow, seq or 0, closed=False)


class Claim(NamedTuple):
    """The right to write: by which epoch, and whether the writer before did not leave in order."""

    epoch: int
    after_crash: bool


class _Head(NamedTuple):
    """Where a history ends; ``closed`` says that the batch at hand has ended its run."""

    workflow: int
    seq: int
    closed: bool


_NOTHING = _Head(workflow=0, seq=0, closed=False)

_INSERT_EVENT = "INSERT INTO events (workflow, seq, kind, recorded_at, data) VALUES (?, ?, ?, ?, ?)"

_FAULTS_OF_ONE = (
    MessageGoneError,
    NotOpenError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
    TypeError,
    AttributeError,
)
"""Errors for which one write's content is to blame, not the file or the disk."""


def _refusal(append: EncodedAppend, head: _Head) -> StoreError | None:
    if head.seq != append.expected_seq:
        return SequenceConflictError(append.workflow_id, append.expected_seq, head.seq)
    if head.seq == 0 and append.events and append.events[0].kind != "WorkflowStarted":
        return StoreError(
            f"the history of workflow {append.workflow_id!r} cannot begin with "
            f"{append.events[0].kind}; a workflow's first event is WorkflowStarted"
        )
    return None


def _unstorable(write: Write, error: Exception) -> StoreError:
    what = (
        f"an append to workflow {write.workflow_id!r} after event {write.expected_seq}"
        if isinstance(write, EncodedAppend)
        else write.what
    )
    refusal = StoreError(f"{what} cannot be stored: {error}")
    refusal.__cause__ = error
    return refusal


def _write_rows(cursor: sqlite3.Cursor, append: EncodedAppend, head: _Head, lines: _Lines) -> _Head:
    workflow, _, closed = head
    changes = iter(append.changes)
    if not workflow:
        opened = next(changes)
        assert isinstance(opened, RunOpened)
        workflow = create_workflow(cursor, append.workflow_id, opened)
    lines.add(workflow, append)
    if append.looks_back:
        lines.write()
    for change in changes:
        apply_change(cursor, workflow, change)
        closed = isinstance(change, RunClosed)
    return _Head(workflow, append.events[-1].seq, closed)


class _Lines:
    """Lines of the log, gathered: to write them together costs half as much."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor
        self._events: list[tuple[object, ...]] = []
        self._seen: list[tuple[int, str]] = []

    def add(self, workflow: int, append: EncodedAppend) -> None:
        """Take an append's events, to be written in the order in which they came."""
        self._events += [(workflow, *event) for event in append.events]
        if append.seen:
            self._seen += [(workflow, found) for found in append.seen]

    def write(self) -> None:
        """Write what has been gathered."""
        if self._events:
            self._cursor.executemany(_INSERT_EVENT, self._events)
            self._events = []
        if self._seen:
            note_seen(self._cursor, self._seen)
            self._seen = []
