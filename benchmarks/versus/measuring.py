"""One measurement of one side: processes started, one of them killed, and the traces checked."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs

from benchmarks.versus.environment import ROOT
from benchmarks.versus.shared import Effects, Figures

__all__ = ["WORKLOADS", "Settings", "Side", "Workload", "measure", "settings_of"]

STAGES = ("before", "after")
"""The two steps of a run of `recovery`."""

PATIENCE_S = 900.0
"""After which a process that has not ended is taken to hang; the slowest takes a minute or two."""


@attrs.frozen
class Side:
    """An engine with its options.

    Attributes:
        name: what the table calls it.
        command: interpreter, module and options of its processes.
        recovers: whether it takes part in `recovery`.
    """

    name: str
    command: tuple[str, ...]
    recovers: bool = True

    @classmethod
    def of_aion(cls, name: str, *options: str) -> Side:
        return cls(name, (sys.executable, "-m", "benchmarks.versus.on_aion", *options))

    @classmethod
    def of_dbos(cls, name: str, python: str, *options: str, recovers: bool = True) -> Side:
        return cls(name, (python, "-m", "benchmarks.versus.on_dbos", *options), recovers)


@attrs.frozen
class Settings:
    """How durable the commits of a side are, by SQLite's own words.

    Attributes:
        synchronous: the number of a level: 1 is NORMAL, 2 is FULL.
    """

    journal_mode: str
    synchronous: int


@attrs.frozen
class Workload:
    """What is measured.

    Attributes:
        runs: workflows at a time.
        steps: of each, one after the other.
        figure: the one that is compared, and ``processor`` the one for the processor's time.
        more_is_better: of ``figure``.
    """

    name: str
    runs: int
    steps: int
    figure: str = "steps_per_second"
    processor: str = "processor_us_per_step"
    more_is_better: bool = True


WORKLOADS = (
    Workload("sequential", runs=1, steps=1_000),
    Workload("throughput", runs=100, steps=60),
    Workload(
        "recovery",
        runs=1_000,
        steps=2,
        figure="done_s",
        processor="processor_s",
        more_is_better=False,
    ),
)


def measure(side: Side, workload: Workload) -> Figures:
    """Run it once, in a new directory on the disk of the working directory."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as directory:
        if workload.name == "recovery":
            return _recovery(side, Path(directory), workload.runs)
        sizes = (str(workload.runs), str(workload.steps))
        figures: Figures = _said(side, "chains", directory, *sizes)
        return figures


def settings_of(side: Side) -> Settings:
    """Read from the connections that it opens, in a process that does nothing else."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as directory:
        return Settings(**_said(side, "settings", directory))


def _recovery(side: Side, directory: Path, runs: int) -> Figures:
    command = [*side.command, "park", str(directory), str(runs)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        said = victim.stdout.readline()
        victim.kill()
    if json.loads(said or "{}") != {"parked": runs}:
        raise SystemExit(f"{side.name}: the runs were not brought to their wait; see above")
    effects = Effects(directory / "effects")
    figures: Figures = _said(side, "resume", str(directory), str(runs))
    counts = [effects.by_run(stage)[number] for stage in STAGES for number in range(runs)]
    figures["steps_lost"] = counts.count(0)
    figures["steps_repeated"] = sum(count > 1 for count in counts)
    return figures


def _said(side: Side, *arguments: str) -> dict[str, Any]:
    """The line of JSON that a process of the side prints."""
    command = [*side.command, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
