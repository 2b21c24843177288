"""The log: writes batches of appends, one transaction for each. Runs in the writing connection's
thread; waits for nobody and knows of no tasks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aion_core.errors import FencedError, SequenceConflictError, StoreError
from aion_core.history import RunClosed, RunOpened
from aion_core.ids import WorkflowId
from aion_store_sqlite.encoded import EncodedAppend
from aion_store_sqlite.faults import commit_fault, fault
from aion_store_sqlite.rows import NotOpenError, apply_change, create_workflow

__all__ = ["Claim", "Log"]

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
        self, connection: sqlite3.Connection, epoch: int, batch: Sequence[EncodedAppend]
    ) -> list[StoreError | None]:
        """Write a batch: for each append None, or why it alone was refused.

        Raises:
            FencedError: the epoch is over; nothing was written.
            StoreUnavailableError: nothing was written.
            StoreError: nothing was written, or that cannot be told.
        """
        try:
            cursor = self._authorized(connection, epoch)
            heads: dict[WorkflowId, _Head] = {}
            try:
                refusals = self._write_together(cursor, batch, heads)
            except _FAULTS_OF_ONE:
                # Somewhere in the batch; found by giving each append a savepoint of its own. The
                # cached heads are not trusted either: a wrong one ends here, too.
                connection.rollback()
                self._heads.clear()
                heads.clear()
                cursor = self._authorized(connection, epoch)
                refusals = self._write_one_by_one(cursor, batch, heads)
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
        return refusals

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
        self,
        cursor: sqlite3.Cursor,
        batch: Sequence[EncodedAppend],
        heads: dict[WorkflowId, _Head],
    ) -> list[StoreError | None]:
        refusals: list[StoreError | None] = []
        events: list[tuple[object, ...]] = []
        for append in batch:
            head = self._head(cursor, append.workflow_id, heads)
            refusal = _refusal(append, head)
            refusals.append(refusal)
            if refusal is None:
                heads[append.workflow_id] = head = _write_rows(cursor, append, head)
                events += [(head.workflow, *event) for event in append.events]
        cursor.executemany(_INSERT_EVENT, events)
        return refusals

    def _write_one_by_one(
        self,
        cursor: sqlite3.Cursor,
        batch: Sequence[EncodedAppend],
        heads: dict[WorkflowId, _Head],
    ) -> list[StoreError | None]:
        refusals: list[StoreError | None] = []
        for append in batch:
            cursor.execute("SAVEPOINT one")
            try:
                head = self._head(cursor, append.workflow_id, heads)
                refusal = _refusal(append, head)
                if refusal is None:
                    head = _write_rows(cursor, append, head)
                    cursor.executemany(
                        _INSERT_EVENT, [(head.workflow, *event) for event in append.events]
                    )
                    heads[append.workflow_id] = head
            except _FAULTS_OF_ONE as error:
                cursor.execute("ROLLBACK TO one")
                refusal = StoreError(
                    f"an append to workflow {append.workflow_id!r} after event "
                    f"{append.expected_seq} cannot be stored: {error}"
                )
                refusal.__cause__ = error
            cursor.execute("RELEASE one")
            refusals.append(refusal)
        return refusals

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
    NotOpenError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
    TypeError,
)
"""Errors for which one append's content is to blame, not the file or the disk."""


def _refusal(append: EncodedAppend, head: _Head) -> StoreError | None:
    if head.seq != append.expected_seq:
        return SequenceConflictError(append.workflow_id, append.expected_seq, head.seq)
    if head.seq == 0 and append.events[0].kind != "WorkflowStarted":
        return StoreError(
            f"the history of workflow {append.workflow_id!r} cannot begin with "
            f"{append.events[0].kind}; a workflow's first event is WorkflowStarted"
        )
    return None


def _write_rows(cursor: sqlite3.Cursor, append: EncodedAppend, head: _Head) -> _Head:
    workflow, _, closed = head
    for change in append.changes:
        if not workflow:
            assert isinstance(change, RunOpened)
            workflow = create_workflow(cursor, append.workflow_id, change)
        else:
            apply_change(cursor, workflow, change)
        closed = isinstance(change, RunClosed)
    return _Head(workflow, append.events[-1].seq, closed)
