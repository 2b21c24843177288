"""Copies of a store are of one moment, and sabotage takes away what it says and no more."""

import itertools
import random
import threading
from pathlib import Path

import attrs
import pytest
import trio

import aion_runtime as aion
from aion_cli.demo.place import copy_database, read_histories, read_snapshot, store_url
from aion_cli.demo.sabotage import Cut, choose_cut, rewrite
from aion_core import events as e
from aion_core.contracts import Append
from aion_core.payloads import JSON, Payload
from tests.cli.stories import Story


@pytest.fixture
def database(tmp_path: Path) -> Path:
    # Characters that mean something in URLs must reach the file's name.
    directory = tmp_path / "100% of ?#&é"
    directory.mkdir()
    return directory / "demo.db"


async def fill(database: Path, *stories: Story) -> None:
    async with aion.open_store(store_url(database)) as store, store.writer() as writer:
        appends = [Append(story.id, story.events, 0) for story in stories]
        assert await writer.append_many(appends) == [None] * len(stories)


def test_a_store_url_names_the_file_whatever_its_name(database: Path) -> None:
    trio.run(fill, database, Story())
    assert database.is_file()


async def test_a_copy_made_while_the_store_is_written_is_of_one_moment(database: Path) -> None:
    """Enough is written for SQLite to start its log anew several times."""
    story = Story()
    bulk = Payload(JSON, b'"' + b"x" * 20_000 + b'"')
    signal = e.SignalReceived(
        seq=1, recorded_at=story.events[0].recorded_at, workflow_id=story.id, name="s", payload=bulk
    )
    written = trio.Event()
    done = False

    async def write() -> None:
        nonlocal done
        async with aion.open_store(store_url(database)) as store, store.writer() as writer:
            await writer.append(story.id, story.events, 0)
            written.set()
            for seq in range(2, 500):
                await writer.append(story.id, [attrs.evolve(signal, seq=seq)], seq - 1)
        done = True

    lengths = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        copy = database.with_name("copy.db")
        await written.wait()
        while not done:
            await trio.to_thread.run_sync(copy_database, database, copy)
            histories = await read_histories(store_url(copy))
            lengths.append(len(histories.get(story.id, ())))
            for history in histories.values():
                assert [event.seq for event in history] == list(range(1, len(history) + 1))
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3


def test_a_copy_never_pairs_a_log_with_a_database_from_before_it_was_started(
    tmp_path: Path,
) -> None:
    """What SQLite does now and then, done all the time: all into the database, then a new log."""
    database, log = tmp_path / "x.db", tmp_path / "x.db-wal"
    database.write_bytes(b"0" * 500_000)
    log.write_bytes(b"0" * 32)
    done = threading.Event()

    def restart_the_log() -> None:
        with database.open("r+b", buffering=0) as file, log.open("r+b", buffering=0) as log_file:
            for number in itertools.count(1):
                for each in (file, log_file):
                    each.seek(0)
                    each.write(b"%032d" % number)
                if done.wait(0.02):
                    return

    thread = threading.Thread(target=restart_the_log)
    thread.start()
    copy = tmp_path / "copy.db"
    try:
        for _ in range(300):
            copy_database(database, copy)
            started_at = int(copy.with_name("copy.db-wal").read_bytes())
            assert started_at <= int(copy.read_bytes()[:32])
    finally:
        done.set()
        thread.join()


async def test_a_snapshot_names_the_runs_that_wait(database: Path) -> None:
    waits = Story("order-1").scheduled(0).completed(0).waiting()
    works = Story("order-2").waiting().scheduled(0)
    over = Story("order-3").ended()
    await fill(database, waits, works, over)
    snapshot = await read_snapshot(store_url(database))
    assert snapshot.waiting == {"order-1"}
    assert {run.workflow_id for run in snapshot.runs} == {"order-1", "order-2", "order-3"}


async def test_sabotage_cuts_one_history_before_a_completed_charge(database: Path) -> None:
    victim = Story("order-1").scheduled(0).completed(0).ended()
    other = Story("order-2").scheduled(0).waiting()
    await fill(database, victim, other)
    before = await read_histories(store_url(database))
    cut = choose_cut(before, random.Random(1))
    assert cut == Cut("order-1", "charge", "activity:0", keep=2)

    await rewrite(database, before, cut)

    assert await read_histories(store_url(database)) == {
        "order-1": victim.until(2),
        "order-2": other.events,
    }
    snapshot = await read_snapshot(store_url(database))
    assert {row.workflow_id for row in snapshot.activities} == {"order-1", "order-2"}
    assert {path.name for path in database.parent.iterdir()} <= {"demo.db", "demo.db.lock"}


def test_there_is_nothing_to_sabotage_without_a_completed_charge() -> None:
    story = Story().scheduled(0).scheduled(1, "ship").completed(1)
    assert choose_cut({story.id: story.events}, random.Random(1)) is None
