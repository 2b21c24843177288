"""The installed ``aion`` command, started as a user starts it, from a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs

AION = Path(sys.executable).with_name("aion")


@attrs.frozen
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        assert line.startswith("aion: ")
        return line


def start(*arguments: str, cwd: Path, **environ: str) -> subprocess.Popen[str]:
    """Start it; whatever it would leave in the directory for temporary files lands in cwd/tmp."""
    (cwd / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [str(AION), *arguments],
        cwd=cwd,
        env=os.environ | {"TMPDIR": str(cwd / "tmp"), "NO_COLOR": "1"} | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def finish(process: subprocess.Popen[str]) -> Done:
    """Wait for its end."""
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return Done(process.returncode, out, err)


def aion(*arguments: str, cwd: Path, **environ: str) -> Done:
    """Run it to its end."""
    return finish(start(*arguments, cwd=cwd, **environ))
