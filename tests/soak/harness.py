"""The harness: starts the processes, kills the engine again and again, and sees the end.

What happens is decided by the seed; when exactly a kill meets whom is for the machine to say.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path

import attrs

from tests.soak.engine import NOTES
from tests.soak.evidence import Evidence, Kill, MemorySample, collect, executions_at
from tests.soak.workload import ledger_at

__all__ = ["CLIENTS", "HarnessError", "soak"]

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ("ann", "ben")
LOG = "log.txt"
"""Where all processes write what they have to say."""

PATIENCE_S = 120.0
"""After so long without progress something hangs."""

LOOK_S = 0.1

KILL_EVERY_S = (0.5, 4.0)
CLIENT_TOO = 0.3
"""How often a client is killed along with an engine."""

LONG_LIFE = 0.3
"""This part of the time one engine is left alive, so that memory can be weighed over a life."""


class HarnessError(Exception):
    """The soak cannot go on: a process did what it must not, or does nothing any more."""


@attrs.define
class _Soak:
    directory: Path
    seed: int
    say: Callable[[str], None]
    processes: ExitStack
    began: float = attrs.field(factory=time.monotonic)
    life: int = 0
    clients: dict[str, subprocess.Popen[bytes]] = attrs.field(factory=dict)
    client_kills: int = 0
    kills: list[Kill] = attrs.field(factory=list)
    memory: list[MemorySample] = attrs.field(factory=list)

    def start(self, module: str, *args: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"tests.soak.{module}", str(self.directory)]
        log = self.processes.enter_context((self.directory / LOG).open("ab"))
        process = subprocess.Popen([*command, *map(str, args)], cwd=ROOT, stderr=log)
        self.processes.callback(process.wait)
        self.processes.callback(process.kill)
        return process

    def start_engine(self) -> subprocess.Popen[bytes]:
        """Start the next engine, and wait until it has opened."""
        self.life += 1
        engine = self.start("engine", self.seed, self.life)
        deadline = time.monotonic() + PATIENCE_S
        while not any(
            line["life"] == self.life and "opened" in line
            for line in ledger_at(self.directory / NOTES)
        ):
            self.must_live(engine, f"engine {self.life}")
            if time.monotonic() > deadline:
                raise HarnessError(f"engine {self.life} does not open")
            time.sleep(LOOK_S / 4)
        return engine

    def must_live(self, process: subprocess.Popen[bytes], name: str) -> None:
        if process.poll() is not None:
            raise HarnessError(
                f"{name} has ended by itself, with exit code {process.returncode}; see {LOG}"
            )

    def live(
        self, engine: subprocess.Popen[bytes], seconds: float, is_over: Callable[[], bool]
    ) -> None:
        """Let an engine work for a while, or until something is so, and weigh it."""
        opened = time.monotonic()
        while (age := time.monotonic() - opened) < seconds and not is_over():
            self.must_live(engine, f"engine {self.life}")
            mib = resident_mib(engine.pid)
            if mib is not None:
                self.memory.append(MemorySample(self.life, age, mib))
            time.sleep(LOOK_S)

    def kill(self, engine: subprocess.Popen[bytes]) -> None:
        self.must_live(engine, f"engine {self.life}")
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        self.kills.append(
            Kill(
                self.life,
                last_position(self.directory / "aion.db"),
                len(executions_at(self.directory)),
            )
        )
        passed = time.monotonic() - self.began
        self.say(f"{passed:5.0f} s  killed engine {self.life}, {self.kills[-1].position} events")

    def start_client(self, name: str, seconds: float) -> None:
        self.clients[name] = self.start("client", self.seed, name, max(0.0, seconds))

    def replace_client(self, name: str, seconds: float) -> None:
        """Kill a client, unless it has ended, and start the next, which goes on where it was."""
        client = self.clients[name]
        if client.poll() == 0:
            return
        self.must_live(client, f"client {name}")
        client.send_signal(signal.SIGKILL)
        client.wait()
        self.client_kills += 1
        self.start_client(name, seconds)


def soak(directory: Path, seconds: float, seed: int, say: Callable[[str], None]) -> Evidence:
    """Let clients and engines work for so long in an empty directory; returns what is left.

    Raises:
        HarnessError: it did not come to its end.
    """
    dice = random.Random(f"{seed} kills")
    with ExitStack() as processes:
        this = _Soak(directory, seed, say, processes)
        engine = this.start_engine()
        for name in CLIENTS:
            this.start_client(name, seconds)
        long_life = (0.4 * seconds, (0.4 + LONG_LIFE) * seconds)
        while (passed := time.monotonic() - this.began) < seconds:
            rest = seconds - passed
            is_long = long_life[0] <= passed < long_life[1]
            span = long_life[1] - passed if is_long else dice.uniform(*KILL_EVERY_S)
            this.live(engine, min(span, rest), lambda: False)
            this.kill(engine)
            if dice.random() < CLIENT_TOO:
                rest = seconds - (time.monotonic() - this.began)
                this.replace_client(dice.choice(CLIENTS), rest)
            engine = this.start_engine()
        say(f"{seconds:5.0f} s  the last engine sees the clients through")
        this.live(engine, PATIENCE_S, lambda: have_ended(this.clients.values()))
        for name, client in this.clients.items():
            if client.poll() is None:
                raise HarnessError(f"client {name} waits for something that does not come")
            if client.returncode:
                raise HarnessError(f"client {name} has failed; see {LOG}")
        settle(directory / "aion.db")
        engine.send_signal(signal.SIGTERM)
        if engine.wait(PATIENCE_S):
            raise HarnessError(f"the last engine stopped with exit code {engine.returncode}")
    evidence = collect(directory, CLIENTS, this.kills, this.memory)
    return attrs.evolve(evidence, client_kills=this.client_kills)


def have_ended(processes: Iterable[subprocess.Popen[bytes]]) -> bool:
    """Have all of them?"""
    return all(process.poll() is not None for process in processes)


def settle(path: Path) -> None:
    """Return when nothing changes any more: children that were left behind have been told."""
    deadline = time.monotonic() + PATIENCE_S
    before, since = last_position(path), time.monotonic()
    while time.monotonic() - since < 2.0:
        if time.monotonic() > deadline:
            raise HarnessError("events go on being recorded though nobody asks for anything")
        time.sleep(LOOK_S)
        if (position := last_position(path)) != before:
            before, since = position, time.monotonic()


def last_position(path: Path) -> int:
    """Of the last event that is durable; 0 for none."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (position,) = connection.execute("SELECT max(position) FROM v_events").fetchone()
    return position or 0


def resident_mib(pid: int) -> float | None:
    """How much memory a process has; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return None
