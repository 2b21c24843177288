"""What it takes to begin: the import, the command, and the memory of an engine without work."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.processes import run_alone

__all__ = ["measure"]

ROUNDS = 7
DEPENDENCIES = "import trio, attrs, cattrs, pluggy"
PACKAGE = "import aion_runtime"
ENGINE = "from aion_runtime import open_engine"
HELP = str(Path(sys.executable).with_name("aion"))


async def measure(directory: Path) -> dict[str, float]:
    rounds = [
        (*map(_import_ms, (DEPENDENCIES, PACKAGE, ENGINE)), _help_ms()) for _ in range(ROUNDS)
    ]
    dependencies, package, engine, help_ms = map(statistics.median, zip(*rounds, strict=True))
    idle = await run_alone("idle", f"sqlite:///{directory}/aion.db")
    return {
        "import_ms": package,
        "raw_import_ms": dependencies,
        "import_ratio": package / dependencies,
        # The package brings in its engine when it is first used.
        "engine_import_ms": engine,
        "engine_import_ratio": engine / dependencies,
        "help_ms": help_ms,
    } | idle


def _import_ms(statement: str) -> float:
    """Milliseconds of a new process, without those of starting it."""
    program = (
        f"import time; began = time.perf_counter(); {statement}; "
        "print((time.perf_counter() - began) * 1e3)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return float(done.stdout)


def _help_ms() -> float:
    """Milliseconds from the start to the end of the process."""
    began = time.perf_counter()
    subprocess.run([HELP, "--help"], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1e3
