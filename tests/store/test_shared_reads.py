"""Reads that come together go to the connection's thread together."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
import trio
import trio.testing

from aion_core.errors import StoreError
from aion_store_sqlite.connection import Connection, open_connection
from aion_store_sqlite.schema import create_file
from aion_store_sqlite.shared_reads import ROWS_AT_ONCE, SharedReads

Read: TypeAlias = Callable[[sqlite3.Connection], object]


class CountingConnection(Connection):
    """Counts how often the thread is changed."""

    hops = 0

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        self.hops += 1
        return await super().run(*args, **kwargs)


async def in_parallel(reads: SharedReads, functions: Sequence[Read]) -> list[object]:
    """What each of them gives or raises, in order."""
    results: list[object] = [None] * len(functions)

    async def one(place: int) -> None:
        try:
            results[place] = await reads.run(functions[place])
        except Exception as error:
            results[place] = error

    async with trio.open_nursery() as nursery:
        for place in range(len(functions)):
            nursery.start_soon(one, place)
    return results


@pytest.fixture
async def connection(database: Path) -> AsyncIterator[CountingConnection]:
    create_file(database)
    async with open_connection(database) as opened:
        opened.__class__ = CountingConnection
        yield cast("CountingConnection", opened)


@pytest.fixture
def reads(connection: Connection, database: Path) -> SharedReads:
    return SharedReads(connection, database)


def number(value: int) -> Read:
    return lambda connection: connection.execute("SELECT ?", (value,)).fetchone()[0]


async def test_reads_that_come_while_one_is_under_way_go_together(
    reads: SharedReads, connection: CountingConnection
) -> None:
    assert await in_parallel(reads, [number(each) for each in range(30)]) == list(range(30))
    assert connection.hops == 2


async def test_behind_a_read_of_many_rows_others_wait_for_the_next_turn(
    reads: SharedReads, connection: CountingConnection
) -> None:
    def many(connection: sqlite3.Connection) -> list[int]:
        return [0] * ROWS_AT_ONCE

    assert await in_parallel(reads, [many] * 4) == [[0] * ROWS_AT_ONCE] * 4
    assert connection.hops == 4


async def test_the_error_of_one_read_is_not_that_of_the_others(reads: SharedReads) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT * FROM nowhere")

    first, error, last = await in_parallel(reads, [number(1), broken, number(3)])
    assert (first, last) == (1, 3)
    assert isinstance(error, StoreError)
    assert "nowhere" in str(error)


async def test_whatever_a_read_raises_reaches_its_caller(reads: SharedReads) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        raise LookupError("mine")

    results = await in_parallel(reads, [number(1), broken, number(3)])
    assert [type(each) for each in results] == [int, LookupError, int]


async def test_every_read_of_a_closed_connection_is_refused_by_an_error_of_its_own(
    reads: SharedReads, connection: CountingConnection
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held(connection: sqlite3.Connection) -> None:
        begun.set()
        go_on.wait(10)

    errors: list[StoreError] = []

    async def refused() -> None:
        with pytest.raises(StoreError, match="has been closed") as raised:
            await reads.run(number(1))
        errors.append(raised.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reads.run, held)
        await trio.to_thread.run_sync(begun.wait)
        nursery.start_soon(refused)
        nursery.start_soon(refused)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(connection.close)
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
    first, second = errors
    assert first is not second


async def test_reads_go_on_after_one_that_was_cancelled(reads: SharedReads) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await reads.run(number(1)) == 1
    assert await in_parallel(reads, [number(2), number(3)]) == [2, 3]
