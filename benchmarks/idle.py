"""``python -m benchmarks.idle URL``: an engine without work, and how much memory its process takes.

Part of `startup`. Nothing is imported here that an engine does without.
"""

from __future__ import annotations

import json
import sys

import trio

import aion_runtime as aion
from benchmarks.processes import memory_in_use
from benchmarks.workload import chain

IDLE_S = 1.0


async def main(url: str) -> None:
    async with aion.open_engine(url, workflows=[chain]):
        await trio.sleep(IDLE_S)
        print(json.dumps({"idle_mb": memory_in_use() / 2**20}))


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
