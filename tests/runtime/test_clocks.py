"""Two clocks: what is recorded goes by the wall clock, all else by one that nobody sets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_runtime.alarms import FEW, Alarms
from aion_runtime.testing import VirtualClock
from tests.runtime.conftest import Bench

TWO_HOURS = timedelta(hours=2)

either_way = pytest.mark.parametrize("jump", [TWO_HOURS, -TWO_HOURS], ids=["on", "back"])


def jump_of(bench: Bench, jump: timedelta) -> None:
    bench.clock.set_wall_clock(bench.clock.now() + jump)


@either_way
async def test_a_time_limit_does_not_go_by_the_wall_clock(bench: Bench, jump: timedelta) -> None:
    ended: list[str] = []

    @aion.activity(start_to_close=60, retry=aion.RetryPolicy(max_attempts=1))
    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("cut off")

    @aion.workflow
    async def worker() -> None:
        await work()

    async with bench.engine(worker) as engine:
        await engine.start(worker, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(59)
        jump_of(bench, jump)
        await wait_all_tasks_blocked()
        assert not ended
        await bench.advance(1)
        assert ended


@either_way
async def test_tries_after_a_failed_commit_do_not_go_by_the_wall_clock(
    bench: Bench, jump: timedelta
) -> None:
    @aion.workflow
    async def empty() -> None:
        pass

    bench.store.refuse(e.WorkflowStarted)
    async with bench.engine(empty) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(partial(engine.start, empty, workflow_id="w"))
        await wait_all_tasks_blocked()
        jump_of(bench, jump)
        await wait_all_tasks_blocked()
        assert len(bench.store.tries) == 1
        await bench.advance(0.05)
        assert len(bench.store.tries) == 2


async def test_a_sleep_goes_by_the_wall_clock(bench: Bench) -> None:
    @aion.workflow
    async def sleeper() -> None:
        await aion.sleep(7200)

    async with bench.engine(sleeper) as engine:
        await engine.start(sleeper, workflow_id="w")
        jump_of(bench, TWO_HOURS)
        await wait_all_tasks_blocked()
        assert e.TimerFired in await bench.kinds("w")


def test_virtual_time_does_not_pass_backwards() -> None:
    with pytest.raises(ValueError, match="set_wall_clock"):
        VirtualClock().jump(-1)


def test_cancelled_alarms_do_not_pile_up() -> None:
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    alarms = Alarms(clock.monotonic, clock.sleep_until_monotonic)
    kept = alarms.set(1.0, _nothing)
    for _ in range(10_000):
        alarms.set(3600.0, _nothing).cancel()
    assert len(alarms) <= 2 * FEW
    assert kept.is_set


async def test_alarms_ring_in_order_though_others_were_cancelled(bench: Bench) -> None:
    rung: list[int] = []
    alarms = Alarms(bench.clock.monotonic, bench.clock.sleep_until_monotonic)
    set_alarms = {n: alarms.set(float(n % 500), _noting(rung, n)) for n in range(1000)}
    for number, alarm in set_alarms.items():
        if number % 10:
            alarm.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        await bench.advance(1000)
        nursery.cancel_scope.cancel()
    assert rung == sorted(range(0, 1000, 10), key=lambda number: (number % 500, number))


def _nothing() -> None:
    pass


def _noting(rung: list[int], number: int) -> Callable[[], None]:
    return lambda: rung.append(number)
