"""Messages in the SQLite store: posted by other processes while a writer appends, never lost."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
import trio

from aion_core.contracts import (
    Append,
    EventStore,
    StoredMessage,
    StoreWriter,
    UnreadableMessage,
)
from aion_core.errors import (
    MessageGoneError,
    StoreError,
    StoreUnavailableError,
)
from aion_core.events import SignalReceived
from aion_core.ids import WorkflowId
from aion_core.testing.histories import Opener, Story, answer, message, sent_by, write
from aion_store_sqlite.store import open_store

Spawn: TypeAlias = Callable[..., "subprocess.Popen[str]"]

POST = """
import datetime, os, sys, trio
from aion_core.contracts import Message
from aion_core.payloads import Payload
from aion_store_sqlite.store import open_store

NAME, COUNT = sys.argv[2], int(sys.argv[3])

async def main():
    async with open_store(sys.argv[1]) as store:
        for number in range(COUNT):
            await store.post(Message(
                message_id=f"{NAME}-{number}", kind="signal", target="w",
                body=Payload("application/json", b"%d" % number),
                posted_at=datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)))
            os.write(1, b"%d\\n" % number)

trio.run(main)
"""

TAKE = """
import datetime, os, sys, trio
from aion_core.contracts import Append
from aion_core.events import SignalReceived, WorkflowStarted
from aion_core.payloads import Payload
from aion_store_sqlite.store import open_store

NOW = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
EMPTY = Payload("application/json", b"{}")

def started():
    return WorkflowStarted(
        seq=1, recorded_at=NOW, workflow_id="w", workflow_type="t", input=EMPTY, run_id="r",
        package_version="unversioned", random_seed=1)

def signal(seq, stored):
    return SignalReceived(
        seq=seq, recorded_at=NOW, workflow_id="w", name="s", payload=EMPTY,
        signal_id=stored.message.message_id)

async def main():
    async with open_store(sys.argv[1]) as store, store.writer() as writer:
        head = len(await store.read_history("w"))
        if head == 0:
            await writer.append("w", [started()], 0)
            head = 1
        while True:
            for stored in await store.messages(0, 3):
                (refusal,) = await writer.append_many([Append(
                    "w", [signal(head + 1, stored)], head, consume=[stored.message.message_id])])
                assert refusal is None
                head += 1
                os.write(1, b"1\\n")

