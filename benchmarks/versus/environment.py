"""An environment that has DBOS and nothing of Aion's, made by pip when it is needed first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["REQUIREMENTS", "ROOT", "dbos_python"]

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def dbos_python() -> str:
    """Its interpreter, of the version that runs this. ``make clean`` takes it away."""
    home = ROOT / ".venv" / "versus"
    python = home / "bin" / "python"
    made_from = home / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if not made_from.exists() or made_from.read_text() != wanted:
        print("Installing DBOS ...", file=sys.stderr)
        for arguments in (
            ["venv", "--clear", "--without-pip", str(home)],
            ["pip", "--python", str(python), "install", "--quiet", "-r", str(REQUIREMENTS)],
        ):
            subprocess.run([sys.executable, "-m", *arguments], check=True)
        # Written last: an environment that is half made is made again.
        made_from.write_text(wanted)
    return str(python)
