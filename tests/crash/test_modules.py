"""Runs that one process begins and another finishes, which has the code under another name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PAYMENTS = """
import aion_runtime as aion


@aion.activity
async def charge(amount: int) -> str:
    return f"charged {amount}"
"""

APP = """
import sys

import trio

import aion_runtime as aion
{charge}

approval = aion.Signal("approval", str)


@aion.workflow
async def order(amount: int) -> str:
    first = await charge(amount)
    by = await approval.receive()
    second = await charge(amount)
    return f"{{first}}, {{second}} by {{by}}"


async def main() -> None:
    async with aion.open_engine("sqlite:///aion.db", workflows=[order]) as engine:
        handle = await engine.start(order, 3, workflow_id="w")
        if sys.argv[1] == "begin":
            while (await handle.describe()).events < 3:
                await trio.sleep(0.01)
        else:
            await handle.signal(approval, "ada")
            print(await handle.result())


if __name__ == "__main__":
    trio.run(main)
"""


def run(directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP.format(charge=PAYMENTS))
    run(tmp_path, "app.py", "begin")
    return tmp_path


def test_a_run_begun_by_a_script_is_finished_by_the_module(directory: Path) -> None:
    assert run(directory, "-m", "app", "finish") == "charged 3, charged 3 by ada"


def test_a_run_is_finished_after_its_activity_has_moved_to_another_module(
    directory: Path,
) -> None:
    (directory / "payments.py").write_text(PAYMENTS)
    (directory / "app.py").write_text(APP.format(charge="from payments import charge"))
    assert run(directory, "app.py", "finish") == "charged 3, charged 3 by ada"
