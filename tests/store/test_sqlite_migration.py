"""Files of former versions: opened, brought to the shape of today, and right afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import pytest
import trio

from aion_core.contracts import RunFilter
from aion_core.errors import CorruptHistoryError, FencedError, StoreError
from aion_core.events import ParentRef
from aion_core.history import TimerRow
from aion_core.ids import ActivityId, ChildKey, RunId, TimerId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.testing.histories import Opener, Story, at, write
from aion_store_sqlite.connection import open_connection
from aion_store_sqlite.encoded import encode
from aion_store_sqlite.log import Log
from aion_store_sqlite.migrations import MIGRATIONS
from aion_store_sqlite.schema import APPLICATION_ID

Execute: TypeAlias = Callable[..., list[tuple[object, ...]]]

FILES = Path(__file__).parent / "files"
"""What former versions wrote, dumped."""


@pytest.fixture
def old_file(database: Path) -> Path:
    _make_file(database, 1)
    return database


@pytest.fixture
def file_of_version_2(database: Path) -> None:
    _make_file(database, 2)


def _make_file(database: Path, version: int) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript((FILES / f"sqlite_version_{version}.sql").read_text())
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA journal_mode = WAL")


def test_a_released_migration_is_not_changed() -> None:
    digests = [blake2b(repr(each).encode(), digest_size=8).hexdigest() for each in MIGRATIONS]
    assert digests == DIGESTS


@pytest.mark.usefixtures("old_file")
async def test_a_file_of_version_1_has_all_rows_that_follow_from_its_events(
    sqlite_opener: Opener,
) -> None:
    async with sqlite_opener() as store:
        assert list(await store.check()) == []


@pytest.mark.usefixtures("old_file")
async def test_a_migrated_file_has_the_shape_of_a_new_one(
    sqlite_opener: Opener, execute: Execute, tmp_path: Path
) -> None:
    async with sqlite_opener():
        pass
    shape = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
    with closing(sqlite3.connect(tmp_path / "new.db")) as new:
        for migration in MIGRATIONS:
            for statement in migration:
                new.execute(statement)
        assert execute(shape) == new.execute(shape).fetchall()


@pytest.mark.usefixtures("old_file")
async def test_the_histories_of_version_1_are_all_there(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        found = {name: len(await store.read_history(WorkflowId(name))) for name in NAMES}
        assert found == {"running": 10, "child": 3, "failed": 4, "recovered": 4}


@pytest.mark.usefixtures("old_file")
async def test_new_columns_of_summaries_follow_from_old_events(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        child = await store.read_summary(WorkflowId("child"))
        failed = await store.read_summary(WorkflowId("failed"))
        recovered = await store.read_summary(WorkflowId("recovered"))
    assert child is not None
    assert failed is not None
    assert recovered is not None
    assert child.attributes == {"region": "north", "n": 1}
    assert child.parent == ParentRef(
        workflow_id=WorkflowId("running"), run_id=RunId("r-1"), child_key=ChildKey("child:0")
    )
    assert failed.failed_activity == "activity:0"
    assert (recovered.status, recovered.failed_activity) == (WorkflowStatus.COMPLETED, None)


@pytest.mark.usefixtures("old_file")
async def test_old_workflows_are_found_by_their_attributes(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        page = await store.list_runs(RunFilter(attributes={"n": 1.0}))
        assert [run.workflow_id for run in page.runs] == ["child"]


@pytest.mark.usefixtures("old_file")
async def test_old_activities_are_as_today_s_rules_have_them(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        rows = {
            (each.workflow_id, each.activity.activity_id): each.activity
            for each in await store.open_activities()
        }
    # The first version left the time for which a delivered attempt had waited.
    delivered = rows[WorkflowId("running"), ActivityId("activity:0")]
    assert (delivered.attempt, delivered.delivery, delivered.next_attempt_at) == (2, 2, None)
    assert rows[WorkflowId("child"), ActivityId("activity:0")].held is True
    assert len(rows) == 3


@pytest.mark.usefixtures("old_file")
async def test_old_timers_are_due(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        (found,) = await store.expired_timers(at(99))
    assert (found.workflow_id, found.run_id) == ("running", "r-1")
    assert found.timer == TimerRow(timer_id=TimerId("timer:0"), started_seq=6, fire_at=at(99))


@pytest.mark.usefixtures("old_file")
async def test_old_signals_are_seen(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        assert await store.seen(WorkflowId("running"), ["s-1", "s-2"]) == {"s-1"}


@pytest.mark.usefixtures("old_file")
async def test_a_migrated_file_is_written_like_any_other(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, Story().started().scheduled("activity:0"))
        # Behind all that the first version wrote.
        assert [item.event.workflow_id for item in await store.feed(after=21)] == ["w", "w"]
        assert list(await store.check()) == []


@pytest.mark.usefixtures("old_file")
async def test_a_history_that_cannot_be_read_does_not_keep_the_others_from_being_used(
    sqlite_opener: Opener, execute: Execute
) -> None:
    execute("UPDATE events SET data = '{' WHERE workflow = 1 AND seq = 2")
    async with sqlite_opener() as store:
        with pytest.raises(CorruptHistoryError):
            await store.read_history(WorkflowId("running"))
        assert len(await store.read_history(WorkflowId("failed"))) == 4
        assert "event 2 of workflow 'running' cannot be read" in " ".join(await store.check())


@pytest.mark.usefixtures("old_file")
async def test_a_value_of_which_no_row_can_be_made_does_not_keep_the_file_from_being_used(
    sqlite_opener: Opener, execute: Execute
) -> None:
    # To an event an instant is text; as microseconds in UTC this one lies behind the year 9999.
    execute(
        "UPDATE events SET data = replace(data, '2024-03-01T00:01:39+00:00', "
        "'9999-12-31T23:59:59-12:00') WHERE workflow = 1 AND kind = 'TimerStarted'"
    )
    async with sqlite_opener() as store:
        assert len(await store.read_history(WorkflowId("failed"))) == 4
        assert "workflow 'running' lacks TimerRow" in " ".join(await store.check())


@pytest.mark.parametrize("version", [1, 2])
async def test_a_writer_of_a_former_version_is_fenced(
    database: Path, sqlite_opener: Opener, version: int
) -> None:
    _make_file(database, version)
    log = Log(database)
    async with open_connection(database) as connection:
        claim = await connection.run(lambda raw: log.claim(raw, lambda: None))
        async with sqlite_opener():
            pass
        append = encode(Story().started().append())
        with pytest.raises(FencedError):
            await connection.run(lambda raw: log.commit(raw, claim.epoch, [append]))


@pytest.mark.usefixtures("old_file")
async def test_many_stores_can_migrate_one_file_at_once(sqlite_opener: Opener) -> None:
    async def look() -> None:
        async with sqlite_opener() as store:
            assert await store.count() == 4

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(look)


@pytest.mark.usefixtures("old_file")
async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    sqlite_opener: Opener, execute: Execute
) -> None:
    execute("CREATE TABLE answers (somebody TEXT)")
    with pytest.raises(StoreError, match="answers"):
        async with sqlite_opener():
            pass
    assert execute("PRAGMA user_version") == [(1,)]
    assert execute("SELECT name FROM sqlite_master WHERE name = 'messages'") == []
    execute("DROP TABLE answers")
    async with sqlite_opener() as store:
        assert list(await store.check()) == []


@pytest.mark.usefixtures("file_of_version_2")
async def test_a_file_of_version_2_has_all_rows_that_follow_from_its_events(
    sqlite_opener: Opener,
) -> None:
    async with sqlite_opener() as store:
        assert list(await store.check()) == []


@pytest.mark.parametrize("version", [1, 2])
async def test_old_workflows_are_counted(
    database: Path, sqlite_opener: Opener, version: int
) -> None:
    _make_file(database, version)
    async with sqlite_opener() as store:
        for kind in KINDS:
            assert await store.count(kind) == len((await store.list_runs(kind)).runs)
        assert await store.count() == {1: 4, 2: 7}[version]


@pytest.mark.usefixtures("file_of_version_2")
async def test_a_file_of_version_2_is_written_like_any_other(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, Story().started().scheduled("activity:0"))
        assert [item.position for item in await store.feed(after=17)] == [18, 19, 20]
        assert await writer.purge([WorkflowId("failed"), WorkflowId("completed-0")]) == 2
        assert await store.count() == 6
        assert list(await store.check()) == []


@pytest.mark.usefixtures("file_of_version_2")
async def test_after_a_migration_no_place_is_given_twice(
    sqlite_opener: Opener, execute: Execute
) -> None:
    # Purged by that version, and known by SQLite's counter alone.
    execute("DELETE FROM events WHERE position > 16")
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, Story().started())
        assert [item.position for item in await store.feed(after=16)] == [19]


KINDS = [
    RunFilter(workflow_type=workflow_type, status=status, stuck=stuck)
    for workflow_type in (None, "order", "billing", "unknown")
    for status in (None, *WorkflowStatus)
    for stuck in (None, True, False)
]
NAMES = ("running", "child", "failed", "recovered")
DIGESTS = ["c10edfc7cfb1e04d", "1a47a8b52df87fd2", "d3db5edd2c8c9c7c"]
