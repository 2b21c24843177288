"""Each example, run as a user would: from the command line, in a file that stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
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
    "polling": ["/exports/orders.csv"],
    "race": ["ordered in the south for 6.00 EUR", "nobody made an offer"],
    "saga": ["Oslo: Oslo/flight, Oslo/hotel, Oslo/car", "Venice: not booked, no cars in Venice"],
}
"""What each has printed at its end, at the first run and at every other one on the same file."""

each = pytest.mark.parametrize("example", sorted(ENDS))


def run(example: str, directory: Path, *arguments: str) -> list[str]:
    """The lines that an example prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{example}.py"), *arguments],
        check=False,
        cwd=directory,
        env=os.environ | {"TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def run_all(directory: Path) -> Mapping[str, list[str]]:
    """Two at once, since they wait most of the time; not more, since some are impatient."""
    with ThreadPoolExecutor(2) as pool:
        lines = pool.map(lambda example: run(example, directory, f"{example}.db"), ENDS)
        return dict(zip(ENDS, lines, strict=True))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def first_lines(directory: Path) -> Mapping[str, list[str]]:
    return run_all(directory)


@pytest.fixture(scope="module")
def second_lines(first_lines: Mapping[str, list[str]], directory: Path) -> Mapping[str, list[str]]:
    assert first_lines
    return run_all(directory)


def test_every_example_is_run_by_a_test() -> None:
    files = {path.stem for path in EXAMPLES.glob("*.py")}
    assert files == {*ENDS, "order_fulfilment"}


@each
def test_an_example_comes_to_its_end(example: str, first_lines: Mapping[str, list[str]]) -> None:
    lines = [line for line in first_lines[example] if line in ENDS[example]]
    assert lines == ENDS[example]


@each
def test_an_example_that_is_run_again_finds_it_all_done(
    example: str, second_lines: Mapping[str, list[str]]
) -> None:
    assert second_lines[example][-len(ENDS[example]) :] == ENDS[example]


def test_without_a_path_an_example_leaves_nothing(tmp_path: Path) -> None:
    assert run("saga", tmp_path)[-1] == ENDS["saga"][-1]
    assert list(tmp_path.iterdir()) == []
