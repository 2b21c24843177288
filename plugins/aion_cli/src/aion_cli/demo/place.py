"""The files of one trial, and reading a store without getting in its way.

The demo's own store is read through copies of its file. Another one is read as it stands: there is
no other way to read a store of any kind.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import attrs

import aion_runtime as aion
from aion_cli.demo.evidence import Histories
from aion_core.contracts import DueTimer, EventStore, OpenActivity
from aion_core.history import WorkflowSummary
from aion_core.ids import WorkflowId

__all__ = ["Place", "Snapshot", "copy_database", "read_histories", "read_snapshot", "store_url"]

WAL_HEADER_BYTES = 32
COPY_ATTEMPTS = 20
PAGE = 500


@attrs.frozen
class Place:
    """Where a trial keeps its files.

    Attributes:
        store: URL of the store, if it is not to be the demo's own.
    """

    directory: Path
    store: str | None = None

    @property
    def database(self) -> Path:
        """The demo's own store."""
        return self.directory / "demo.db"

    @property
    def url(self) -> str:
        """The store of the engine."""
        return store_url(self.database) if self.store is None else self.store

    @property
    def ledger(self) -> Path:
        """What the activities wrote."""
        return self.directory / "ledger.jsonl"

    @property
    def log(self) -> Path:
        """What the engine's processes wrote to stderr."""
        return self.directory / "engine.log"


def store_url(database: Path) -> str:
    """The URL of a store in a file."""
    return f"sqlite:///{quote(str(database.absolute()))}"


def copy_database(source: Path, target: Path) -> None:
    """Copy a database with its write-ahead log, as a crash at this moment would leave it.

    Also while it is being written: a copy is of one moment unless the log was started anew between
    its two files, which shows in the log's header; then it is made once more.
    """
    for _ in range(COPY_ATTEMPTS):
        before = _wal_header(source)
        shutil.copyfile(source, target)
        _copy_if_there(_wal(source), _wal(target))
        if _wal_header(source) == before:
            return
    raise OSError(f"no copy of one moment could be made of {source} in {COPY_ATTEMPTS} attempts")


def remove_companions(database: Path) -> None:
    """Remove what SQLite keeps beside a database file."""
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _wal(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _wal_header(database: Path) -> bytes:
    try:
        with _wal(database).open("rb") as file:
            return file.read(WAL_HEADER_BYTES)
    except FileNotFoundError:
        return b""


def _copy_if_there(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)


@attrs.frozen
class Snapshot:
    """Where all runs stand at one moment."""

    runs: Sequence[WorkflowSummary] = ()
    activities: Sequence[OpenActivity] = ()
    timers: Sequence[DueTimer] = ()

    @property
    def waiting(self) -> set[WorkflowId]:
        """Runs with an open timer and no open activity: they wait for a signal."""
        busy = {row.workflow_id for row in self.activities}
        return {row.workflow_id for row in self.timers} - busy


async def read_snapshot(url: str) -> Snapshot:
    """Read where all runs stand."""
    async with aion.open_store(url) as store:
        return Snapshot(
            await _all_runs(store),
            await store.open_activities(),
            await store.expired_timers(datetime.max.replace(tzinfo=UTC)),
        )


async def read_histories(url: str) -> Histories:
    """Read all histories."""
    async with aion.open_store(url) as store:
        return {
            run.workflow_id: await store.read_history(run.workflow_id)
            for run in await _all_runs(store)
        }


async def _all_runs(store: EventStore) -> Sequence[WorkflowSummary]:
    page = await store.list_runs(limit=PAGE)
    runs = list(page.runs)
    while page.cursor is not None:
        page = await store.list_runs(limit=PAGE, cursor=page.cursor)
        runs += page.runs
    return runs
