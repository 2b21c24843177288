"""SIGTERM and Ctrl-C end an engine in order: what runs is recorded, what is left goes on later."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_store_sqlite.store import open_store
from tests.crash import stopping

ROOT = Path(__file__).resolve().parents[2]
LONG_S = 60.0
"""A grace period that no test waits out."""
PATIENCE_S = 20.0

either_signal = pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name
)


class Child:
    """A process with one engine and one workflow ``w``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_for(self, *words: str) -> None:
        """Return when it has said all of these, in whatever order."""
        missing = list(words)
        for line in pipe(self._process.stdout):
            if line.strip() in missing:
                missing.remove(line.strip())
            if not missing:
                return
        pytest.fail(f"it ended before it said {missing}: {pipe(self._process.stderr).read()}")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def press_until_it_ends(self, number: signal.Signals) -> None:
        """Like somebody in a hurry; one may hit the caller's own code, which is leaving already."""
        deadline = time.monotonic() + PATIENCE_S
        while self._process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.send(number)
            time.sleep(0.02)

    def write(self, line: str) -> None:
        pipe(self._process.stdin).write(line + "\n")
        pipe(self._process.stdin).flush()

    def end(self) -> tuple[int, str]:
        """Exit status and what it wrote to stderr."""
        _, errors = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, errors


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@contextmanager
def running(directory: Path, workflow: str, *, grace: float = LONG_S) -> Iterator[Child]:
    command = [sys.executable, "-m", "tests.crash.stopping", str(directory), workflow, str(grace)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


async def kinds(directory: Path) -> list[type[e.HistoryEvent]]:
    async with open_store(f"sqlite:///{directory}/aion.db") as store:
        return [type(event) for event in await store.read_history("w")]  # type: ignore[arg-type]


@either_signal
async def test_the_exit_status_shows_the_signal(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, "waiting") as child:
        child.wait_for("started")
        child.send(number)
        status, errors = child.end()
    assert status == -number
    assert "ExceptionGroup" not in errors


@either_signal
async def test_an_activity_under_way_is_waited_for_and_its_outcome_recorded(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, "reading") as child:
        child.wait_for("begun")
        child.send(number)
        child.wait_for("leaving")
        child.write("a line")
        status, _ = child.end()
    assert status == -number
    assert await kinds(tmp_path) == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
    ]
    url = f"sqlite:///{tmp_path}/aion.db"
    async with aion.open_engine(url, workflows=[stopping.reading]) as engine:
        await engine.get("w").signal(stopping.go, 7)
        assert await engine.get("w").result() == ("a line", 7)


@either_signal
async def test_an_activity_that_does_not_end_in_the_grace_period_goes_on_after_a_restart(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, "working", grace=0.05) as child:
        child.wait_for("begun")
        child.send(number)
        status, _ = child.end()
    assert status == -number
    assert await kinds(tmp_path) == [e.WorkflowStarted, e.ActivityScheduled]
    with running(tmp_path, "working", grace=0) as child:
        child.wait_for("begun")
        child.send(number)
        child.end()
    # Released in order: not counted as a delivery, so nothing is recorded.
    assert await kinds(tmp_path) == [e.WorkflowStarted, e.ActivityScheduled]


@either_signal
async def test_further_signals_cut_the_grace_period_short(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path, "working", grace=LONG_S) as child:
        child.wait_for("begun")
        child.send(number)
        child.wait_for("leaving")
        child.press_until_it_ends(number)
        status, errors = child.end()
    assert status == -number
    assert "ExceptionGroup" not in errors


async def test_each_of_several_engines_stops_in_order(tmp_path: Path) -> None:
    """The one that has nothing to do leaves at once, and the process waits for the other one."""
    with running(tmp_path, "pair") as child:
        child.wait_for("started", "started", "begun")
        child.send(signal.SIGTERM)
        child.wait_for("left")
        child.write("a line")
        status, errors = child.end()
    assert status == -signal.SIGTERM, errors
    assert await kinds(tmp_path) == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
    ]
    for name in ("aion.db", "other.db"):
        async with open_store(f"sqlite:///{tmp_path / name}") as store, store.writer() as writer:
            assert not writer.after_crash


async def test_an_engine_that_is_not_open_yet_stops_with_the_others(tmp_path: Path) -> None:
    with running(tmp_path, "late") as child:
        child.wait_for("opening", "started", "begun")
        child.send(signal.SIGTERM)
        child.wait_for("the engine was told to stop while it was being opened")
        child.write("a line")
        status, errors = child.end()
    assert status == -signal.SIGTERM, errors
    assert (await kinds(tmp_path))[-1] is e.ActivityCompleted


async def test_a_kill_while_it_drains_loses_nothing_and_repeats_nothing_that_was_recorded(
    tmp_path: Path,
) -> None:
    with running(tmp_path, "halves") as child:
        child.wait_for("begun", "begun")
        child.send(signal.SIGTERM)
        child.wait_for("leaving")
        child.write("a line")
        await recorded(tmp_path, e.ActivityCompleted)
        child.send(signal.SIGKILL)
        assert child.end()[0] == -signal.SIGKILL
    with running(tmp_path, "halves", grace=0) as child:
        child.wait_for("begun")  # the endless one
        await recorded(tmp_path, e.ActivityStarted)
        child.send(signal.SIGTERM)
        _, _ = child.end()
    assert await kinds(tmp_path) == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityScheduled,
        e.ActivityCompleted,
        e.ActivityStarted,
    ]
    async with open_store(f"sqlite:///{tmp_path}/aion.db") as store:
        history = await store.read_history(WorkflowId("w"))
    (endless,) = [
        each.activity_id
        for each in history
        if isinstance(each, e.ActivityScheduled) and each.activity_type == "endless"
    ]
    (delivered,) = [each for each in history if isinstance(each, e.ActivityStarted)]
    assert (delivered.activity_id, delivered.attempt, delivered.delivery) == (endless, 1, 2)


async def recorded(directory: Path, kind: type[e.HistoryEvent]) -> None:
    """Return when a history has such an event."""
    deadline = time.monotonic() + PATIENCE_S
    while kind not in await kinds(directory):
        assert time.monotonic() < deadline, f"no {kind.__name__} is recorded"
