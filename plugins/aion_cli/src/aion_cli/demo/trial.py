"""A trial: runs the engine in a child process, kills it, restarts it, and keeps the evidence.

The only module that kills. It sees what anybody sees from outside: the ledger, and the store
through copies; the engine's process does not know that it is watched.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio

from aion_cli.demo.evidence import Evidence, Kill
from aion_cli.demo.ledger import Execution, LedgerTail
from aion_cli.demo.place import (
    Place,
    Snapshot,
    copy_database,
    read_histories,
    read_snapshot,
    store_url,
)
from aion_cli.demo.plan import KillPlan, Sighting
from aion_cli.demo.sabotage import Cut, choose_cut, rewrite
from aion_core.errors import AionError

__all__ = ["EngineDiedError", "Spectator", "Trial"]

LEDGER_INTERVAL_S = 0.004
SNAPSHOT_INTERVAL_S = 0.12


class EngineDiedError(AionError):
    """The engine's process ended by itself, which is not what this is about."""


class Spectator(Protocol):
    """Who is told what happens, while it happens."""

    def started(self, pid: int) -> None:
        """A process was started."""

    def saw(self, snapshot: Snapshot, ledger: Sequence[Execution]) -> None:
        """This is where the runs stand."""

    def killed(self, kill: Kill) -> None:
        """The process was killed; this is what it left."""

    def sabotaged(self, cut: Cut) -> None:
        """A recorded outcome was taken away."""


class Trial:
    """One run of the demo's workload.

    Args:
        scratch: a directory for copies of the store.
        kills: how often the engine is killed.
        expected: about how many executions the work takes.
        sabotage: take a recorded outcome away after one of the kills.
    """

    def __init__(
        self,
        place: Place,
        scratch: Path,
        spectator: Spectator,
        *,
        kills: int,
        expected: int,
        seed: int,
        sabotage: bool = False,
    ) -> None:
        self._place = place
        self._scratch = scratch
        self._spectator = spectator
        self._rng = random.Random(seed)
        self._plan = KillPlan(kills, expected, self._rng)
        self._sabotage = sabotage
        self._tail = LedgerTail(place.ledger)
        self._ledger: list[Execution] = []
        self._kills: list[Kill] = []
        self._snapshot = Snapshot()

    @property
    def sabotage_is_due(self) -> bool:
        """Sabotage was asked for, and no kill has found anything to take away."""
        return self._sabotage

    async def run(self, time_limit: float) -> Evidence:
        """Let the engine work, and die, until all orders are over or the time is.

        Raises:
            EngineDiedError: it ended by itself before that.
        """
        with trio.move_on_after(time_limit) as limit:
            while await self._live_and_die():
                kill = await self._inspect_remains()
                self._spectator.killed(kill)
                await self._commit_sabotage(kill)
        histories = await read_histories(await self._readable("end"))
        self._read_ledger()
        return Evidence(
            ledger=self._ledger,
            kills=self._kills,
            histories=histories,
            timed_out=limit.cancelled_caught,
        )

    async def _live_and_die(self) -> bool:
        """One process, from its start to its end: was it killed?"""
        self._plan.restarted()
        async with _engine_process(self._place) as process, trio.open_nursery() as nursery:
            self._pid = process.pid
            self._spectator.started(process.pid)
            nursery.start_soon(self._keep_looking)
            killed = await self._watch(process)
            nursery.cancel_scope.cancel()
        if not killed and process.returncode != 0:
            raise EngineDiedError(_last_words(self._place.log, process.returncode))
        return killed

    async def _watch(self, process: trio.Process) -> bool:
        while process.returncode is None:
            sighting = Sighting(
                now=trio.current_time(),
                fresh=self._read_ledger(),
                executions=len(self._ledger),
                waiting=bool(self._snapshot.waiting),
                kills=len(self._kills),
                proved=self._proved(),
            )
            if self._plan.wants_kill(sighting):
                await trio.sleep(self._plan.delay())
                process.kill()
                # It may have ended by itself just before.
                return await process.wait() == -signal.SIGKILL
            await trio.sleep(LEDGER_INTERVAL_S)
        return False

    def _proved(self) -> bool:
        return any(kill.in_flight for kill in self._kills) and any(
            kill.waiting for kill in self._kills
        )

    def _read_ledger(self) -> bool:
        fresh = self._tail.read()
        self._ledger += fresh
        return bool(fresh)

    async def _keep_looking(self) -> None:
        self._snapshot = Snapshot()
        while True:
            await trio.sleep(SNAPSHOT_INTERVAL_S)
            # Before the first execution the store may still be in the making.
            if not self._ledger:
                continue
            self._snapshot = await read_snapshot(await self._readable("now"))
            self._spectator.saw(self._snapshot, self._ledger)

    async def _inspect_remains(self) -> Kill:
        number = len(self._kills) + 1
        histories = await read_histories(await self._readable(f"kill-{number}"))
        self._read_ledger()
        kill = Kill(number=number, pid=self._pid, ledger=tuple(self._ledger), histories=histories)
        self._kills.append(kill)
        return kill

    async def _commit_sabotage(self, kill: Kill) -> None:
        cut = choose_cut(kill.histories, self._rng) if self._sabotage else None
        if cut is not None:
            self._sabotage = False
            await rewrite(self._place.database, kill.histories, cut)
            self._spectator.sabotaged(cut)

    async def _readable(self, name: str) -> str:
        """The URL at which the store can be read now."""
        if self._place.store is not None:
            return self._place.store
        target = self._scratch / f"{name}.db"
        await trio.to_thread.run_sync(copy_database, self._place.database, target)
        return store_url(target)


@asynccontextmanager
async def _engine_process(place: Place) -> AsyncIterator[trio.Process]:
    """The engine's process; it is dead when this is left, in whatever way."""
    with place.log.open("ab") as log:
        process = await trio.lowlevel.open_process(
            # -P: a file of the current directory must not take the place of a module.
            [sys.executable, "-P", "-m", "aion_cli.demo.worker", str(place.directory), place.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            # Ctrl-C in a terminal goes to a whole group; the engine is to be killed by us alone.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):  # a killed process ends at once
            await process.wait()
        if process.stdin is not None:
            await trio.aclose_forcefully(process.stdin)


def _last_words(log: Path, returncode: int | None) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    return f"the engine's process ended by itself with exit code {returncode}: {last.strip()}"
