"""An activity that kills its process, beside others that do not: it crashes, and they do not."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import trio

from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_core.machine.judging import MAX_DELIVERIES
from aion_store_sqlite.store import open_store

PROGRAM = """
import os, signal, sys, trio
import aion_runtime as aion

@aion.activity
async def poison() -> str:
    await trio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"

@aion.activity
async def innocent() -> str:
    await trio.sleep(0.1)
    return "well"

@aion.workflow
async def poisoned() -> str:
    return await poison()

@aion.workflow
async def healthy() -> str:
    return await innocent()

async def main() -> None:
    workflows = [poisoned, healthy]
    async with aion.open_engine(f"sqlite:///{sys.argv[1]}", workflows=workflows) as engine:
        bad = await engine.start(poisoned, workflow_id="bad")
        for number in range(5):
            await engine.start(healthy, workflow_id=f"good-{number}")
        for number in range(5):
            assert await engine.get(f"good-{number}").result() == "well"
        try:
            await bad.result()
        except aion.WorkflowFailedError as error:
            print(error.failure.cause.kind)

trio.run(main)
"""


def run_until_it_lives(directory: Path) -> tuple[int, subprocess.CompletedProcess[str]]:
    """Start the program until it is not killed; how often it was, and how it ended."""
    (directory / "program.py").write_text(PROGRAM)
    deaths = 0
    while True:
        done = subprocess.run(
            [sys.executable, "program.py", "p.db"],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if done.returncode != -signal.SIGKILL or deaths > 2 * MAX_DELIVERIES:
            return deaths, done
        deaths += 1


def test_an_activity_that_kills_its_process_crashes_alone(tmp_path: Path) -> None:
    deaths, done = run_until_it_lives(tmp_path)
    assert (done.returncode, done.stdout) == (0, "crashed\n"), done.stderr
    assert deaths == MAX_DELIVERIES
    history = trio.run(read_history, f"sqlite:///{tmp_path}/p.db")
    deliveries = [each.delivery for each in history if isinstance(each, e.ActivityStarted)]
    assert deliveries == list(range(2, MAX_DELIVERIES + 1))


async def read_history(url: str) -> Sequence[e.HistoryEvent]:
    async with open_store(url) as store:
        return await store.read_history(WorkflowId("bad"))
