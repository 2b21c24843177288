"""Processes of their own: for what is to be killed, or must not share its memory with others."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from pathlib import Path

import trio

__all__ = ["die", "memory_in_use", "run_alone"]

Figures = dict[str, float]


async def run_alone(module: str, *arguments: str, dies: bool = False) -> Figures:
    """Run ``python -m benchmarks.<module>``.

    Args:
        dies: it is going to kill itself.

    Returns:
        What it has printed, as JSON: nothing when it dies.
    """
    done = await trio.run_process(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        capture_stdout=True,
        check=not dies,
    )
    if dies:
        if done.returncode != -signal.SIGKILL:
            raise RuntimeError(f"benchmarks.{module} ended by itself; see what it wrote above")
        return {}
    figures: Figures = json.loads(done.stdout)
    return figures


def die() -> None:
    """Be gone at once, with nothing closed or written any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def memory_in_use() -> int:
    """Bytes of this process that are in memory, when what is garbage has been collected.

    Where the system does not say what is in use now, it is the most that ever was.
    """
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
