"""A long import that is killed: ``python -m tests.crash.importer DIRECTORY``. It knows of no kills.

Each row is a line in a file, with the process that imported it; the activity's heartbeat says which
row is next.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import trio

import aion_runtime as aion

ROWS = 1000
ROWS_PER_SECOND = 400


@aion.activity
def import_rows(directory: str) -> int:
    begin = aion.last_heartbeat() or 0
    pace = threading.Event()
    rows = os.open(Path(directory) / "rows", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for row in range(begin, ROWS):
        os.write(rows, f"{os.getpid()} {row}\n".encode())
        aion.heartbeat(row + 1)
        pace.wait(1 / ROWS_PER_SECOND)
    os.close(rows)
    return ROWS


@aion.workflow
async def import_all(directory: str) -> int:
    return await import_rows(directory)


async def main(directory: str) -> None:
    async with aion.open_engine(f"sqlite:///{directory}/aion.db", workflows=[import_all]) as engine:
        run = await engine.start(import_all, directory, workflow_id="import")
        assert await run.result() == ROWS


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
