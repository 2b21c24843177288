"""What is in the file of the SQLite store: read by others, damaged, written beside readers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aion_core.contracts import EventStore
from aion_core.errors import CorruptHistoryError, StoreError
from aion_core.events import ParentRef
from aion_core.ids import ActivityId, ChildKey, RunId, WorkflowId
from aion_core.policies import Limit, Rate
from aion_core.testing.histories import FAILURE, Opener, Story, at, payload, write


@pytest.mark.parametrize(
    ("sql", "path", "reason"),
    [
        ("UPDATE events SET data = '{' WHERE seq = 3", "$", "not JSON"),
        ("UPDATE events SET data = '[]' WHERE seq = 3", "$", "an object"),
        ('UPDATE events SET data = \'{"name":"n"}\' WHERE seq = 3', "$.payload", "payload"),
        ("UPDATE events SET data = x'ff' WHERE seq = 3", "data", "utf-8"),
        ("UPDATE events SET data = CAST(x'ff' AS TEXT) WHERE seq = 3", "data", "utf-8"),
        ("UPDATE events SET kind = 'Nonsense' WHERE seq = 3", "kind", "Nonsense"),
        ("UPDATE events SET kind = CAST(x'ff' AS TEXT) WHERE seq = 3", "kind", "utf-8"),
        ("UPDATE events SET recorded_at = 'now' WHERE seq = 3", "recorded_at", "str"),
        ("UPDATE events SET recorded_at = 1 << 62 WHERE seq = 3", "recorded_at", "range"),
        ("DELETE FROM events WHERE seq = 3", "seq", "missing"),
    ],
)
async def test_a_corrupt_event_is_named(
    sqlite_opener: Opener,
    execute: Callable[..., object],
    sql: str,
    path: str,
    reason: str,
) -> None:
    story, other = Story("broken").started().signals(4), Story("sound").started()
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story, other)
        execute(sql)
        with pytest.raises(CorruptHistoryError) as caught:
            await store.read_history(story.workflow_id)
        assert (caught.value.workflow_id, caught.value.seq) == ("broken", 3)
        assert caught.value.path == path
        assert reason in str(caught.value)
        assert list(await store.read_history(other.workflow_id)) == other.events


async def test_people_can_read_the_file(
    sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    story = Story("o-1").started(at=at(1.5)).scheduled("activity:0", type="charge")
    story.activity_failed("activity:0", next_attempt_at=at(3)).timer("timer:0", at(60))
    ended = Story("o-2").started().failed(FAILURE)
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story, ended)
    assert execute("SELECT * FROM v_runs ORDER BY workflow_id") == [
        (
            *("o-1", "run", "order", "Running", "2024-03-01T00:00:01.500000Z", None, 4),
            *(None, None, None, None, None, None, None),
        ),
        (
            *("o-2", "run", "order", "Failed"),
            *("2024-03-01T00:00:00.000000Z", "2024-03-01T00:00:00.000000Z", 2),
            *("Declined: no money", None, None, None, None, None, None),
        ),
    ]
    assert execute("SELECT * FROM v_activities") == [
        (
            *("o-1", "activity:0", "charge", 2, 2, 1, "2024-03-01T00:00:03.000000Z", 0),
            *("run", 0, None, None, None, None),
        )
    ]
    assert execute("SELECT * FROM v_timers") == [
        ("o-1", "timer:0", 4, "2024-03-01T00:01:00.000000Z", "run")
    ]
    assert execute(
        "SELECT position, workflow_id, seq, recorded_at, kind, data ->> '$.fire_at' "
        "FROM v_events WHERE kind = 'TimerStarted'"
    ) == [(4, "o-1", 4, "2024-03-01T00:00:01.500000Z", "TimerStarted", "2024-03-01T00:01:00+00:00")]


async def test_people_can_read_why_and_whose_a_run_is(
    sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    parent = ParentRef(
        workflow_id=WorkflowId("p"), run_id=RunId("r"), child_key=ChildKey("child:0")
    )
    story = Story().started(parent=parent, attributes={"region": "north", "since": at(5)})
    story.scheduled("activity:0").activity_failed("activity:0", attempt=5)
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        await writer.put_stuck(story.workflow_id, "its code is gone")
    columns = "failed_activity, stuck, attributes, parent_id, parent_run_id, parent_child_key"
    assert execute(f"SELECT {columns} FROM v_runs") == [
        (
            *("activity:0", "its code is gone"),
            '{"region":"north","since":{"datetime":"2024-03-01T00:00:05+00:00"}}',
            *("p", "r", "child:0"),
        )
    ]


async def test_people_can_read_what_an_activity_waits_for(
    sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    story = Story().started().scheduled("a", limit=Limit("card", rate=Rate(2, 1.5)))
    story.activity_failed("a", held=True)
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        await writer.put_heartbeat(
            story.workflow_id, story.run_id, ActivityId("a"), 1, payload('"half"')
        )
    assert execute("SELECT held, rate_name, rate_window, heartbeat FROM v_activities") == [
        (1, "card", 1.5, '"half"')
    ]


async def test_views_show_instants_before_1970_and_after_all(
    sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    story = Story().started()
    story.timer("early", at(0).replace(year=1969, microsecond=999_999))
    story.timer("late", at(0).replace(year=9999))
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
    assert execute("SELECT fire_at FROM v_timers ORDER BY fire_at") == [
        ("1969-03-01T00:00:00.999999Z",),
        ("9999-03-01T00:00:00.000000Z",),
    ]


async def test_the_log_holds_all_events_in_one_order(
    sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    stories = [Story(name).started() for name in "abc"]
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, *stories)
        await write(writer, *(story.signal() for story in reversed(stories)))
    rows = execute("SELECT position, workflow_id, seq FROM v_events ORDER BY position")
    assert [row[0] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert "".join(str(row[1]) for row in rows) == "abccba"


async def test_another_program_that_reads_does_not_stop_the_writer(
    sqlite_opener: Opener, database: Path
) -> None:
    story = Story().started()
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        with closing(sqlite3.connect(database, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM events").fetchone()
            await write(writer, story.signal())
        assert len(await store.read_history(WorkflowId("w"))) == 2


async def test_reading_beside_a_writer_sees_what_is_committed(sqlite_opener: Opener) -> None:
    story = Story().started()
    async with sqlite_opener() as one, sqlite_opener() as other, one.writer() as writer:
        for _ in range(5):
            await write(writer, story.signal())
            for store in (one, other):
                assert list(await store.read_history(story.workflow_id)) == story.events


async def test_reading_goes_on_after_a_corrupt_event(
    sqlite_opener: Opener, execute: Callable[..., object]
) -> None:
    story = Story().started().signals(2)
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        execute("UPDATE events SET kind = 'Nonsense' WHERE seq = 1")
        with pytest.raises(CorruptHistoryError) as caught:
            await store.read_history(story.workflow_id)
        # As long as the error is kept: it must not keep the state of the file that it saw.
        execute("UPDATE events SET kind = 'WorkflowStarted' WHERE seq = 1")
        assert list(await store.read_history(story.workflow_id)) == story.events
    del caught


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE timers SET fire_at = 9000000000000000000",
        "UPDATE timers SET fire_at = 'x'",
        "UPDATE activities SET next_attempt_at = 'soon'",
        "UPDATE workflows SET status = 'Bogus'",
        "UPDATE workflows SET started_at = 9000000000000000000",
        "UPDATE workflows SET attributes = '{'",
        "UPDATE workflows SET attributes = '[]'",
        """UPDATE workflows SET attributes = '{"a":null}'""",
        "UPDATE activities SET heartbeat_type = 'text'",
        "UPDATE activities SET deadline = 'soon'",
        "DELETE FROM meta",
    ],
)
async def test_a_row_that_cannot_be_read_is_said_to_be_so(
    sqlite_opener: Opener, execute: Callable[..., object], change: str
) -> None:
    story = Story().started().scheduled("activity:0").timer("timer:0", at(5))
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
    execute(change)
    async with sqlite_opener() as store:
        with pytest.raises(StoreError, match=r"cannot be read \(.*restore it from a back-up"):
            await use_all(store)


async def use_all(store: EventStore) -> None:
    await store.list_runs()
    await store.open_activities()
    await store.expired_timers(datetime(9999, 1, 1, tzinfo=UTC))
    await store.next_timer()
    async with store.writer():
        pass
