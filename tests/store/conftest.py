"""What the tests of the SQLite store share: its file, and another program's view of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aion_core.testing.histories import Opener
from aion_store_sqlite.store import open_store


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "aion.db"


@pytest.fixture
def sqlite_opener(database: Path) -> Opener:
    return lambda: open_store(f"sqlite:///{database}")


@pytest.fixture
def execute(database: Path) -> Iterator[Callable[..., list[tuple[object, ...]]]]:
    """Runs a statement as another program would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:

        def run(sql: str, *parameters: object) -> list[tuple[object, ...]]:
            return connection.execute(sql, parameters).fetchall()

        yield run
