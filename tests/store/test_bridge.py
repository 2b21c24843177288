"""The bridge: aiosqlite awaited from trio, its threads ended, asyncio left as it was."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import types
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest
import trio
import trio.testing

from aion_core.errors import StoreUnavailableError
from aion_store_sqlite.bridge import TrioLoop, on_trio
from aion_store_sqlite.connection import Connection, open_connection
from aion_store_sqlite.schema import create_file


@pytest.fixture
async def connection(database: Path) -> AsyncIterator[Connection]:
    create_file(database)
    async with open_connection(database) as opened:
        yield opened


def _one(connection: sqlite3.Connection) -> int:
    (value,) = connection.execute("SELECT 1").fetchone()
    return int(value)


async def test_plain_aiosqlite_works_on_trio(database: Path) -> None:
    loop = TrioLoop()
    db = await on_trio(loop, aiosqlite.connect(database))
    try:
        await on_trio(loop, db.execute("CREATE TABLE t (x)"))
        cursor = await on_trio(loop, db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)]))
        await on_trio(loop, cursor.close())
        await on_trio(loop, db.commit())
        cursor = await on_trio(loop, db.execute("SELECT x FROM t"))
        assert [row[0] for row in await on_trio(loop, cursor.fetchall())] == [1, 2]
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await on_trio(loop, db.execute("SELECT * FROM absent"))
    finally:
        await on_trio(loop, db.close())


async def test_a_function_runs_whole_in_the_thread_of_the_connection(
    connection: Connection,
) -> None:
    def look(raw: sqlite3.Connection) -> tuple[int, int]:
        return threading.get_ident(), _one(raw)

    thread, value = await connection.run(look)
    assert value == 1
    assert thread != threading.get_ident()
    assert (await connection.run(look))[0] == thread


async def test_an_error_of_the_function_comes_out_as_it_is(connection: Connection) -> None:
    error = LookupError("mine")

    def fail(_: sqlite3.Connection) -> None:
        raise error

    with pytest.raises(LookupError) as caught:
        await connection.run(fail)
    assert caught.value is error


async def test_other_tasks_run_while_one_waits(connection: Connection) -> None:
    let_go = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, lambda _: let_go.wait(20))
        await trio.testing.wait_all_tasks_blocked()
        let_go.set()


async def test_asyncio_sees_no_loop_while_a_function_runs(connection: Connection) -> None:
    let_go = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, lambda _: let_go.wait(20))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        let_go.set()
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


async def test_a_started_function_is_waited_for_when_cancelled(connection: Connection) -> None:
    let_go = threading.Event()
    results: list[int] = []

    async def run() -> None:
        def slow(raw: sqlite3.Connection) -> int:
            let_go.wait(20)
            return _one(raw)

        results.append(await connection.run(slow))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        let_go.set()
    assert results == [1]


async def test_a_result_is_told_before_whoever_asked_goes_on(connection: Connection) -> None:
    told: list[object] = []
    assert await connection.run(_one, tell=told.append) == 1
    assert told == [1]
    with pytest.raises(ZeroDivisionError):
        await connection.run(lambda _: 1 // 0, tell=told.append)
    assert told == [1]


async def test_functions_of_many_tasks_run_one_after_another(connection: Connection) -> None:
    running = threading.Lock()
    results: list[int] = []

    def alone(raw: sqlite3.Connection) -> int:
        assert running.acquire(blocking=False)
        try:
            return _one(raw)
        finally:
            running.release()

    async def run() -> None:
        results.append(await connection.run(alone))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(run)
    assert results == [1] * 100


async def test_a_keyboard_interrupt_does_not_reach_the_stepping() -> None:
    seen: list[bool] = []

    async def look() -> None:
        seen.append(trio.lowlevel.currently_ki_protected())
        await trio.lowlevel.checkpoint()
        seen.append(trio.lowlevel.currently_ki_protected())

    await on_trio(TrioLoop(), look())
    assert seen == [True, True]
    assert not trio.lowlevel.currently_ki_protected()


async def test_closing_under_cancellation_ends_the_thread(database: Path) -> None:
    create_file(database)
    before = threading.active_count()
    with trio.CancelScope() as scope:
        async with open_connection(database) as connection:
            assert threading.active_count() == before + 1
            await connection.run(_one)
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    _assert_threads_end(before)


async def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        async with open_connection(tmp_path / "absent.db"):
            pass
    _assert_threads_end(before)


def _assert_threads_end(count: int) -> None:
    # The thread has been told to end, or has just said so; it is not its end yet.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(20)
    assert threading.active_count() == count


async def test_trio_asyncio_is_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trio_asyncio", types.ModuleType("trio_asyncio"))
    with pytest.raises(StoreUnavailableError, match="trio_asyncio"):
        async with open_connection(database):
            pass


@pytest.mark.parametrize("how", ["raise LookupError", "raise KeyboardInterrupt", "sys.exit(1)"])
def test_a_program_that_fails_inside_a_store_ends(database: Path, how: str) -> None:
    program = f"""
import sys
import trio
from aion_store_sqlite.store import open_store

async def main():
    async with open_store({f"sqlite:///{database}"!r}) as store, store.writer():
        {how}

trio.run(main)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=30, capture_output=True, check=False
    )
    assert ended.returncode != 0
