"""The file of the SQLite store: made, recognised, refused, and readable by other tools."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from aion_core.errors import (
    ConfigError,
    SchemaVersionError,
    StoreError,
    StoreUnavailableError,
)
from aion_core.plugins import PluginManager
from aion_core.testing.histories import Opener, Story, write
from aion_store_sqlite import plugin
from aion_store_sqlite.store import open_store


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _content(path: Path) -> bytes:
    return path.read_bytes()


async def test_the_plugin_opens_the_file_of_the_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manager = PluginManager()
    manager.register(plugin, name="sqlite")
    async with manager.open_store("sqlite:///my%20orders.db") as store:
        assert (await store.list_runs()).runs == []
    assert (tmp_path / "my orders.db").is_file()


async def test_a_relative_file_stays_the_same_when_the_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_store("sqlite:///here.db") as store:
        monkeypatch.chdir("/")
        async with store.writer() as writer:
            await write(writer, Story().started())
    assert _names(tmp_path) == ["here.db", "here.db.lock"]


async def test_only_its_owner_can_read_the_file(database: Path, sqlite_opener: Opener) -> None:
    former = os.umask(0)
    try:
        async with sqlite_opener() as store, store.writer() as writer:
            await write(writer, Story().started())
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode)
                for path in database.parent.iterdir()
                if path.name.startswith(database.name)
            }
    finally:
        os.umask(former)
    assert modes == dict.fromkeys([f"aion.db{end}" for end in ("", "-shm", "-wal", ".lock")], 0o600)


async def test_the_wal_is_gone_when_the_store_is_closed(
    database: Path, sqlite_opener: Opener
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, Story().started())
    assert not database.with_name("aion.db-wal").exists()


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
async def test_the_file_is_in_wal_mode_whatever_the_durability(
    database: Path, durability: str, level: int
) -> None:
    async with open_store(f"sqlite:///{database}?durability={durability}") as store:
        (mode,) = await store._main.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute("PRAGMA journal_mode").fetchone()
        )
        (synchronous,) = await store._main.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute("PRAGMA synchronous").fetchone()
        )
    assert (mode, synchronous) == ("wal", level)


async def test_many_stores_can_open_one_new_file_at_once(sqlite_opener: Opener) -> None:
    async def look() -> None:
        async with sqlite_opener() as store:
            assert (await store.list_runs()).runs == []

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(look)


async def test_two_names_of_one_file_have_one_writer(tmp_path: Path, database: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(database)
    async with (
        open_store(f"sqlite:///{database}") as one,
        open_store(f"sqlite:///{link}") as other,
        one.writer(),
    ):
        with pytest.raises(StoreUnavailableError):
            async with other.writer():
                pass


async def test_a_closed_store_says_so(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.list_runs()
    with pytest.raises(StoreError, match="closed"):
        async with store.writer():
            pass


async def _refused(path: Path, says: str, error: type[StoreError] = StoreUnavailableError) -> None:
    with pytest.raises(error) as caught:
        async with open_store(f"sqlite:///{path}"):
            pass
    assert says in str(caught.value)
    assert path.name in str(caught.value)


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    await _refused(tmp_path / "absent" / "aion.db", "create it first")


async def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    await _refused(tmp_path / "file" / "aion.db", "create it first")


async def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    await _refused(tmp_path, "is a directory")


async def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    await _refused(tmp_path / ("x" * 300), "cannot be created")


async def test_a_file_that_is_no_database_is_left_alone(database: Path) -> None:
    _write(database, b"Dear diary, " * 1000)
    await _refused(database, "not a SQLite database")
    assert _content(database) == b"Dear diary, " * 1000


async def test_the_database_of_another_program_is_left_alone(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    content = _content(database)
    await _refused(database, "another program")
    assert _content(database) == content
    assert _names(database.parent) == ["aion.db"]


async def test_an_empty_file_becomes_a_store(database: Path, sqlite_opener: Opener) -> None:
    _write(database, b"")
    async with sqlite_opener() as store:
        assert (await store.list_runs()).runs == []


async def test_a_newer_schema_is_refused_and_left_alone(
    database: Path, sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    async with sqlite_opener():
        pass
    execute("PRAGMA user_version = 99")
    await _refused(database, "upgrade aion-workflow-store-sqlite", SchemaVersionError)
    assert execute("PRAGMA user_version") == [(99,)]


async def test_a_lock_file_that_cannot_be_made_is_named(
    database: Path, sqlite_opener: Opener
) -> None:
    database.with_name("aion.db.lock").mkdir()
    async with sqlite_opener() as store:
        with pytest.raises(StoreUnavailableError, match="lock file"):
            async with store.writer():
                pass


async def test_a_url_without_a_file_is_a_mistake() -> None:
    with pytest.raises(ConfigError):
        async with open_store("sqlite://"):
            pass
