"""Places in the feed: the next one for every event, none twice, whatever happens to the counter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aion_core.contracts import Append
from aion_core.testing.histories import Opener, Story, write
from aion_store_sqlite import upkeep
from aion_store_sqlite.encoded import SideWrite, encode
from aion_store_sqlite.log import Log
from aion_store_sqlite.places import RESERVED_AT_ONCE
from aion_store_sqlite.schema import create_file, prepare


@pytest.fixture
def connection(database: Path) -> Iterator[sqlite3.Connection]:
    create_file(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        prepare(connection, database, "normal")
        yield connection


@pytest.fixture
def log(database: Path, connection: sqlite3.Connection) -> Log:
    return _claimed(database, connection)


def _claimed(database: Path, connection: sqlite3.Connection) -> Log:
    log = Log(database)
    log.claim(connection, lambda: None)
    return log


def _commit(
    log: Log, connection: sqlite3.Connection, *appends: Append, epoch: int = 1
) -> list[object]:
    return log.commit(connection, epoch, [encode(append) for append in appends])


def _counter(connection: sqlite3.Connection) -> int:
    ((counter,),) = connection.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'events'"
    ).fetchall()
    return int(counter)


def _places(connection: sqlite3.Connection) -> list[int]:
    rows = connection.execute("SELECT position FROM events ORDER BY position").fetchall()
    return [position for (position,) in rows]


def test_the_counter_is_moved_once_for_many_events(
    log: Log, connection: sqlite3.Connection
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    assert _counter(connection) == 1 + RESERVED_AT_ONCE
    for _ in range(3):
        assert _commit(log, connection, story.signal().append()) == [None]
    assert _counter(connection) == 1 + RESERVED_AT_ONCE
    assert _commit(log, connection, story.signals(RESERVED_AT_ONCE).append()) == [None]
    assert _counter(connection) == 4 + 2 * RESERVED_AT_ONCE
    assert _places(connection) == list(range(1, 5 + RESERVED_AT_ONCE))


async def test_writers_of_one_store_give_places_without_a_gap(sqlite_opener: Opener) -> None:
    story = Story().started()
    for _ in range(3):
        async with sqlite_opener() as store, store.writer() as writer:
            await write(writer, story.signal())
    async with sqlite_opener() as store:
        assert [item.position for item in await store.feed()] == [1, 2, 3, 4]


def test_a_crash_leaves_no_gap(log: Log, connection: sqlite3.Connection, database: Path) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    successor = _claimed(database, connection)
    assert _commit(successor, connection, story.signal().append(), epoch=2) == [None]
    assert _places(connection) == [1, 2]


@pytest.mark.parametrize("dies", [False, True])
def test_a_purge_of_the_last_events_sets_no_place_free(
    log: Log, connection: sqlite3.Connection, database: Path, dies: bool
) -> None:
    first, old = Story("first").started(), Story("old").started().completed()
    assert _commit(log, connection, first.append(), old.append()) == [None, None]
    purge = SideWrite("a purge", lambda cursor: upkeep.purge(cursor, [old.workflow_id]), True)
    assert log.commit(connection, 1, [purge]) == [1]
    writer, epoch = (_claimed(database, connection), 2) if dies else (log, 1)
    assert _commit(writer, connection, Story("new").started().append(), epoch=epoch) == [None]
    assert _places(connection) == [1, 4]


def test_a_purge_of_what_is_not_last_keeps_the_last_place(
    log: Log, connection: sqlite3.Connection, database: Path
) -> None:
    old, new = Story("old").started().completed(), Story("new").started()
    assert _commit(log, connection, old.append(), new.append()) == [None, None]
    purge = SideWrite("a purge", lambda cursor: upkeep.purge(cursor, [old.workflow_id]), True)
    assert log.commit(connection, 1, [purge]) == [1]
    successor = _claimed(database, connection)
    assert _commit(successor, connection, new.signal().append(), epoch=2) == [None]
    assert _places(connection) == [3, 4]


def test_what_is_refused_takes_no_place(log: Log, connection: sqlite3.Connection) -> None:
    one, other = Story("one").started(), Story("other").started()
    refused = one.append(consume=["gone"])
    results = _commit(log, connection, refused, other.append())
    assert [result is None for result in results] == [False, True]
    assert _commit(log, connection, other.signal().append()) == [None]
    assert _places(connection) == [1, 2]


def test_an_event_of_another_program_is_not_overtaken(
    log: Log, connection: sqlite3.Connection, database: Path
) -> None:
    story, other_story = Story().started(), Story("other").started()
    assert _commit(log, connection, story.append(), other_story.append()) == [None, None]
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("INSERT INTO events VALUES (10, 7, 1, 'x', 0, '{}')")
    assert _commit(log, connection, other_story.signal().append()) == [None]
    assert _places(connection) == [1, 2, 10, 11]


def test_a_place_that_is_remembered_wrongly_costs_nothing_but_time(
    log: Log, connection: sqlite3.Connection
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    # Through the same connection, of which `data_version` does not tell.
    connection.execute("INSERT INTO events VALUES (2, 7, 1, 'x', 0, '{}')")
    assert _commit(log, connection, story.signal().append()) == [None]
    assert _places(connection) == [1, 2, 3]
