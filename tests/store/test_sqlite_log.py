"""The log of the SQLite store, below tasks and queues: faults in the middle of a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from aion_core.contracts import Append
from aion_core.errors import (
    FencedError,
    MessageGoneError,
    SequenceConflictError,
    StoreError,
    StoreUnavailableError,
)
from aion_core.ids import ActivityId
from aion_core.policies import Limit, Rate
from aion_core.testing.histories import Opener, Story, message, write
from aion_store_sqlite import log as log_module
from aion_store_sqlite import mail, reads, upkeep
from aion_store_sqlite.connection import open_connection
from aion_store_sqlite.encoded import SideWrite, encode
from aion_store_sqlite.log import Log, Write
from aion_store_sqlite.schema import create_file, prepare


class FailingCommit(sqlite3.Connection):
    """Fails its next COMMIT with a given error, before or after doing it."""

    error: sqlite3.OperationalError | None = None
    after: bool = False

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(FailingCursor)


class FailingCursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> FailingCursor:
        connection = self.connection
        assert isinstance(connection, FailingCommit)
        if sql == "COMMIT" and connection.error is not None:
            error, connection.error = connection.error, None
            if connection.after:
                super().execute(sql)
            raise error
        return super().execute(sql, parameters)


def _error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("out of luck")
    error.sqlite_errorcode = code
    return error


@pytest.fixture
def connection(database: Path) -> Iterator[FailingCommit]:
    create_file(database)
    with closing(
        sqlite3.connect(database, isolation_level=None, factory=FailingCommit)
    ) as connection:
        prepare(connection, database, "normal")
        yield connection


@pytest.fixture
def log(database: Path, connection: FailingCommit) -> Log:
    log = Log(database)
    assert log.claim(connection, lambda: None).epoch == 1
    return log


def _commit(log: Log, connection: sqlite3.Connection, *appends: Append) -> list[object]:
    return log.commit(connection, 1, [encode(append) for append in appends])


def _history(connection: sqlite3.Connection, story: Story) -> Sequence[object]:
    return reads.events_after(connection, story.workflow_id, 0, 99)


def test_a_commit_without_room_wrote_nothing_and_can_be_tried_again(
    log: Log, connection: FailingCommit
) -> None:
    story = Story().started()
    append = story.append()
    connection.error = _error(sqlite3.SQLITE_FULL)
    with pytest.raises(StoreUnavailableError, match="free some disk space"):
        _commit(log, connection, append)
    assert _history(connection, story) == []
    assert _commit(log, connection, append) == [None]


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_whose_answer_is_lost_is_an_error_that_asks_to_read(
    log: Log, connection: FailingCommit, after: bool
) -> None:
    story = Story().started()
    append = story.append()
    connection.error = _error(sqlite3.SQLITE_IOERR_FSYNC)
    connection.after = after
    with pytest.raises(StoreError, match="read the history") as caught:
        _commit(log, connection, append)
    assert type(caught.value) is StoreError
    # Whatever became of it, the log does not go on from what it believed.
    assert len(_history(connection, story)) == after
    (refusal,) = _commit(log, connection, append)
    assert isinstance(refusal, SequenceConflictError) is after
    assert _commit(log, connection, story.signal().append()) == [None]
    assert _history(connection, story) == story.events


def test_a_full_disk_fails_the_batch_whole_and_leaves_nothing(
    log: Log, connection: FailingCommit
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    small, large = Story("small").started(), Story("large").started()
    large.signal(json=f'"{"x" * 100_000}"')
    with pytest.raises(StoreUnavailableError, match="free some disk space"):
        _commit(log, connection, small.append(), large.append())
    assert _history(connection, small) == []
    connection.execute("PRAGMA max_page_count = 1000000")
    assert _commit(log, connection, Append(large.workflow_id, large.events, 0)) == [None]
    assert _commit(log, connection, story.signal().append()) == [None]
    assert _history(connection, story) == story.events


def test_a_lock_of_another_program_is_unavailable_for_now(
    log: Log, connection: FailingCommit, database: Path
) -> None:
    append = Story().started().append()
    connection.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="end its transaction"):
            _commit(log, connection, append)
    assert _commit(log, connection, append) == [None]


def _execute(connection: sqlite3.Connection, sql: str) -> None:
    connection.execute(sql)


async def test_errors_of_sqlite_come_out_as_sentences(database: Path) -> None:
    create_file(database)
    async with open_connection(database) as connection:
        await connection.run(lambda raw: _execute(raw, "PRAGMA busy_timeout = 0"))
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="another program keeps"):
                await connection.run(lambda raw: _execute(raw, "BEGIN IMMEDIATE"))
        with pytest.raises(StoreError, match="syntax error") as caught:
            await connection.run(lambda raw: _execute(raw, "SELEKT"))
        assert type(caught.value) is StoreError


def test_writing_by_another_program_is_noticed(
    log: Log, connection: FailingCommit, database: Path
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("INSERT INTO events SELECT NULL, workflow, 2, kind, 0, data FROM events")
    (refusal,) = _commit(log, connection, story.signal().append())
    assert isinstance(refusal, SequenceConflictError)
    assert refusal.found == 2


def test_a_head_remembered_wrongly_costs_nothing_but_time(
    log: Log, connection: FailingCommit
) -> None:
    stories = [Story(name).started() for name in "abc"]
    assert _commit(log, connection, *(story.append() for story in stories)) == [None] * 3
    # Through the same connection, of which `data_version` does not tell.
    connection.execute(
        "INSERT INTO events SELECT NULL, workflow, 2, kind, 0, data FROM events "
        "WHERE workflow = (SELECT workflow FROM workflows WHERE workflow_id = 'b')"
    )
    refusals = _commit(log, connection, *(story.signal().append() for story in stories))
    assert refusals[0] is None
    assert isinstance(refusals[1], SequenceConflictError)
    assert refusals[2] is None
    assert _history(connection, stories[0]) == stories[0].events
    assert _history(connection, stories[2]) == stories[2].events


def test_an_epoch_that_has_moved_fences(
    log: Log, connection: FailingCommit, database: Path
) -> None:
    with closing(sqlite3.connect(database)) as other, other:
        other.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
    story = Story().started()
    with pytest.raises(FencedError):
        _commit(log, connection, story.append())
    assert _history(connection, story) == []


def test_a_claim_that_is_not_confirmed_leaves_the_epoch(
    log: Log, connection: FailingCommit
) -> None:
    def refuse() -> None:
        raise StoreUnavailableError("too late")

    with pytest.raises(StoreUnavailableError, match="too late"):
        log.claim(connection, refuse)
    assert _commit(log, connection, Story().started().append()) == [None]


def test_heads_that_are_forgotten_are_looked_up(
    log: Log, connection: FailingCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "MAX_HEADS", 2)
    stories = [Story(str(number)).started() for number in range(5)]
    assert _commit(log, connection, *(story.append() for story in stories)) == [None] * 5
    for story in stories:
        assert _commit(log, connection, story.signal().append()) == [None]
        assert _commit(log, connection, story.completed().append()) == [None]
        assert _history(connection, story) == story.events
    assert list(log._heads) == []


def _statements(log: Log, connection: FailingCommit, *appends: Append) -> list[str]:
    """What SQLite is asked to do for a batch, without what it does by triggers."""
    found: list[str] = []
    connection.set_trace_callback(found.append)
    assert _commit(log, connection, *appends) == [None] * len(appends)
    connection.set_trace_callback(None)
    # What a trigger does is told as one more run of the statement that set it off.
    return [" ".join(statement.split()[:3]) for statement, _ in groupby(found)]


def test_a_step_costs_no_statement_more_than_it_needs(log: Log, connection: FailingCommit) -> None:
    story = Story().started().scheduled("a")
    assert _commit(log, connection, story.append()) == [None]
    story.activity_completed("a").scheduled("b")
    assert _statements(log, connection, story.append()) == [
        "BEGIN IMMEDIATE",
        "PRAGMA data_version",
        "INSERT INTO events",
        "DELETE FROM activities",
        "INSERT OR REPLACE",
        "COMMIT",
    ]


def test_the_steps_of_many_workflows_share_their_statements(
    log: Log, connection: FailingCommit
) -> None:
    stories = [Story(str(number)).started().scheduled("a") for number in range(64)]
    assert _commit(log, connection, *(story.append() for story in stories)) == [None] * 64
    for story in stories:
        story.activity_completed("a").scheduled("b")
    found = _statements(log, connection, *(story.append() for story in stories))
    assert found == [
        "BEGIN IMMEDIATE",
        "PRAGMA data_version",
        *["INSERT INTO events"] * 2,
        *["DELETE FROM activities"] * 64,
        "INSERT OR REPLACE",
        "COMMIT",
    ]


def test_an_end_costs_no_statement_more_than_it_needs(log: Log, connection: FailingCommit) -> None:
    story = Story().started()
    assert _statements(log, connection, story.append()) == [
        "BEGIN IMMEDIATE",
        "PRAGMA data_version",
        "SELECT workflow, (SELECT",
        "INSERT INTO workflows",
        "UPDATE sqlite_sequence SET",
        "INSERT INTO sqlite_sequence",
        "INSERT INTO events",
        "COMMIT",
    ]
    assert _statements(log, connection, story.completed().append()) == [
        "BEGIN IMMEDIATE",
        "PRAGMA data_version",
        "INSERT INTO events",
        "DELETE FROM timers",
        "DELETE FROM activities",
        "UPDATE workflows SET",
        "COMMIT",
    ]


def test_only_an_event_with_an_id_is_written_to_what_was_seen(
    log: Log, connection: FailingCommit
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    assert "INSERT OR IGNORE" not in _statements(log, connection, story.signals(5).append())
    assert "INSERT OR IGNORE" in _statements(log, connection, story.signal(id="s").append())


def test_messages_of_others_cost_the_writer_only_a_look(
    log: Log, connection: FailingCommit, database: Path
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        mail.post_alone(other, database, mail.message_row(message("m")))
    assert _statements(log, connection, story.signal().append()) == [
        "BEGIN IMMEDIATE",
        "PRAGMA data_version",
        "SELECT value, max(",
        "SELECT workflow, (SELECT",
        "INSERT INTO events",
        "COMMIT",
    ]


def test_a_commit_of_mail_whose_answer_is_lost_asks_to_read(
    connection: FailingCommit, database: Path
) -> None:
    row = mail.message_row(message("m"))
    connection.error = _error(sqlite3.SQLITE_IOERR_FSYNC)
    connection.after = True
    with pytest.raises(StoreError, match="may have been written"):
        mail.post_alone(connection, database, row)
    # To post it again is harmless.
    mail.post_alone(connection, database, row)
    assert len(mail.messages_after(connection, 0, 9)) == 1


def test_a_side_write_that_cannot_be_stored_is_refused_alone(
    log: Log, connection: FailingCommit
) -> None:
    def unstorable(cursor: sqlite3.Cursor) -> None:
        cursor.execute("UPDATE workflows SET stuck = 'x'")
        cursor.execute("UPDATE workflows SET stuck = ?", ("\ud800",))

    one, other = Story("a").started(), Story("b").started()
    batch: list[Write] = [
        encode(one.append()),
        SideWrite("a reason", unstorable),
        encode(other.append()),
    ]
    results = log.commit(connection, 1, batch)
    assert (results[0], results[2]) == (None, None)
    assert isinstance(results[1], StoreError)
    assert "a reason cannot be stored" in str(results[1])
    assert connection.execute("SELECT stuck FROM workflows").fetchall() == [(None,), (None,)]


async def test_details_that_are_no_payload_are_refused_and_the_writer_goes_on(
    sqlite_opener: Opener,
) -> None:
    nothing: Any = None
    story = Story().started().scheduled("a")
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        with pytest.raises(StoreError, match="a heartbeat of a of workflow 'w' cannot be stored"):
            await writer.put_heartbeat(story.workflow_id, story.run_id, ActivityId("a"), 1, nothing)
        await write(writer, story.activity_completed("a"))


def test_a_start_under_a_limit_costs_the_same_however_many_count(
    log: Log, connection: FailingCommit
) -> None:
    story = Story().started().scheduled("a", limit=Limit("api", rate=Rate(1, 60)))
    assert _commit(log, connection, story.append()) == [None]
    first = _steps(log, connection, story.delivered("a").append())
    for _ in range(2000):
        story.delivered("a")
    assert _commit(log, connection, story.append()) == [None]
    assert _steps(log, connection, story.delivered("a").append()) < 2 * first


def _steps(log: Log, connection: sqlite3.Connection, append: Append) -> int:
    """How many steps SQLite's machine takes for an append, roughly."""
    steps: list[None] = []
    connection.set_progress_handler(lambda: steps.append(None), 10)
    assert _commit(log, connection, append) == [None]
    connection.set_progress_handler(None, 0)
    return len(steps)


def test_a_purge_between_appends_of_one_batch_is_made_in_its_turn(
    log: Log, connection: FailingCommit
) -> None:
    old, new = Story().started().completed(), Story().started()
    batch: list[Write] = [
        encode(old.append()),
        SideWrite("a purge", lambda cursor: upkeep.purge(cursor, [old.workflow_id]), True),
        encode(new.append()),
    ]
    assert log.commit(connection, 1, batch) == [None, 1, None]
    assert _history(connection, old) == new.events
    assert _commit(log, connection, new.signal().append()) == [None]


def test_a_refused_append_does_not_move_the_head_of_its_workflow(
    log: Log, connection: FailingCommit
) -> None:
    story = Story().started()
    assert _commit(log, connection, story.append()) == [None]
    lost, kept = Story().started(), Story().started()
    for each in (lost, kept):
        each.append()
    refusals = _commit(
        log,
        connection,
        lost.signal().append(consume=["gone"]),
        kept.signal().append(),
    )
    assert isinstance(refusals[0], MessageGoneError)
    assert refusals[1] is None
    assert _history(connection, story) == kept.events
