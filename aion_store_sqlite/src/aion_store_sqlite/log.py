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
from aion_store_sqlite.encoded import EncodedAppend, EncodedMail, SideWrite
from aion_store_sqlite.faults import commit_fault, fault
from aion_store_sqlite.gathering import Gathering
from aion_store_sqlite.places import PLACES, Places
from aion_store_sqlite.rows import NotOpenError, create_workflow

__all__ = ["Claim", "Log", "Write"]

Write: TypeAlias = EncodedAppend | SideWrite

MAX_HEADS = 10_000
"""Workflows whose heads are kept in memory; the others are looked up."""


class Log:
    """The end of every history, and the right to write there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # All of it holds as long as no other connection has written: `PRAGMA data_version` tells.
        self._heads: dict[WorkflowId, _Head] = {}
        self._places = Places(0, 0)
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
            try:
                results, ends = self._write_together(cursor, batch, self._ends())
            except _FAULTS_OF_ONE:
                # Somewhere in the batch; found by giving each write a savepoint of its own. What is
                # remembered is not trusted either: what is wrong in it ends here, too.
                connection.rollback()
                self._data_version = None
                cursor = self._authorized(connection, epoch)
                results, ends = self._write_one_by_one(cursor, batch)
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
        self._remember(ends)
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
            self._epoch, *places = cursor.execute(
                f"SELECT value, {PLACES} FROM meta WHERE name = 'epoch'"
            ).fetchone()
            self._places = Places(*places)
            self._heads.clear()
            self._data_version = version

    def _forget(self, connection: sqlite3.Connection) -> None:
        # Has everything read anew: of a failed COMMIT, even of a claim's, this connection's own
        # `data_version` does not tell.
        self._data_version = None
        # The first error is the one to tell; `_begin` tries again.
        with suppress(sqlite3.Error):
            connection.rollback()

    def _ends(self) -> _Ends:
        return _Ends({}, set(), self._places)

    def _remember(self, ends: _Ends) -> None:
        self._places = ends.places
        self._heads.update(ends.heads)
        for workflow_id in ends.closed:
            self._heads.pop(workflow_id, None)
        while len(self._heads) > MAX_HEADS:
            del self._heads[next(iter(self._heads))]

    def _write_together(
        self, cursor: sqlite3.Cursor, batch: Sequence[Write], ends: _Ends
    ) -> tuple[list[object], _Ends]:
        results: list[object] = []
        moved = ends.copy()
        gathering = Gathering(cursor, moved.places)
        for write in batch:
            if isinstance(write, EncodedAppend):
                results.append(self._append(cursor, write, moved, gathering))
            else:
                gathering.write()
                results.append(self._write_aside(cursor, write, moved))
        return results, moved._replace(places=gathering.write())

    def _write_one_by_one(
        self, cursor: sqlite3.Cursor, batch: Sequence[Write]
    ) -> tuple[list[object], _Ends]:
        results: list[object] = []
        ends = self._ends()
        for write in batch:
            cursor.execute("SAVEPOINT one")
            result: object
            try:
                # What it has moved goes back with it.
                (result,), ends = self._write_together(cursor, [write], ends)
            except MessageGoneError as refusal:
                cursor.execute("ROLLBACK TO one")
                result = refusal
            except _FAULTS_OF_ONE as error:
                cursor.execute("ROLLBACK TO one")
                result = _unstorable(write, error)
            cursor.execute("RELEASE one")
            results.append(result)
        return results, ends

    def _append(
        self,
        cursor: sqlite3.Cursor,
        append: EncodedAppend,
        ends: _Ends,
        gathering: Gathering,
    ) -> StoreError | None:
        workflow_id = append.workflow_id
        head = ends.heads.get(workflow_id) or self._heads.get(workflow_id)
        if head is None:
            head = _stored_head(cursor, workflow_id)
        workflow, seq = head
        if seq != append.expected_seq or not seq:
            refusal = _refusal(append, seq)
            if refusal is not None:
                return refusal
        if append.mail is not None:
            _write_mail(cursor, workflow_id, append.mail)
        if append.events:
            changes = append.changes
            if not workflow:
                opened, *changes = changes
                assert isinstance(opened, RunOpened)
                workflow = create_workflow(cursor, workflow_id, opened)
            gathering.add(workflow, append, changes)
            ends.heads[workflow_id] = (workflow, append.events[-1].seq)
            if isinstance(append.changes[-1], RunClosed):
                ends.closed.add(workflow_id)
        return None

    def _write_aside(self, cursor: sqlite3.Cursor, write: SideWrite, ends: _Ends) -> object:
        if write.moves_heads:
            ends.heads.clear()
            self._heads.clear()
        try:
            return write.apply(cursor)
        except StoreError as refusal:
            return refusal


class Claim(NamedTuple):
    """The right to write: by which epoch, and whether the writer before did not leave in order."""

    epoch: int
    after_crash: bool


_Head: TypeAlias = tuple[int, int]
"""Where a history ends: the number of its workflow in this file, and the seq of its last event."""

_NOTHING: _Head = (0, 0)


class _Ends(NamedTuple):
    """What a transaction has moved, to be remembered when it is committed.

    Attributes:
        closed: workflows to which nothing may ever come any more.
    """

    heads: dict[WorkflowId, _Head]
    closed: set[WorkflowId]
    places: Places

    def copy(self) -> _Ends:
        """One that can be moved, and thrown away when its part of the transaction is."""
        return _Ends(dict(self.heads), set(self.closed), self.places)


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


def _refusal(append: EncodedAppend, head: int) -> StoreError | None:
    if head != append.expected_seq:
        return SequenceConflictError(append.workflow_id, append.expected_seq, head)
    if not head and append.events and append.events[0].kind != "WorkflowStarted":
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


def _stored_head(cursor: sqlite3.Cursor, workflow_id: WorkflowId) -> _Head:
    found = cursor.execute(
        "SELECT workflow, (SELECT max(seq) FROM events e WHERE e.workflow = w.workflow) "
        "FROM workflows w WHERE workflow_id = ?",
        (workflow_id,),
    ).fetchone()
    if found is None:
        return _NOTHING
    workflow, seq = found
    return workflow, seq or 0


def _write_mail(cursor: sqlite3.Cursor, workflow_id: WorkflowId, written: EncodedMail) -> None:
    mail.consume(cursor, workflow_id, written.consume)
    for message in written.post:
        mail.post(cursor, message)
    for answer in written.answer:
        mail.answer(cursor, answer)
