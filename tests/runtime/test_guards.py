"""The activation guard: what it hides comes back as it was, whatever the code does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
from trio._core._run import GLOBAL_RUN_CONTEXT

import aion_runtime as aion
from aion_runtime.guard import CHECKS_BEFORE_STOP, Guard
from tests.runtime.conftest import Bench


@contextmanager
def the_host_as_it_was() -> Iterator[None]:
    before = dict(GLOBAL_RUN_CONTEXT.__dict__)
    yield
    assert GLOBAL_RUN_CONTEXT.__dict__ == before
    assert asyncio._get_running_loop() is None


@pytest.mark.parametrize(
    "error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, aion.Cancelled]
)
async def test_the_host_is_back_after_an_error(error: type[BaseException]) -> None:
    guard = Guard()
    with the_host_as_it_was(), pytest.raises(error), guard():
        raise error


async def test_the_host_is_back_after_nested_activations() -> None:
    guard, other = Guard(), Guard()
    with the_host_as_it_was(), guard():
        with pytest.raises(KeyboardInterrupt), other(), guard():
            raise KeyboardInterrupt
        with pytest.raises(aion.WorkflowUsageError):
            trio.current_time()


def test_outside_of_trio_nothing_is_left() -> None:
    with the_host_as_it_was(), Guard()():
        pass


async def test_the_host_is_back_when_entering_is_interrupted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = asyncio.events._set_running_loop
    interrupting = [True]

    def interrupted(loop: asyncio.AbstractEventLoop | None) -> None:
        real(loop)
        if interrupting:
            interrupting.pop()
            raise KeyboardInterrupt

    monkeypatch.setattr(asyncio.events, "_set_running_loop", interrupted)
    with the_host_as_it_was(), pytest.raises(KeyboardInterrupt), Guard()():
        pytest.fail("it was entered")


async def test_lifted_gives_the_host_and_takes_it_back() -> None:
    guard = Guard()
    with the_host_as_it_was(), guard():
        with guard.lifted():
            trio.current_time()
        with pytest.raises(aion.WorkflowUsageError):
            trio.current_time()


async def test_lifted_takes_the_host_back_after_an_error() -> None:
    guard = Guard()
    with the_host_as_it_was(), guard(), guard():
        with pytest.raises(ValueError, match="no"), guard.lifted():
            trio.current_time()
            raise ValueError("no")
        with pytest.raises(aion.WorkflowUsageError):
            trio.current_time()


async def test_an_activation_within_what_is_lifted_is_guarded() -> None:
    guard = Guard()
    with the_host_as_it_was(), guard(), guard.lifted():
        with guard(), pytest.raises(aion.WorkflowUsageError):
            trio.current_time()
        trio.current_time()


async def test_lifted_outside_of_activations_changes_nothing() -> None:
    with the_host_as_it_was(), Guard().lifted():
        trio.current_time()


def checks(check: Callable[[], None], times: int) -> None:
    for _ in range(times):
        check()


def test_an_activation_that_awaits_without_end_is_stopped() -> None:
    times = iter([5.0, 15.1])
    with Guard(cpu_time=lambda: next(times))() as check:
        checks(check, CHECKS_BEFORE_STOP - 1)
        with pytest.raises(aion.WorkflowUsageError, match=r"awaited without end for 10\.1 s"):
            check()


def test_many_awaits_within_the_time_are_not_stopped() -> None:
    with Guard(cpu_time=lambda: 0.0)() as check:
        checks(check, 2 * CHECKS_BEFORE_STOP)


def test_a_slow_activation_of_few_awaits_is_not_stopped() -> None:
    times = iter([0.0, 1000.0])
    with Guard(cpu_time=lambda: next(times))() as check:
        checks(check, CHECKS_BEFORE_STOP - 1)


async def test_code_that_never_rests_leaves_the_engine_up(bench: Bench) -> None:
    @aion.workflow
    async def restless() -> None:
        while True:
            await aion.checkpoint()

    @aion.workflow
    async def good() -> str:
        return "good"

    async with bench.engine(restless, good, activation_time_limit=0) as engine:
        handle = await engine.start(good)
        with pytest.raises(aion.WorkflowStuckError, match="never came to rest"):
            await (await engine.start(restless)).result()
        assert await handle.result() == "good"
