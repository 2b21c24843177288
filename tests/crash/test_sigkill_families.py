"""Real kills of a process whose runs start, stop and tell each other: all of it arrives once."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest
import trio

from aion_core.ids import WorkflowId
from aion_core.status import WorkflowStatus
from aion_store_sqlite.store import open_store
from tests.crash.family_rules import Histories, broken_rules
from tests.crash.relations import FAMILIES, members

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_261
KILLS = 4
PATIENCE_S = 60.0
"""After so long without progress something hangs, and the test fails."""


@attrs.frozen
class Aftermath:
    """What is left when the last process, which nobody killed, has ended."""

    histories: Histories
    undelivered: list[tuple[str, WorkflowId]]
    statuses: dict[WorkflowId, WorkflowStatus]


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    directory = tmp_path_factory.mktemp("families")
    random_ = random.Random(SEED)
    for _ in range(KILLS):
        with running(directory) as process:
            wait_for_events(directory / "aion.db", process, random_.randint(10, 120))
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    with running(directory) as process:
        assert process.wait(PATIENCE_S) == 0
    return trio.run(read, f"sqlite:///{directory}/aion.db")


@contextmanager
def running(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.crash.relations", str(directory)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_events(path: Path, process: subprocess.Popen[bytes], wanted: int) -> None:
    """Return when the process has recorded so many events."""
    before = count_events(path)
    deadline = time.monotonic() + PATIENCE_S
    while count_events(path) - before < wanted:
        assert process.poll() is None, "the process has ended by itself; give it more to do"
        assert time.monotonic() < deadline, "the process makes no progress"
        time.sleep(0.002)


def count_events(path: Path) -> int:
    """How many there are; none while the first process makes the file."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM v_events").fetchone()
            return int(count)
    except sqlite3.OperationalError:
        return 0


async def read(url: str) -> Aftermath:
    async with open_store(url) as store:
        ids = await store.list_workflow_ids()
        page = await store.list_runs(limit=10_000)
        return Aftermath(
            histories={each: await store.read_history(each) for each in ids},
            undelivered=[
                (stored.message.kind, stored.message.target)
                async for stored in store.all_messages()
            ],
            statuses={run.workflow_id: run.status for run in page.runs},
        )


def test_every_edge_was_crossed_once(aftermath: Aftermath) -> None:
    assert list(broken_rules(aftermath.histories, aftermath.undelivered)) == []
    assert aftermath.undelivered == []


def test_everybody_has_ended_as_the_plan_says(aftermath: Aftermath) -> None:
    expected: dict[str, WorkflowStatus] = {}
    for number in range(FAMILIES):
        top, ann, ben, cleo, dora = members(number)
        expected |= dict.fromkeys((top, ann, f"{ann} again", ben), WorkflowStatus.COMPLETED) | {
            cleo: WorkflowStatus.TERMINATED,
            dora: WorkflowStatus.CANCELLED,
        }
    assert aftermath.statuses == expected
