"""``examples/order_fulfilment.py`` does what it says."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "order_fulfilment.py"
ENDS = {
    "order 1 of Ada, 31.05 EUR: shipped as 2P-1",
    "order 2 of Grace, 1498.00 EUR: shipped as 1P-2",
    "order 3 of Jürgen, 378.00 EUR: failed: insufficient funds",
    "order 4 of Olu, 5890.00 EUR: refunded",
    "order 5 of 花子, 179.00 EUR: shipped as 2P-5",
}


def example(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), *arguments],
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(cwd), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def ends(process: subprocess.Popen[str]) -> set[str]:
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return set(out.splitlines())


def outcomes_in(database: Path) -> int:
    """How many activities have completed; 0 as long as there is no schema."""
    if not database.exists():
        return 0
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            query = "SELECT count(*) FROM v_events WHERE kind = 'ActivityCompleted'"
            (count,) = connection.execute(query).fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(count)


def test_the_example_runs_and_leaves_nothing(tmp_path: Path) -> None:
    assert ends(example(cwd=tmp_path)) == ENDS
    assert list(tmp_path.iterdir()) == []


def test_the_example_goes_on_after_a_kill(tmp_path: Path) -> None:
    with example("orders.db", cwd=tmp_path) as killed:
        while not outcomes_in(tmp_path / "orders.db"):
            assert killed.poll() is None, "the example ended by itself"
            time.sleep(0.005)
        killed.kill()
        killed.communicate()
    assert ends(example("orders.db", cwd=tmp_path)) == ENDS
