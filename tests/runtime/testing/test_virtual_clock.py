"""The virtual clock by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aion_runtime.testing import VirtualClock

START = VirtualClock().now()


async def test_advancing_wakes_sleepers_at_their_instants_in_order() -> None:
    clock = VirtualClock()
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.monotonic())

    async def wait(seconds: float) -> None:
        await clock.sleep_until(START + timedelta(seconds=seconds))
        woken.append(clock.monotonic())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep, 3)
        nursery.start_soon(wait, 2)
        nursery.start_soon(sleep, 1)
        await clock.advance(10)
    assert woken == [1, 2, 3]
    assert (clock.monotonic(), clock.now()) == (10, START + timedelta(seconds=10))


async def test_who_sleeps_again_on_the_way_is_woken_again() -> None:
    clock = VirtualClock()
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(0.1)
            ticks.append(clock.monotonic())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        await clock.advance(1.05)
        nursery.cancel_scope.cancel()
    assert ticks == pytest.approx([n / 10 for n in range(1, 11)])


async def test_jumping_wakes_all_at_once() -> None:
    clock = VirtualClock()
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.monotonic())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep, 1)
        nursery.start_soon(sleep, 2)
        await wait_all_tasks_blocked()
        clock.jump(5)
    assert woken == [5, 5]


async def test_who_is_cancelled_sleeps_no_more() -> None:
    clock = VirtualClock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.sleep, 1)
        await wait_all_tasks_blocked()
        assert clock.next_waking == 1
        nursery.cancel_scope.cancel()
    assert clock.next_waking is None


@pytest.mark.parametrize("seconds", [-1, float("nan")])
async def test_time_does_not_pass_backwards(seconds: float) -> None:
    clock = VirtualClock()
    with pytest.raises(ValueError, match="set_wall_clock"):
        await clock.advance(seconds)
    with pytest.raises(ValueError, match="0 or more"):
        await clock.sleep(seconds)
