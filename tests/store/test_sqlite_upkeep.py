"""Upkeep of the SQLite store: what a purge gives back, what is counted, what damage is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
import trio.testing

from aion_core.contracts import Append, Package
from aion_core.ids import PackageVersion, WorkflowId
from aion_core.policies import Limit, Rate
from aion_core.testing.histories import Opener, Story, answer, at, message, write

Execute: TypeAlias = Callable[..., list[tuple[object, ...]]]

TABLES = ("workflows", "events", "timers", "activities", "attributes", "seen")


def _large(name: str) -> Story:
    return Story(name).started().signal(json=f'"{"x" * 500_000}"').completed()


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_a_purge_leaves_no_row(sqlite_opener: Opener, execute: Execute) -> None:
    story = Story().started(attributes={"n": 1}).signal(id="s").timer("t", at(1)).completed()
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        assert await writer.purge([story.workflow_id]) == 1
    for table in TABLES:
        assert execute(f"SELECT count(*) FROM {table}") == [(0,)], table


async def test_what_a_purge_frees_is_used_again(sqlite_opener: Opener, database: Path) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, _large("a"))
    full = _size(database)
    for name in "bcd":
        async with sqlite_opener() as store, store.writer() as writer:
            assert await writer.purge(await store.list_workflow_ids()) == 1
            # The file keeps its size: what is free in it is for what comes next.
            await write(writer, _large(name))
    assert _size(database) <= full * 1.1


async def test_a_purged_workflow_can_be_made_anew(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        old = Story().started(attributes={"n": 1}).signal(id="s").completed()
        await write(writer, old)
        await writer.purge([old.workflow_id])
        new = Story().started().signal()
        await write(writer, new)
        assert list(await store.read_history(new.workflow_id)) == new.events
        assert await store.seen(new.workflow_id, ["s"]) == frozenset()
        assert list(await store.check()) == []


async def test_a_reader_elsewhere_sees_a_purge(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as one, sqlite_opener() as other, one.writer() as writer:
        await write(writer, Story().started().completed())
        assert await other.count() == 1
        await writer.purge([WorkflowId("w")])
        assert await other.count() == 0
        assert list(await other.read_history(WorkflowId("w"))) == []


async def test_a_history_purged_while_it_is_read_is_there_whole_or_not_at_all(
    sqlite_opener: Opener,
) -> None:
    story = Story().started().signals(3_000).completed()
    lengths: list[int] = []
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)

        async def read() -> None:
            lengths.append(len(await store.read_history(story.workflow_id)))

        async with trio.open_nursery() as nursery:
            # They take turns, piece by piece, so that the purge meets some halfway.
            for _ in range(20):
                nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            await writer.purge([story.workflow_id])
    assert set(lengths) <= {0, story.head}
    assert 0 in lengths


async def test_the_size_is_that_of_the_file_and_its_wal(
    sqlite_opener: Opener, database: Path
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, _large("a"))
        stats = await store.stats()
        sizes = [_size(database), _size(database.with_name("aion.db-wal"))]
        assert stats.bytes == sum(sizes)
        assert sum(sizes) > 500_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("UPDATE attributes SET value = 'number 2'", "'w' is found by the attributes"),
        ("DELETE FROM attributes", "'w' is found by the attributes"),
        ("INSERT INTO attributes VALUES (1, 'more', 'text x')", "'w' is found by the attributes"),
        ("DELETE FROM seen", "'w' does not know that it has seen 's'"),
        ("INSERT INTO seen VALUES (1, 'ghost')", "believes that it has seen 'ghost'"),
        ("DELETE FROM timers", "'w' lacks TimerRow"),
        ("UPDATE activities SET held = 1", "'w' lacks ActivityRow"),
        ("UPDATE activities SET rate_name = 'x', rate_window = 1", "follows from no event"),
        ("UPDATE workflows SET failed_activity = 'a'", "listed with failed_activity 'a'"),
        (
            "UPDATE workflows SET parent_id = 'p', parent_run_id = 'r', parent_child_key = 'c'",
            "listed with parent",
        ),
        ("UPDATE workflows SET status = 'Paused'", "listed with status"),
        ("UPDATE workflows SET status = 'Bogus'", "cannot be read (of workflow 'w': 'Bogus'"),
        ("UPDATE messages SET kind = 'wave'", "message 'm' is of the unknown kind 'wave'"),
        ("UPDATE package_routes SET version = 'v2'", "goes by the package 'v2', which is not"),
        (
            "UPDATE run_counts SET runs = 3",
            "3 workflows of type 'order' are counted as Running, and there are 1",
        ),
        ("DELETE FROM run_counts", "0 workflows of type 'order' are counted as Running"),
        ("INSERT INTO timers VALUES (9, 't', 1, 1)", "1 rows of timers belong to no workflow"),
        ("UPDATE workflows SET attributes = '{'", "cannot be read"),
        ("UPDATE events SET data = '{' WHERE kind = 'SignalReceived'", "event 2 of workflow 'w'"),
        ("DELETE FROM events WHERE seq = 2", "event 2 of workflow 'w'"),
    ],
)
async def test_damage_is_told_in_sentences(
    sqlite_opener: Opener, execute: Execute, change: str, says: str
) -> None:
    story = Story().started(attributes={"n": 1}).signal(id="s").scheduled("a").timer("t", at(1))
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        await store.post(message("m"))
        await writer.put_package(
            Package(workflow_type="t", version=PackageVersion("v"), archive=b"", deployed_at=at(0))
        )
        assert list(await store.check()) == []
        execute(change)
        assert says in "\n".join(await store.check())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM timers WHERE workflow = 1", "'paused' lacks TimerRow"),
        ("UPDATE activities SET attempt = 7 WHERE workflow = 2", "'stuck' lacks ActivityRow"),
        ("UPDATE timers SET fire_at = fire_at + 1 WHERE workflow = 2", "follows from no event"),
        ("UPDATE timers SET fire_at = 'x' WHERE workflow = 2", "a row that cannot be read"),
        ("INSERT INTO timers VALUES (3, 't', 1, 1)", "of workflow 'closed' follows from no event"),
        ("UPDATE answers SET body = 'text'", "the answer to message 'm' cannot be read"),
        ("UPDATE answers SET answered_at = 'x'", "the answer to message 'm' cannot be read"),
    ],
)
async def test_damage_is_told_also_of_what_no_list_names(
    sqlite_opener: Opener, execute: Execute, change: str, says: str
) -> None:
    """Rows of runs that are paused, stuck or closed, and answers."""
    paused = Story("paused").started().timer("t", at(1)).scheduled("a").paused()
    stuck = Story("stuck").started().timer("t", at(1)).scheduled("a")
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, paused, stuck, Story("closed").started().completed())
        await writer.put_stuck(stuck.workflow_id, "its code is gone")
        await writer.append_many([Append(stuck.workflow_id, [], stuck.head, answer=[answer("m")])])
        assert list(await store.check()) == []
        execute(change)
        assert says in "\n".join(await store.check())


@pytest.mark.parametrize(
    "other",
    [
        "UPDATE workflows SET status = 'Bogus' WHERE workflow = 1",
        "UPDATE timers SET fire_at = 'x' WHERE workflow = 1",
        "UPDATE activities SET attempt = 1, next_attempt_at = 'y' WHERE workflow = 1",
        "UPDATE messages SET posted_at = 'x'",
        "UPDATE package_routes SET version = 'v2'",
    ],
)
async def test_damage_hides_no_other_damage(
    sqlite_opener: Opener, execute: Execute, other: str
) -> None:
    stories = [Story(name).started().scheduled("a").timer("t", at(1)) for name in "ab"]
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, *stories)
        await store.post(message("m"))
        execute("UPDATE events SET data = '{' WHERE workflow = 2 AND seq = 2")
        execute(other)
        assert "event 2 of workflow 'b' cannot be read" in "\n".join(await store.check())


async def test_damage_to_the_file_itself_is_found(
    sqlite_opener: Opener, database: Path, execute: Execute
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, *(Story(f"w-{number}").started(at=at(number)) for number in range(9)))
    # An index whose rows stand in a wrong order, as after a write that never reached the disk.
    execute("PRAGMA writable_schema = ON")
    execute("UPDATE sqlite_master SET sql = replace(sql, 'DESC', '') WHERE name LIKE '%by_start'")
    async with sqlite_opener() as store:
        found = await store.check()
    assert f"{str(database)!r} is damaged" in "\n".join(found)


async def test_a_sound_store_has_nothing_wrong(sqlite_opener: Opener) -> None:
    paused = Story("paused").started().timer("t", at(1)).scheduled("a").paused()
    stuck = Story("stuck").started(attributes={"a": "x", "b": 2.5}).signal(id="s").update("u")
    closed = Story("closed").started().continued("2").signal(id="s").completed()
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, paused, stuck, closed)
        await writer.put_stuck(stuck.workflow_id, "its code is gone")
        assert list(await store.check()) == []


async def test_starts_that_count_no_more_are_not_kept(
    sqlite_opener: Opener, execute: Execute
) -> None:
    story = Story().started().scheduled("a", limit=Limit("card", rate=Rate(2, 1.5)))
    async with sqlite_opener() as store, store.writer() as writer:
        for second in range(5):
            story.now = at(second)
            await write(writer, story.delivered("a"))
        assert list(await store.limit_starts("card", at(0))) == [at(3), at(4)]
    assert execute("SELECT count(*) FROM limit_starts") == [(2,)]


async def test_starts_go_on_to_count_when_their_workflow_is_purged(sqlite_opener: Opener) -> None:
    story = Story().started().scheduled("a", limit=Limit("card", rate=Rate(2, 60)))
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story.delivered("a").completed())
        await writer.purge([story.workflow_id])
        assert list(await store.limit_starts("card", at(0))) == [at(0)]
