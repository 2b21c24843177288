"""The process that is killed: ``python -m tests.soak.engine DIRECTORY SEED LIFE``.

An engine with a troubled store and a jumping clock, until it is told to stop. It knows of no kills.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from pathlib import Path

import trio

import aion_runtime as aion
from aion_runtime.opening import open_store
from tests.soak import workload
from tests.soak.trouble import JumpingClock, TroubledStore

__all__ = ["NOTES"]

NOTES = "engines.jsonl"
"""The ledger in which each engine says that it has opened, and what was put in its way."""


async def main(directory: Path, seed: int, life: int) -> None:
    """Serve until SIGTERM."""
    notes = workload.Ledger(directory / NOTES)

    def note(trouble: str) -> None:
        notes.write(life=life, trouble=trouble)

    clock = JumpingClock(random.Random(f"{seed} clock {life}"), note)
    async with open_store(f"sqlite:///{directory}/aion.db") as inner:
        store = TroubledStore(inner, random.Random(f"{seed} store {life}"), note)
        async with aion.open_engine(store, workflows=[workload], clock=clock):
            with trio.open_signal_receiver(signal.SIGTERM) as signals:
                notes.write(life=life, opened=True)
                async for _ in signals:
                    break


if __name__ == "__main__":
    os.environ[workload.LEDGER_VARIABLE] = str(Path(sys.argv[1]) / "ledger.jsonl")
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
