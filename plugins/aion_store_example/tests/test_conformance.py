"""The store, held against the contract."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from aion_core.contracts import Message, StoreCapabilities
from aion_core.ids import WorkflowId
from aion_core.storing import read_row
from aion_core.testing.store_suite import Opener, StoreSuite
from aion_store_example import keys
from aion_store_example.database import Table, close_database, open_database
from aion_store_example.provider import open_store


class TestLmdbStore(StoreSuite):
    capabilities = StoreCapabilities(persistent=True, multi_process=True)

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return lambda: open_store(f"lmdb:///{tmp_path}/store")

    @pytest.fixture
    def crash(self, tmp_path: Path) -> Callable[[], Opener]:
        """What a killed process leaves is the files, and locks that nobody holds."""

        def crash() -> Opener:
            left = tmp_path / f"crash-{len(list(tmp_path.iterdir()))}"
            shutil.copytree(tmp_path / "store", left)
            return lambda: open_store(f"lmdb:///{left}")

        return crash

    @pytest.fixture
    def fill_disk(
        self, no_room: Callable[[], AbstractContextManager[None]]
    ) -> Callable[[], AbstractContextManager[None]]:
        return no_room

    @pytest.fixture
    def corrupt_event(self, tmp_path: Path) -> Callable[[WorkflowId, int], None]:
        def corrupt(workflow_id: WorkflowId, seq: int) -> None:
            key = keys.text(workflow_id) + keys.number(seq)
            database = open_database(tmp_path / "store", 2**30)
            with database.writing() as txn:
                event = txn.get(Table.EVENTS, key)
                assert event is not None
                txn.put(Table.EVENTS, key, event[:-2])
            close_database(database)

        return corrupt

    @pytest.fixture
    def corrupt_message(self, tmp_path: Path) -> Callable[[str], None]:
        def corrupt(message_id: str) -> None:
            database = open_database(tmp_path / "store", 2**30)
            with database.writing() as txn:
                found = [
                    (key, value)
                    for key, value in txn.scan(Table.MESSAGES)
                    if read_row(Message, value).message_id == message_id
                ]
                for key, value in found:
                    txn.put(Table.MESSAGES, key, value.replace(b'"signal"', b'"wave"'))
            assert found
            close_database(database)

        return corrupt
