"""Both stores of this repository by the conformance kit."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from pathlib import Path

import pytest

from aion_core.contracts import EventStore, StoreCapabilities
from aion_core.ids import WorkflowId
from aion_core.testing.store_suite import Opener, StoreSuite
from aion_store_memory.store import MemoryStore
from aion_store_sqlite.store import open_store

BYTES_LEFT = 1_000_000


class TestMemory(StoreSuite):
    capabilities = StoreCapabilities(persistent=False, multi_process=False)

    @pytest.fixture
    def opener(self, memory: MemoryStore) -> Opener:
        @asynccontextmanager
        async def open_memory() -> AsyncIterator[EventStore]:
            yield memory

        return open_memory

    @pytest.fixture
    def memory(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def corrupt_event(self, memory: MemoryStore) -> Callable[[WorkflowId, int], None]:
        def corrupt(workflow_id: WorkflowId, seq: int) -> None:
            rows = memory._contents.workflows[workflow_id].rows
            rows[seq - 1] = rows[seq - 1]._replace(data="{")

        return corrupt


class TestSqlite(StoreSuite):
    capabilities = StoreCapabilities(persistent=True, multi_process=True)

    @pytest.fixture
    def opener(self, sqlite_opener: Opener) -> Opener:
        return sqlite_opener

    @pytest.fixture
    def crash(self, database: Path, tmp_path: Path) -> Callable[[], Opener]:
        """A copy of the files is what a process that is killed now would leave."""

        def left_behind() -> Opener:
            copy = tmp_path / "left behind" / database.name
            copy.parent.mkdir()
            for path in database.parent.glob(f"{database.name}*"):
                if path.suffix != ".lock":
                    shutil.copy(path, copy.parent)
            return lambda: open_store(f"sqlite:///{copy}")

        return left_behind

    @pytest.fixture
    def fill_disk(self) -> Callable[[], AbstractContextManager[object]]:
        """No file of this process may grow beyond what the store has needed so far."""

        @contextmanager
        def full() -> Iterator[None]:
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES_LEFT, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        return full

    @pytest.fixture
    def corrupt_event(self, database: Path) -> Callable[[WorkflowId, int], None]:
        def corrupt(workflow_id: WorkflowId, seq: int) -> None:
            with closing(sqlite3.connect(database, isolation_level=None)) as connection:
                changed = connection.execute(
                    """
                    UPDATE events SET data = '{' WHERE seq = ? AND workflow =
                        (SELECT workflow FROM workflows WHERE workflow_id = ?)
                    """,
                    (seq, workflow_id),
                )
                assert changed.rowcount == 1

        return corrupt

    @pytest.fixture
    def corrupt_message(self, database: Path) -> Callable[[str], None]:
        def corrupt(message_id: str) -> None:
            with closing(sqlite3.connect(database, isolation_level=None)) as connection:
                changed = connection.execute(
                    "UPDATE messages SET kind = 'wave' WHERE message_id = ?", (message_id,)
                )
                assert changed.rowcount == 1

        return corrupt
