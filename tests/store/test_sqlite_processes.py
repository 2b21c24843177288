"""The SQLite store between processes: locks, takeovers, forks, and death by SIGKILL."""

from __future__ import annotations

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import pytest
import trio

from aion_core.errors import FencedError, StoreError, StoreUnavailableError
from aion_core.ids import WorkflowId
from aion_core.testing.histories import Opener, Story, all_runs, write
from aion_store_sqlite import lock as lock_module
from aion_store_sqlite.lock import WriterLock

Spawn: TypeAlias = Callable[[str], "subprocess.Popen[str]"]

PREAMBLE = """
import datetime, os, sys, trio
from aion_core.events import SignalReceived, WorkflowStarted
from aion_core.payloads import Payload
from aion_store_sqlite.store import open_store

URL = sys.argv[1]
NOW = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)

def say(text):
    os.write(1, f"{text}\\n".encode())

def started(name):
    return WorkflowStarted(
        seq=1, recorded_at=NOW, workflow_id=name, workflow_type="t",
        input=Payload("application/json", b"{}"), run_id="r", package_version="unversioned",
        random_seed=1)

def signal(name, seq):
    return SignalReceived(
        seq=seq, recorded_at=NOW, workflow_id=name, name="s",
        payload=Payload("application/json", b"%d" % seq))
"""

HOLD = """
async def main():
    async with open_store(URL) as store, store.writer() as writer:
        say("ready")
        sys.stdin.readline()
        await writer.append("late", [started("late")], 0)

trio.run(main)
"""

WRITE = """
async def write(writer, name):
    await writer.append(name, [started(name)], 0)
    say(f"{name} 1")
    seq = 1
    while True:
        await writer.append(name, [signal(name, seq + 1), signal(name, seq + 2)], seq)
        seq += 2
        say(f"{name} {seq}")

async def main():
    async with open_store(URL) as store, store.writer() as writer:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(write, writer, f"{os.getpid()}-{number}")

trio.run(main)
"""

FORK = """
async def main():
    async with open_store(URL) as store, store.writer() as writer:
        if os.fork() == 0:
            say("ready")
            sys.stdin.readline()
        os._exit(0)

trio.run(main)
"""


