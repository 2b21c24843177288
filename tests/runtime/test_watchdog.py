"""Workflow code that computes without end is reported, then stopped; the engine stays up."""

from __future__ import annotations

import logging
import threading

import pytest

import aion_runtime as aion
from aion_core.machine.workflow_machine import ActivationGuard
from aion_runtime.guard import Guard
from aion_runtime.watchdog import Watchdog
from tests.runtime.conftest import Bench

LIMIT = 0.005


@aion.workflow
async def good() -> str:
    return "good"


@aion.workflow
async def endless() -> None:
    while True:
        pass


@aion.workflow
async def stubborn() -> str:
    """Catches what stops it, a few times."""
    caught = 0
    while caught < 3:
        try:
            while True:
                pass
        except BaseException:
            caught += 1
    return "good"


async def test_a_loop_without_awaits_is_stopped_and_its_run_is_stuck(bench: Bench) -> None:
    async with bench.engine(endless, good, activation_time_limit=LIMIT) as engine:
        with pytest.raises(aion.WorkflowStuckError, match="computed without end"):
            await (await engine.start(endless)).result()
        assert await (await engine.start(good)).result() == "good"


async def test_a_slow_activation_is_reported_with_its_workflow_and_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.engine(endless, activation_time_limit=LIMIT) as engine:
        with pytest.raises(aion.WorkflowStuckError):
            await (await engine.start(endless, workflow_id="w-1")).result()
    (line,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert "'w-1'" in line
    assert "test_watchdog.py" in line
    assert "in endless" in line


async def test_code_that_catches_what_stops_it_is_stopped_again(bench: Bench) -> None:
    async with bench.engine(stubborn, activation_time_limit=LIMIT) as engine:
        with pytest.raises(aion.WorkflowStuckError, match="computed without end"):
            await (await engine.start(stubborn)).result()


def test_an_activation_in_its_time_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    seconds = [0.0]
    guard: ActivationGuard = (kept := Guard(activation_time_limit=1))
    watchdog = Watchdog(kept, threading.get_ident(), lambda: seconds[0])
    with guard():
        watchdog.look()
        seconds[0] = 0.9
        watchdog.look()
    with guard():
        seconds[0] = 1.8
        watchdog.look()
        watchdog.look()
    assert not caplog.records


def test_an_activation_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    seconds = [0.0]
    guard = Guard(activation_time_limit=1)
    watchdog = Watchdog(guard, threading.get_ident(), lambda: seconds[0])
    with guard():
        for seconds[0] in (0.0, 1.5, 3.0):
            watchdog.look()
    assert len(caplog.records) == 1


def test_between_activations_nothing_is_seen(caplog: pytest.LogCaptureFixture) -> None:
    seconds = [0.0]
    guard = Guard(activation_time_limit=1)
    watchdog = Watchdog(guard, threading.get_ident(), lambda: seconds[0])
    with guard():
        watchdog.look()
    for seconds[0] in (50.0, 100.0):
        watchdog.look()
    assert not caplog.records