trio.run(main)
"""


@pytest.fixture
def spawn(database: Path) -> Iterator[Spawn]:
    children: list[subprocess.Popen[str]] = []

    def start(name: str, count: int, program: str = POST) -> subprocess.Popen[str]:
        url = f"sqlite:///{database}"
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, url, name, str(count)],
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


async def _waiting(store: EventStore) -> list[StoredMessage]:
    found: list[StoredMessage] = []
    while page := await store.messages(found[-1].position if found else 0, 7):
        found += page
    return found


async def _end(child: subprocess.Popen[str]) -> list[int]:
    """What it has acknowledged."""
    out, _ = await trio.to_thread.run_sync(child.communicate)
    return [int(line) for line in out.split()]


async def _append_signals(writer: StoreWriter, story: Story, stop: Callable[[], bool]) -> None:
    while not stop():
        await write(writer, story.signal())


async def test_processes_that_post_while_a_writer_appends_lose_and_double_nothing(
    sqlite_opener: Opener, spawn: Spawn
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        story = Story("busy").started()
        children = [spawn(name, 50) for name in "abc"]
        ended: list[list[int]] = []

        async def wait_for(child: subprocess.Popen[str]) -> None:
            ended.append(await _end(child))

        async with trio.open_nursery() as nursery:
            for child in children:
                nursery.start_soon(wait_for, child)
            nursery.start_soon(_append_signals, writer, story, lambda: len(ended) == 3)
        assert ended == [list(range(50))] * 3
        waiting = await _waiting(store)
        assert sorted(each.message.message_id for each in waiting) == sorted(
            f"{name}-{number}" for name in "abc" for number in range(50)
        )
        # Of one sender in the order in which it sent.
        assert [
            each.message.message_id for each in waiting if each.message.message_id.startswith("b")
        ] == [f"b-{number}" for number in range(50)]
        assert list(await store.read_history(story.workflow_id)) == story.events


async def test_messages_are_consumed_once_each_while_others_post(
    sqlite_opener: Opener, spawn: Spawn
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        story = Story().started()
        await write(writer, story)
        child = spawn("a", 60)
        taken: list[str] = []
        while len(taken) < 60:
            page = await store.messages()
            for stored in page:
                story.signal(id=stored.message.message_id)
            consumed = [stored.message.message_id for stored in page]
            assert await writer.append_many([story.append(consume=consumed)]) == [None]
            taken += consumed
            if not page:
                assert child.poll() in (None, 0)
                await trio.lowlevel.checkpoint()
        assert taken == [f"a-{number}" for number in range(60)]
        assert await store.seen(story.workflow_id, taken) == set(taken)
        assert list(await store.messages()) == []


async def test_a_sender_that_is_killed_has_posted_what_it_was_told(
    database: Path, sqlite_opener: Opener, spawn: Spawn
) -> None:
    for name, lines in (("a", 1), ("b", 20), ("c", 60)):
        child = spawn(name, 100_000)
        assert child.stdout is not None
        for _ in range(lines):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        rest = await _end(child)
        acknowledged = lines + len(rest)
        async with sqlite_opener() as store:
            numbers = [
                int(each.message.message_id.partition("-")[2])
                for each in await _waiting(store)
                if each.message.message_id.startswith(name)
            ]
            assert numbers == list(range(len(numbers)))
            # The one that was under way may be there; nobody was told of it.
            assert acknowledged <= len(numbers) <= acknowledged + 1
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_writer_that_is_killed_leaves_each_message_waiting_or_taken(
    sqlite_opener: Opener, spawn: Spawn
) -> None:
    async with sqlite_opener() as store:
        posted = [f"m-{number}" for number in range(90)]
        for taken in (1, 7, 30):
            writer = spawn("w", 0, TAKE)
            assert writer.stdout is not None
            for _ in range(30):
                await store.post(message(posted.pop(0)))
            for _ in range(taken):
                await trio.to_thread.run_sync(writer.stdout.readline)
            writer.send_signal(signal.SIGKILL)
            await _end(writer)
            history = await store.read_history(WorkflowId("w"))
            signals = [
                str(event.signal_id) for event in history if isinstance(event, SignalReceived)
            ]
            waiting = [stored.message.message_id for stored in await _waiting(store)]
            assert sorted(signals + waiting) == sorted(
                f"m-{number}" for number in range(90) if f"m-{number}" not in posted
            )
        assert list(await store.check()) == []


async def test_posting_needs_no_writer_and_leaves_the_writer_its_right(
    sqlite_opener: Opener,
) -> None:
    story = Story().started()
    async with sqlite_opener() as one, sqlite_opener() as other:
        await other.post(message("before"))
        async with one.writer() as writer:
            await write(writer, story)
            await other.post(message("beside"))
            await one.post(message("in the same store"))
            await write(writer, story.signal())
            await write(writer, story.signal())
        await one.post(message("after"))
        assert [each.message.message_id for each in await other.messages()] == [
            *("before", "beside", "in the same store", "after")
        ]


async def test_posting_again_elsewhere_changes_nothing(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as one, sqlite_opener() as other, one.writer() as writer:
        await one.post(message("m", body="1"))
        await other.post(message("m", body="2"))
        (stored,) = await one.messages()
        assert stored.message.body.data == b"1"
        given = [answer("m")]
        append = Append(WorkflowId("w"), [], 0, consume=["m"], answer=given)
        assert await writer.append_many([append]) == [None]
        await other.post(message("m", body="3"))
        assert list(await other.messages()) == []
        assert await other.fetch_answer("m") == given[0]


async def test_tasks_that_post_at_once_are_all_heard(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(store.post, message(f"m-{number % 50}"))
        assert len(await _waiting(store)) == 50


async def test_a_program_that_locks_the_file_makes_posting_unavailable(
    database: Path, sqlite_opener: Opener
) -> None:
    async with sqlite_opener() as store:
        await store._main.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute("PRAGMA busy_timeout = 0").fetchall()
        )
        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError, match="another program keeps"):
                await store.post(message("m"))
        assert list(await store.messages()) == []
        await store.post(message("m"))
        assert len(await store.messages()) == 1


async def test_a_full_disk_refuses_a_message_and_takes_it_later(sqlite_opener: Opener) -> None:
    def limit(connection: sqlite3.Connection, pages: int) -> None:
        (now,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {now + pages}")

    large = message("m", body=f'"{"x" * 100_000}"')
    story = Story().started()
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, story)
        await store._main.run(lambda connection: limit(connection, 2))  # type: ignore[attr-defined]
        with pytest.raises(StoreUnavailableError, match="free some disk space"):
            await store.post(large)
        with pytest.raises(StoreUnavailableError, match="free some disk space"):
            await writer.append_many([Append(WorkflowId("w"), [], 1, post=[large])])
        assert list(await store.messages()) == []
        await store._main.run(lambda connection: limit(connection, 9999))  # type: ignore[attr-defined]
        await store.post(large)
        assert [each.message for each in await store.messages()] == [large]
        await write(writer, story.signal())


async def test_a_message_that_is_gone_refuses_its_append_alone(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await store.post(message("m", "a"))
        first, second, third = (Story(name).started() for name in "abc")
        refusals = await writer.append_many(
            [
                first.append(consume=["m"], post=[message("sent")]),
                second.append(consume=["m"], post=[message("lost")], answer=[answer("lost")]),
                third.append(),
            ]
        )
        assert (refusals[0], refusals[2]) == (None, None)
        assert isinstance(refusals[1], MessageGoneError)
        assert [each.message.message_id for each in await store.messages()] == ["sent"]
        assert await store.fetch_answer("lost") is None
        assert list(await store.list_workflow_ids()) == ["a", "c"]


async def test_a_number_of_more_than_64_bits_in_a_message_is_refused(
    sqlite_opener: Opener,
) -> None:
    async with sqlite_opener() as store:
        with pytest.raises(StoreError, match="message 'm' cannot be stored"):
            await store.post(message("m", source=sent_by("w", 2**63)))
        assert list(await store.messages()) == []


async def test_positions_are_not_given_twice(sqlite_opener: Opener) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await store.post(message("first"))
        (first,) = await store.messages()
        taken = Append(WorkflowId("w"), [], 0, consume=["first"])
        assert await writer.append_many([taken]) == [None]
    async with sqlite_opener() as store:
        await store.post(message("second"))
        (second,) = await store.messages()
        assert second.position > first.position


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE messages SET kind = 'bogus'",
        "UPDATE messages SET message_id = ''",
        "UPDATE messages SET posted_at = 'now'",
        "UPDATE messages SET posted_at = 1 << 62",
        "UPDATE messages SET body = 'text'",
        "UPDATE messages SET body_type = x'ff'",
    ],
)
async def test_a_message_that_cannot_be_read_is_said_to_be_so(
    sqlite_opener: Opener, execute: Callable[..., object], change: str
) -> None:
    async with sqlite_opener() as store:
        await store.post(message("m"))
        execute(change)
        await store.post(message("next"))
        broken, next_one = await store.messages()
        assert isinstance(broken.message, UnreadableMessage)
        assert broken.message.target == message("m").target
        assert next_one.message == message("next")
        assert any("cannot be read" in sentence for sentence in await store.check())


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE answers SET body = 'text'",
        "UPDATE answers SET answered_at = 'now'",
        "UPDATE answers SET answered_at = 1 << 62",
    ],
)
async def test_an_answer_that_cannot_be_read_is_said_to_be_so(
    sqlite_opener: Opener, execute: Callable[..., object], change: str
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        given = Append(WorkflowId("w"), [], 0, answer=[answer("m")])
        assert await writer.append_many([given]) == [None]
        execute(change)
        with pytest.raises(StoreError, match=r"cannot be read \(.*restore it from a back-up"):
            await store.fetch_answer("m")


async def test_people_can_read_what_waits(
    sqlite_opener: Opener, execute: Callable[..., list[tuple[object, ...]]]
) -> None:
    async with sqlite_opener() as store:
        await store.post(message("m", "o-1", body='{"a": 1}'))
    assert execute("SELECT * FROM v_messages") == [
        (1, "m", "signal", "o-1", "2024-03-01T00:00:00.000000Z", '{"a": 1}', None, None, None)
    ]


async def test_a_file_that_may_not_be_written_takes_no_message(
    database: Path, sqlite_opener: Opener
) -> None:
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, Story().started())
    async with open_store(f"sqlite:///{database}") as store:
        await store._main.run(  # type: ignore[attr-defined]
            lambda connection: connection.execute("PRAGMA query_only = ON").fetchall()
        )
        with pytest.raises(StoreUnavailableError, match="check its permissions"):
            await store.post(message("m"))
