"""``python -m tests.soak --seconds 120 --seed 7``: is anything lost, stuck or doubled?

Exit code 0: no. Exit code 1: yes, or it did not come to its end; then what is left is kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aion_core import events as e
from tests.soak.checker import faults
from tests.soak.engine import NOTES
from tests.soak.evidence import Evidence
from tests.soak.harness import HarnessError, soak
from tests.soak.workload import ledger_at

SHOWN = 20
"""So many faults are printed; the rest are counted."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, and say what came of it. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="how long (default: 120)")
    parser.add_argument("--seed", type=int, help="decides all but the timing (default: drawn)")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    directory = Path(tempfile.mkdtemp(prefix="aion-soak-"))
    say(f"soak of {options.seconds:g} s with seed {seed}; again: make soak SEED={seed}")
    try:
        evidence = soak(directory, options.seconds, seed, say)
    except HarnessError as error:
        say(f"verdict: FAILED, {error}; seed {seed}, what is left is in {directory}")
        return 1
    found = list(faults(evidence))
    tell(evidence, directory)
    if found:
        for each in found[:SHOWN]:
            say(f"  - {each}")
        say(f"verdict: FAILED, {len(found)} faults; seed {seed}, what is left is in {directory}")
        return 1
    shutil.rmtree(directory)
    say(f"verdict: nothing lost, stuck or doubled; seed {seed}")
    return 0


def tell(evidence: Evidence, directory: Path) -> None:
    """What was done."""
    kinds = Counter(promise.workflow_id.split("-")[-1] for promise in evidence.promises)
    workflows = {item.event.workflow_id for item in evidence.feed}
    counts = Counter(type(item.event) for item in evidence.feed)
    troubles = Counter(
        str(line["trouble"]) for line in ledger_at(directory / NOTES) if "trouble" in line
    )
    say(f"asked for: {len(evidence.promises)} workflows ({told(kinds)})")
    say(
        f"recorded: {len(workflows)} workflows, {len(evidence.feed)} events, "
        f"{counts[e.ActivityCompleted]} activities, {counts[e.TimerFired]} timers, "
        f"{counts[e.SignalReceived]} signals, {counts[e.UpdateCompleted]} updates, "
        f"{counts[e.ActivityStarted]} deliveries after a crash"
    )
    say(
        f"in the way: {len(evidence.kills)} kills of engines and {evidence.client_kills} of "
        f"clients, {troubles['jump of the clock']} jumps of the "
        f"clock; commits: {troubles['refused']} refused, {troubles['lost']} whose answer was lost, "
        f"{troubles['slow']} slow; {troubles['unreadable']} reads that failed"
    )
    if evidence.memory:
        first, last = evidence.memory[0].life, evidence.memory[-1].life
        most = max(sample.mib for sample in evidence.memory)
        say(f"memory: {most:.0f} MiB at the most, over lives {first} to {last}")
    else:
        say("memory: not measured, this system does not tell")


def told(kinds: Counter[str]) -> str:
    """Counts by name."""
    return ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
