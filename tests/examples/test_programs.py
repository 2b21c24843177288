"""Each example, run as a user would: from the command line, in a file that stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

ENDS = {
    "agent": ["Done: I have tidied up."],
    "approval": ["granted by kim"],
    "children": [
        "Bern: not counted: its parent asked for it (Cancelled)",
        "Oslo: 60 (Completed)",
        "Pisa: not counted: activity 'count' (activity:0) failed at attempt 1: "
        "Accident: the shelves have fallen over (Failed)",
    ],
    "entity": ["ada left with 40 points, 40 by the query"],
    "fan_out": ["8000 bytes in 1000 small pictures"],
    "polling": ["in several runs"],
    "race": ["ordered in the south for 6.00 EUR", "nobody made an offer"],
    "saga": ["Oslo: Oslo/flight, Oslo/hotel, Oslo/car", "Venice: not booked, no cars in Venice"],
}
"""What each has printed at its end, at the first run and at every other one on the same file."""

each = pytest.mark.parametrize("example", sorted(ENDS))


def start(example: str, directory: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{example}.py"), *arguments],
        cwd=directory,
        env=os.environ | {"TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return out.splitlines()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


Programs = dict[str, subprocess.Popen[str]]


def all_at_once(directory: Path) -> Iterator[Programs]:
    """They wait most of the time."""
    processes = {example: start(example, directory, f"{example}.db") for example in ENDS}
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def first_runs(directory: Path) -> Iterator[Programs]:
    yield from all_at_once(directory)


@pytest.fixture(scope="module")
def second_runs(first_runs: Programs, directory: Path) -> Iterator[Programs]:
    for process in first_runs.values():
        process.wait(timeout=30)
    yield from all_at_once(directory)


def test_every_example_is_run_by_a_test() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")}
    assert files == {*ENDS, "order_fulfilment"}


@each
def test_an_example_comes_to_its_end(example: str, first_runs: Programs) -> None:
    printed = [line for line in lines(first_runs[example]) if line in ENDS[example]]
    assert printed == ENDS[example]


@each
def test_an_example_that_is_run_again_finds_it_all_done(
    example: str, second_runs: Programs
) -> None:
    assert lines(second_runs[example])[-len(ENDS[example]) :] == ENDS[example]


def test_without_a_path_an_example_leaves_nothing(tmp_path: Path) -> None:
    assert lines(start("saga", tmp_path))[-1] == ENDS["saga"][-1]
    assert list(tmp_path.iterdir()) == []
