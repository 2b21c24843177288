"""A long activity goes on after SIGKILL where its heartbeats were, and not from the beginning."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from tests.crash.importer import ROWS, ROWS_PER_SECOND

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0

KILL_AT = 600
"""So many rows are imported when the process is killed: more than those of one second."""


def imported(directory: Path) -> list[tuple[int, int]]:
    """Process and row, in order."""
    place = directory / "rows"
    lines = place.read_text().splitlines() if place.exists() else []
    return [(int(pid), int(row)) for pid, row in map(str.split, lines)]


def test_an_import_goes_on_within_a_seconds_worth_of_rows_after_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.crash.importer", str(tmp_path)]
    pause = threading.Event()
    with subprocess.Popen(command, cwd=ROOT) as victim:
        while len(imported(tmp_path)) < KILL_AT and victim.poll() is None:
            pause.wait(0.02)
        victim.kill()
    before = imported(tmp_path)
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_S)
    after = imported(tmp_path)[len(before) :]
    assert {row for _, row in before + after} == set(range(ROWS))
    assert {pid for pid, _ in before}.isdisjoint(pid for pid, _ in after)
    again = before[-1][1] + 1 - after[0][1]
    # A second between two writes, and what one of them and a busy machine take.
    assert 0 <= again <= 1.25 * ROWS_PER_SECOND
