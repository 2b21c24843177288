"""What is the store's own: its place, its size, one process, several processes."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager
from pathlib import Path

import lmdb
import pytest
import trio

from aion_core.contracts import EventStore, OpenActivity
from aion_core.errors import SchemaVersionError, StoreUnavailableError
from aion_core.plugins import PluginManager
from aion_core.policies import Limit
from aion_core.testing.histories import Story, all_runs, at, message, write
from aion_store_example.database import Counter, close_database, open_database
from aion_store_example.provider import open_store

pytestmark = pytest.mark.trio

LONG = "x" * 600
WRITER = """
import sys, trio
from aion_store_example.provider import open_store
async def main():
    async with open_store(sys.argv[1]) as store, store.writer():
        print("writing", flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
POSTER = """
import sys, trio
from aion_core.testing.histories import message
from aion_store_example.provider import open_store
async def main():
    async with open_store(sys.argv[1]) as store:
        await store.post(message("from-afar"))
trio.run(main)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"lmdb:///{tmp_path}/store"


@contextmanager
def writing_process(url: str) -> Iterator[int]:
    """A process that is the writer of a store; killed when this is left. Yields its pid."""
    with subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
            yield process.pid
        finally:
            process.kill()


async def test_the_store_is_found_by_its_scheme(url: str) -> None:
    async with PluginManager.installed().open_store(url) as store:
        assert await store.list_workflow_ids() == []


async def test_a_directory_without_its_parent_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="whose parent is there"):
        async with open_store(f"lmdb:///{tmp_path}/no/store"):
            pass


async def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="name a directory"):
        async with open_store(f"lmdb:///{tmp_path}/file"):
            pass


async def test_a_store_of_a_newer_version_is_left_alone(url: str, tmp_path: Path) -> None:
    async with open_store(url):
        database = open_database(tmp_path / "store", 2**30)
        with database.writing() as txn:
            txn.set_number(Counter.FORMAT, 99)
        close_database(database)
    with pytest.raises(SchemaVersionError, match="format 99"):
        async with open_store(url):
            pass


async def test_a_store_that_is_closed_says_so(url: str) -> None:
    async with open_store(url) as store:
        pass
    with pytest.raises(StoreUnavailableError, match="is closed"):
        await store.list_workflow_ids()


async def test_the_directory_can_be_read_by_its_owner_only(url: str, tmp_path: Path) -> None:
    async with open_store(url):
        assert (tmp_path / "store").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("ids", [["xb", LONG + "c", LONG + "b", LONG, "x"], [LONG, "w", "y"]])
async def test_long_ids_have_their_place_in_lists(url: str, ids: list[str]) -> None:
    stories = [Story(each).started().scheduled("a") for each in ids]
    async with open_store(url) as store, store.writer() as writer:
        await write(writer, *stories)
        assert await all_runs(store, 1) == sorted(ids)
        assert [each.workflow_id for each in await _one_by_one(store)] == sorted(ids)


async def _one_by_one(store: EventStore) -> list[OpenActivity]:
    found: list[OpenActivity] = []
    after = None
    while page := await store.open_activities(after=after, limit=1):
        (each,) = page
        after = (each.workflow_id, each.activity.scheduled_seq)
        found.append(each)
    return found


async def test_a_store_that_has_reached_its_size_says_what_to_do(url: str) -> None:
    story = Story().started()
    async with open_store(url + "?map_mib=1") as store, store.writer() as writer:
        await write(writer, story)
        big = Story("big").started().signal(json='"' + "x" * 2_000_000 + '"').append()
        with pytest.raises(StoreUnavailableError, match=r"map_mib=2$"):
            await writer.append_many([big])
        assert await store.list_workflow_ids() == [story.workflow_id]
    async with open_store(url + "?map_mib=20") as store, store.writer() as writer:
        assert await writer.append_many([big]) == [None]


async def test_stores_of_one_process_share_what_lmdb_opens_once(url: str) -> None:
    async with open_store(url) as one, open_store(url) as other:
        await one.post(message("m"))
        assert [each.message.message_id for each in await other.messages()] == ["m"]


async def test_a_store_that_all_have_closed_is_closed(url: str, tmp_path: Path) -> None:
    async with open_store(url), open_store(url):
        pass
    # LMDB refuses what is open in this process.
    lmdb.open(str(tmp_path / "store"), max_dbs=20).close()


async def test_a_writer_that_was_dropped_stands_in_nobodys_way(url: str) -> None:
    dropped = await open_store(url).__aenter__()
    await dropped.writer().__aenter__()
    del dropped
    gc.collect()
    async with open_store(url) as store, store.writer() as writer:
        assert writer.after_crash


async def test_a_writer_of_another_process_is_named(url: str) -> None:
    async with open_store(url) as store:
        with writing_process(url) as pid, pytest.raises(StoreUnavailableError, match=rf"\b{pid}\b"):
            async with store.writer():
                pass


async def test_a_writer_that_was_killed_leaves_its_place(url: str) -> None:
    async with open_store(url) as store:
        with writing_process(url) as pid:
            os.kill(pid, signal.SIGKILL)
        async with store.writer() as writer:
            assert writer.after_crash


async def test_another_process_can_post_while_one_writes(url: str) -> None:
    async with open_store(url) as store, store.writer():
        await trio.run_process([sys.executable, "-c", POSTER, url])
        assert [each.message.message_id for each in await store.messages()] == ["from-afar"]


async def test_a_claim_that_could_not_be_written_stands_in_nobodys_way(
    url: str, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    async with open_store(url) as store:
        with no_room(), pytest.raises(StoreUnavailableError):
            async with store.writer():
                pass
        async with store.writer() as writer:
            assert not writer.after_crash


async def test_a_writer_that_cannot_say_that_it_leaves_leaves_all_the_same(
    url: str, no_room: Callable[[], AbstractContextManager[None]]
) -> None:
    async with open_store(url) as store, AsyncExitStack() as stack:
        await stack.enter_async_context(store.writer())
        with no_room():
            await stack.aclose()
        async with store.writer() as writer:
            assert writer.after_crash


async def test_starts_under_a_rate_limit_outlive_their_workflow(url: str) -> None:
    longest = 3_000 * 365.25 * 24 * 3600
    limit = Limit("api", rate=(5, longest))
    story = Story().started().scheduled("a", limit=limit).delivered("a").completed()
    async with open_store(url) as store, store.writer() as writer:
        await write(writer, story)
        await writer.purge([story.workflow_id])
        assert await store.limit_starts("api", at(0)) == [story.events[2].recorded_at]


async def test_starts_that_count_no_more_are_forgotten(url: str) -> None:
    limit = Limit("api", rate=(5, 60))
    story = Story().started().scheduled("a", limit=limit).delivered("a")
    async with open_store(url) as store, store.writer() as writer:
        await write(writer, story)
        story.now = at(61)
        story.delivered("a", delivery=2)
        await write(writer, story)
        assert await store.limit_starts("api", at(0)) == [story.events[3].recorded_at]
