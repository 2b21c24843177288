"""Thirty real kills of a real process, at seeded moments, and what is left at the end."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from aion_core import events as e
from aion_core.history import RunProjection
from aion_core.machine.judging import MAX_DELIVERIES
from aion_core.status import WorkflowStatus
from aion_store_sqlite.store import open_store
from tests.crash import worker

ROOT = Path(__file__).resolve().parents[2]
SEED = 20_260
KILLS = 30
PATIENCE_S = 20.0
"""After so long without progress something hangs, and the test fails."""

Call = tuple[str, str]
"""Workflow and activity."""


@attrs.frozen
class Snapshot:
    """What the store held when a process had been killed.

    Attributes:
        open_attempts: of activities without an outcome; by call.
        due: workflows of which at least one may have been under way.
        completed: activities that must not run again.
        lines: how much of the ledger there was.
    """

    open_attempts: dict[Call, int]
    due: set[str]
    completed: set[Call]
    lines: int


@attrs.frozen
class Aftermath:
    """What thirty kills, and a last process that nobody killed, have left."""

    directory: Path
    snapshots: list[Snapshot]
    ledger: list[dict[str, Any]]
    histories: dict[str, list[e.HistoryEvent]]

    @property
    def executions(self) -> list[tuple[Call, int]]:
        """Call and attempt, line by line; attempt 0 where a line is about something else."""
        return [
            ((line.get("workflow", ""), line.get("activity", "")), line.get("attempt", 0))
            for line in self.ledger
        ]


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    directory = tmp_path_factory.mktemp("sigkill")
    random_ = random.Random(SEED)
    snapshots: list[Snapshot] = []
    for _ in range(KILLS):
        with running_worker(directory) as process:
            wait_for_report(directory, process)
            wait_for_executions(directory, process, random_.randint(1, 24))
            wait_for_deliveries(directory, process)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        snapshots.append(take_snapshot(directory, tmp_path_factory.mktemp("copy")))
    with running_worker(directory) as process:
        assert process.wait(PATIENCE_S) == 0
    return Aftermath(
        directory, snapshots, read_ledger(directory), trio.run(read_histories, directory)
    )


@contextmanager
def running_worker(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.crash.worker", str(directory)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_report(directory: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when the process has said what it found."""

    def said() -> bool:
        return any(
            line["pid"] == process.pid and "resumed" in line for line in read_ledger(directory)
        )

    poll(process, said)


def wait_for_executions(directory: Path, process: subprocess.Popen[bytes], wanted: int) -> None:
    """Return when the process has executed so many activities."""

    def enough() -> bool:
        done = [
            line
            for line in read_ledger(directory)
            if line["pid"] == process.pid and "attempt" in line
        ]
        return len(done) >= wanted

    poll(process, enough)


def wait_for_deliveries(directory: Path, process: subprocess.Popen[bytes]) -> None:
    """Return when another kill cannot make an attempt count as crashed: progress is due first."""

    def harmless() -> bool:
        with closing(connect(directory / "aion.db", "ro")) as connection:
            query = "SELECT coalesce(max(delivery), 0) FROM v_activities"
            (most,) = connection.execute(query).fetchone()
        return bool(most < MAX_DELIVERIES - 1)

    poll(process, harmless)


