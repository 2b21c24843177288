"""Messages from another process: how long a signal takes to its effect, and what waiting costs.

``python -m benchmarks.messages DIRECTORY`` is the engine's process: it prints a line when it is
open, and at the end the processor time that it has used meanwhile.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

import aion_runtime as aion

__all__ = ["measure"]

SIGNALS = 20
SELDOM_S = 1.2
"""So long apart that the engine has gone back to looking seldom."""

IDLE_S = 30.0

ping = aion.Signal("ping", int)


@aion.activity
async def read_clock() -> int:
    return time.monotonic_ns()


@aion.workflow
async def answering(count: int) -> list[float]:
    """Milliseconds from the sending of each signal to the activity that it has begun."""
    taken: list[float] = []
    for _ in range(count):
        sent_at = await ping.receive()
        taken.append((await read_clock() - sent_at) / 1e6)
    return taken


async def measure(directory: Path) -> dict[str, float]:
    url = f"sqlite:///{directory}/aion.db"
    async with _engine(url), aion.open_client(url, workflows=[answering]) as client:
        seldom = await _pings(client, SIGNALS, SELDOM_S)
        often = await _pings(client, 5 * SIGNALS, 0.02)
    idle: dict[str, float] = {}
    async with _engine(url, idle):
        await trio.sleep(IDLE_S)
    return {
        "signal_ms": statistics.median(seldom),
        "signal_ms_at_most": max(seldom),
        "signal_often_ms": statistics.median(often),
        "idle_percent": 100 * idle["processor_s"] / IDLE_S,
    }


async def _pings(client: aion.Client, count: int, pause: float) -> list[float]:
    run = await client.start(answering, count)
    for _ in range(count):
        await trio.sleep(pause)
        await run.signal(ping, time.monotonic_ns())
    return await run.result()


@asynccontextmanager
async def _engine(url: str, used: dict[str, float] | None = None) -> AsyncIterator[None]:
    """A process with an engine; ``used`` gets the processor time from its opening to its end."""
    command = [sys.executable, "-m", "benchmarks.messages", url]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert process.stdout is not None
        assert process.stdin is not None
        await process.stdout.receive_some()
        yield
        await process.stdin.aclose()
        report = b""
        async for piece in process.stdout:
            report += piece
        if used is not None:
            used["processor_s"] = float(report)


async def _serve(url: str) -> None:
    async with aion.open_engine(url, workflows=[answering]):
        began = time.process_time()
        print("open", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    trio.run(_serve, sys.argv[1])
