"""What both sides do alike: the command line, the value, the traces of steps, the report.

The standard library alone: the environment of DBOS has nothing of Aion's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "Effects",
    "Figures",
    "Item",
    "Stopwatch",
    "chain_figures",
    "first_item",
    "next_item",
    "report",
    "run_id",
    "side_parser",
]

Item: TypeAlias = dict[str, int | str]
"""The small JSON value that each step takes and returns."""

Figures: TypeAlias = dict[str, float]


def side_parser(doc: str | None) -> argparse.ArgumentParser:
    """Actions: ``settings``, ``chains``; ``park``, which waits to be killed, then ``resume``."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("action", choices=["settings", "chains", "park", "resume"])
    parser.add_argument("directory", type=Path, help="where the database and the traces lie")
    parser.add_argument("runs", type=int, nargs="?", default=1, help="workflows at a time")
    parser.add_argument("steps", type=int, nargs="?", default=1, help="in each workflow of chains")
    return parser


def first_item() -> Item:
    return {"number": 0, "name": "a small value"}


def next_item(item: Item, number: int) -> Item:
    return {"number": number, "name": item["name"]}


def run_id(number: int) -> str:
    return f"run-{number}"


def report(found: Mapping[str, object]) -> None:
    """The one line that a process prints."""
    print(json.dumps(found), flush=True)


class Stopwatch:
    """Time since it was made: of the clock, and of the processor for all threads."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._processor = time.process_time()

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began

    def processor_s(self) -> float:
        return time.process_time() - self._processor


def chain_figures(watch: Stopwatch, steps: int) -> Figures:
    """Figures of ``steps`` steps in all, done since the watch was made."""
    return {
        "steps_per_second": steps / watch.elapsed_s(),
        "processor_us_per_step": watch.processor_s() / steps * 1e6,
    }


class Effects:
    """What steps did to the world: a line in a file for each time that one ran."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)

    def add(self, stage: str, number: int) -> None:
        with self._path.open("a") as file:
            file.write(f"{stage} {number}\n")

    def count(self, stage: str) -> int:
        """How many lines say so; cheap enough to be asked again and again."""
        text = self._path.read_bytes() if self._path.exists() else b""
        return text.count(f"{stage} ".encode())

    def by_run(self, stage: str) -> Counter[int]:
        """How often each run was in a stage."""
        lines = self._path.read_text().splitlines()
        found = (line.split() for line in lines)
        return Counter(int(number) for name, number in found if name == stage)