def poll(process: subprocess.Popen[bytes], is_over: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_over():
        assert process.poll() is None, "the worker has ended by itself; give it more to do"
        assert time.monotonic() < deadline, "the worker makes no progress"
        time.sleep(0.002)


def connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode={mode}", uri=True)


def take_snapshot(directory: Path, copy: Path) -> Snapshot:
    """Look at a copy: the next process must find the files as the dead one left them."""
    for name in ("aion.db", "aion.db-wal"):
        if (directory / name).exists():
            shutil.copy(directory / name, copy)
    with closing(connect(copy / "aion.db", "rw")) as connection:
        rows = connection.execute(
            "SELECT workflow_id, activity_id, attempt, next_attempt_at FROM v_activities"
        ).fetchall()
        completed = connection.execute(
            "SELECT workflow_id, json_extract(data, '$.activity_id') FROM v_events "
            "WHERE kind = 'ActivityCompleted'"
        ).fetchall()
    return Snapshot(
        open_attempts={(row[0], row[1]): row[2] for row in rows},
        due={row[0] for row in rows if row[3] is None},
        completed=set(completed),
        lines=len(read_ledger(directory)),
    )


def read_ledger(directory: Path) -> list[dict[str, Any]]:
    try:
        text = (directory / "ledger.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


async def read_histories(directory: Path) -> dict[str, list[e.HistoryEvent]]:
    async with open_store(f"sqlite:///{directory}/aion.db") as store:
        page = await store.list_runs(limit=1000)
        return {
            run.workflow_id: list(await store.read_history(run.workflow_id)) for run in page.runs
        }


def test_every_workflow_came_to_its_right_end(aftermath: Aftermath) -> None:
    """The last process has checked the results themselves."""
    assert set(aftermath.histories) == {f"chain-{number}" for number in range(worker.WORKFLOWS)}
    for workflow_id, history in aftermath.histories.items():
        summary = RunProjection(history[0].workflow_id, history).summary
        assert summary is not None
        assert summary.status is WorkflowStatus.COMPLETED, workflow_id
        assert isinstance(history[-1], e.WorkflowCompleted)


def test_nothing_that_was_completed_before_a_kill_was_executed_after_it(
    aftermath: Aftermath,
) -> None:
    for snapshot in aftermath.snapshots:
        later = {call for call, _ in aftermath.executions[snapshot.lines :]}
        assert not later & snapshot.completed


def test_an_attempt_was_executed_once_and_once_more_for_every_kill_it_was_open_at(
    aftermath: Aftermath,
) -> None:
    executions = Counter(each for each in aftermath.executions if each[1])
    kills = Counter(
        (call, attempt)
        for snapshot in aftermath.snapshots
        for call, attempt in snapshot.open_attempts.items()
    )
    too_often = {each: n for each, n in executions.items() if n > 1 + kills[each]}
    assert not too_often


def test_no_process_executed_an_attempt_twice(aftermath: Aftermath) -> None:
    lines = Counter(
        (line["pid"], line["workflow"], line["activity"], line["attempt"])
        for line in aftermath.ledger
        if "attempt" in line
    )
    assert set(lines.values()) == {1}


def test_every_outcome_has_its_execution(aftermath: Aftermath) -> None:
    executed = set(aftermath.executions)
    for workflow_id, history in aftermath.histories.items():
        for event in history:
            if isinstance(event, e.ActivityCompleted | e.ActivityFailed):
                assert ((workflow_id, event.activity_id), event.attempt) in executed


def test_every_activity_has_one_outcome_and_every_signal_is_there_once(
    aftermath: Aftermath,
) -> None:
    for number in range(worker.WORKFLOWS):
        history = aftermath.histories[f"chain-{number}"]
        kinds = Counter(type(event) for event in history)
        assert kinds[e.ActivityScheduled] == kinds[e.ActivityCompleted] == 2 * worker.ROUNDS + 1
        assert kinds[e.ActivityFailed] == 1
        assert kinds[e.SignalReceived] == (0 if number % 2 else 1)
        assert kinds[e.WorkflowStarted] == 1


def test_each_start_brought_back_the_runs_with_work_and_held_none(aftermath: Aftermath) -> None:
    reports = [line for line in aftermath.ledger if "resumed" in line]
    assert len(reports) == KILLS + 1
    assert all(report["stuck"] == {} for report in reports)
    for snapshot, report in zip(aftermath.snapshots, reports[1:], strict=True):
        assert snapshot.due <= set(report["resumed"])


def test_the_kills_met_attempts_under_way(aftermath: Aftermath) -> None:
    """Else nothing above would have been tested."""
    assert sum(bool(snapshot.due) for snapshot in aftermath.snapshots) >= KILLS // 2
    deliveries = [
        event
        for history in aftermath.histories.values()
        for event in history
        if isinstance(event, e.ActivityStarted)
    ]
    assert len(deliveries) >= KILLS // 2


def test_the_file_is_sound(aftermath: Aftermath) -> None:
    with closing(connect(aftermath.directory / "aion.db", "rw")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for view in ("v_activities", "v_timers"):
            assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (0,)