@pytest.fixture
def spawn(database: Path) -> Iterator[Spawn]:
    children: list[subprocess.Popen[str]] = []

    def start(program: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PREAMBLE + program, f"sqlite:///{database}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def _line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


async def test_the_process_that_writes_is_named(sqlite_opener: Opener, spawn: Spawn) -> None:
    holder = spawn(HOLD)
    assert _line(holder) == "ready"
    async with sqlite_opener() as store:
        with pytest.raises(StoreUnavailableError, match=rf"process {holder.pid}\b.*stop it"):
            async with store.writer():
                pass


async def test_the_lock_goes_with_its_process(sqlite_opener: Opener, spawn: Spawn) -> None:
    holder = spawn(HOLD)
    assert _line(holder) == "ready"
    holder.kill()
    holder.wait()
    async with sqlite_opener() as store, store.writer() as writer:
        await write(writer, Story().started())


async def test_a_process_that_was_replaced_is_fenced(sqlite_opener: Opener, spawn: Spawn) -> None:
    holder = spawn(HOLD)
    assert _line(holder) == "ready"
    async with sqlite_opener() as store, store.writer(takeover=True) as writer:
        await write(writer, Story().started())
        await trio.to_thread.run_sync(_go_on, holder)
        assert holder.returncode != 0
        assert list(await store.read_history(WorkflowId("late"))) == []
        await write(writer, Story("after").started())


def _go_on(child: subprocess.Popen[str]) -> None:
    child.communicate("\n", timeout=30)


async def test_a_forked_child_does_not_keep_the_lock(sqlite_opener: Opener, spawn: Spawn) -> None:
    parent = spawn(FORK)
    assert _line(parent) == "ready"
    parent.wait()
    async with sqlite_opener() as store, store.writer():
        pass


def test_a_lock_whose_file_was_replaced_is_not_current(database: Path) -> None:
    old = WriterLock.acquire(database, takeover=False)
    assert old.is_current()
    new = WriterLock.acquire(database, takeover=True)
    assert (old.is_current(), new.is_current()) == (False, True)
    old.release()
    with pytest.raises(StoreUnavailableError):
        WriterLock.acquire(database, takeover=False)
    new.release()
    WriterLock.acquire(database, takeover=False).release()


def test_a_lock_taken_on_a_file_replaced_meanwhile_is_taken_again(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database.with_name("aion.db.lock")
    calls: list[int] = []

    def late_flock(fd: int, operation: int) -> None:
        # Between the opening of the file and its locking, somebody's takeover.
        calls.append(fd)
        if len(calls) == 1:
            path.unlink()
            path.touch()
        fcntl.flock(fd, operation)

    fake = types.SimpleNamespace(
        flock=late_flock, LOCK_EX=fcntl.LOCK_EX, LOCK_NB=fcntl.LOCK_NB, LOCK_UN=fcntl.LOCK_UN
    )
    monkeypatch.setattr(lock_module, "fcntl", fake)
    lock = WriterLock.acquire(database, takeover=False)
    assert len(calls) == 2
    assert lock.is_current()
    lock.release()


async def test_a_writer_that_could_not_be_had_leaves_no_lock(
    sqlite_opener: Opener, execute: Callable[..., object]
) -> None:
    async with sqlite_opener() as store:
        execute(
            "CREATE TRIGGER no_claim BEFORE UPDATE ON meta "
            "BEGIN SELECT RAISE(ABORT, 'not now'); END"
        )
        with pytest.raises(StoreError, match="not now"):
            async with store.writer():
                pass
        execute("DROP TRIGGER no_claim")
        async with store.writer():
            pass


def test_a_lock_file_that_is_gone_is_not_current(database: Path) -> None:
    lock = WriterLock.acquire(database, takeover=False)
    database.with_name("aion.db.lock").unlink()
    assert not lock.is_current()
    lock.release()


def test_the_lock_file_is_not_inherited(database: Path) -> None:
    lock = WriterLock.acquire(database, takeover=False)
    path = database.with_name("aion.db.lock")
    held = [fd for fd in range(1000) if _is_open_on(fd, path)]
    assert held
    assert not any(os.get_inheritable(fd) for fd in held)
    lock.release()


def _is_open_on(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


async def test_what_was_acknowledged_survives_sigkill(
    database: Path, sqlite_opener: Opener, spawn: Spawn
) -> None:
    acknowledged: dict[str, int] = {}
    for lines in (1, 40, 200):
        child = spawn(WRITE)
        for _ in range(lines):
            name, seq = _line(child).split()
            acknowledged[name] = int(seq)
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
        for line in rest.splitlines():
            name, seq = line.split()
            acknowledged[name] = int(seq)
        async with sqlite_opener() as store:
            for name, last in acknowledged.items():
                history = await store.read_history(WorkflowId(name))
                seqs = [event.seq for event in history]
                assert seqs == list(range(1, len(seqs) + 1))
                # Events that go together are there together: an odd number of them.
                assert len(seqs) >= last
                assert len(seqs) % 2 == 1
            async with store.writer() as writer:
                assert writer.after_crash
        with closing(sqlite3.connect(database)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_takeover_while_appends_are_under_way_loses_none(sqlite_opener: Opener) -> None:
    acknowledged: list[str] = []
    fenced: list[str] = []
    async with sqlite_opener() as one, sqlite_opener() as other, one.writer() as old:

        async def append(name: str) -> None:
            story = Story(name).started()
            try:
                await old.append(story.workflow_id, story.events, 0)
            except FencedError:
                fenced.append(name)
            else:
                acknowledged.append(name)

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(append, str(number))
                if number % 10 == 0:
                    await trio.lowlevel.checkpoint()
                if number == 50:
                    async with other.writer(takeover=True):
                        pass
        assert fenced
        assert sorted(await all_runs(one, 30)) == sorted(acknowledged)
