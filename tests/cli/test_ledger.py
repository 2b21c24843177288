"""The ledger holds whole lines, one for each execution."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aion_cli.demo.ledger import Ledger, LedgerTail, read_ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path)
    yield ledger
    ledger.close()


def test_the_same_execution_twice_is_two_lines(path: Path, ledger: Ledger) -> None:
    ledger.write("w", "activity:0", "charge", 1)
    ledger.write("w", "activity:0", "charge", 1)
    first, second = read_ledger(path)
    assert (first.count, second.count) == (1, 2)
    assert first.pid == second.pid == os.getpid()
    assert (second.workflow_id, second.activity_id, second.activity) == (
        "w",
        "activity:0",
        "charge",
    )


def test_a_ledger_that_is_opened_again_keeps_its_lines(path: Path, ledger: Ledger) -> None:
    ledger.write("w", "activity:0", "charge", 1)
    successor = Ledger(path)
    successor.write("w", "activity:1", "ship", 1)
    successor.close()
    assert [line.activity for line in read_ledger(path)] == ["charge", "ship"]


def test_lines_of_many_threads_do_not_mix(path: Path, ledger: Ledger) -> None:
    def write(name: str) -> None:
        for _ in range(50):
            ledger.write(name * 100, "activity:0", "charge", 1)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = read_ledger(path)
    assert sorted(line.count for line in lines) == list(range(1, 401))
    assert all(len(set(line.workflow_id)) == 1 for line in lines)


def test_the_tail_gives_each_line_once_and_only_whole_lines(path: Path, ledger: Ledger) -> None:
    tail = LedgerTail(path)
    ledger.write("w", "activity:0", "charge", 1)
    assert [line.activity for line in tail.read()] == ["charge"]
    ledger.write("w", "activity:1", "ship", 1)
    with path.open("ab") as file:
        file.write(b'{"pid": 1, "cou')
    assert [line.activity for line in tail.read()] == ["ship"]
    assert tail.read() == []


def test_no_ledger_is_an_empty_ledger(path: Path) -> None:
    assert read_ledger(path) == []
