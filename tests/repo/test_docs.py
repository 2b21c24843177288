"""What README and docs show is run here, as it stands."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)[^)]*\)")
# Not in hidden folders: caches have READMEs, too.
GLOBS = (
    "README.md",
    "docs/**/*.md",
    "[!.]*/README.md",
    "benchmarks/*/README.md",
    "plugins/*/README.md",
    "examples/*/README.md",
)
PAGES = sorted(page for pattern in GLOBS for page in ROOT.glob(pattern))
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text()), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_code_block_runs_as_it_stands(block: str, tmp_path: Path) -> None:
    (tmp_path / "block.py").write_text(block)
    done = subprocess.run(
        [sys.executable, "-W", "error", "block.py"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_code_goes_on_after_a_kill(tmp_path: Path) -> None:
    (block,) = BLOCK.findall((ROOT / "README.md").read_text())
    (tmp_path / "app.py").write_text(block)
    command = [sys.executable, "-u", "app.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as victim:
        _wait_for_timer(tmp_path / "orders.db", victim)
        victim.kill()
    done = subprocess.run(
        command, check=True, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.stdout.splitlines() == ["mail: receipt for order-1042", "receipt for order-1042"]


def _wait_for_timer(database: Path, victim: subprocess.Popen[bytes]) -> None:
    """Return while the workflow sleeps: its timer is recorded, and the mail not sent."""
    while victim.poll() is None:
        if database.exists():
            with (
                closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
                suppress(sqlite3.OperationalError),  # the schema is not there yet
            ):
                if connection.execute("SELECT 1 FROM v_timers").fetchall():
                    return
    pytest.fail("the README's program ended by itself")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(CODE.sub("", page.read_text()))
    assert [each for each in targets if not (page.parent / each).exists()] == []
