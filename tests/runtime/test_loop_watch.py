"""Event loops that an activity keeps for itself: it is named, and nobody else pays for it.

In real time: that a loop stands still can be seen from another thread only, by that thread's time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
import trio
import trio.testing

import aion_runtime as aion
from aion_core import events as e
from aion_core.failures import Failure
from aion_core.policies import ActivityOptions
from aion_runtime.alarms import Alarms
from aion_runtime.testing import VirtualClock
from aion_runtime.time_limits import TimeLimits
from tests.runtime.conftest import Bench

SILENCE_S = 0.8
KEPT_S = 1.6
"""Longer than the silence that is allowed, and than what is reported in any case."""

ONCE = aion.RetryPolicy(max_attempts=1)


def keep_the_loop() -> None:
    """What an author should have written as a plain function."""
    time.sleep(KEPT_S)


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S)
async def keeps_trio() -> str:
    keep_the_loop()
    aion.heartbeat()
    await trio.lowlevel.checkpoint()
    return "never told"


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S)
async def keeps_trio_and_returns() -> str:
    keep_the_loop()
    return "never told"


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S)
async def keeps_trio_in_a_task() -> str:
    async def inner() -> None:
        keep_the_loop()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(inner)
    return "never told"


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S, loop="asyncio")
async def keeps_asyncio() -> str:
    keep_the_loop()
    aion.heartbeat()
    await asyncio.sleep(0)
    return "never told"


@aion.activity(retry=ONCE)
async def keeps_trio_unwatched() -> str:
    await trio.sleep(0.1)
    keep_the_loop()
    return "done"


@aion.activity(retry=ONCE, loop="asyncio")
async def keeps_asyncio_unwatched() -> str:
    await asyncio.sleep(0.1)
    keep_the_loop()
    return "done"


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S)
async def speaks_on_trio() -> str:
    for _ in range(20):
        aion.heartbeat()
        await trio.sleep(SILENCE_S / 8)
    return "done"


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S, loop="asyncio")
async def speaks_on_asyncio() -> str:
    for _ in range(20):
        aion.heartbeat()
        await asyncio.sleep(SILENCE_S / 8)
    return "done"


@aion.activity(retry=ONCE, heartbeat_timeout=SILENCE_S)
def speaks_in_a_thread() -> str:
    over = threading.Event()
    for _ in range(20):
        aion.heartbeat()
        over.wait(SILENCE_S / 8)
    return "done"


KEEPERS: dict[str, Any] = {
    each.name: each
    for each in (keeps_trio, keeps_trio_and_returns, keeps_trio_in_a_task, keeps_asyncio)
}


@aion.workflow
async def keeping(name: str) -> str:
    try:
        return str(await KEEPERS[name]())
    except aion.ActivityError as error:
        return f"{error.kind}: {error.message}"


@aion.workflow
async def side_by_side() -> list[str]:
    done = await aion.gather(
        keeps_trio_unwatched(),
        keeps_asyncio_unwatched(),
        speaks_on_trio(),
        speaks_on_asyncio(),
        speaks_in_a_thread(),
    )
    return list(done)


@pytest.mark.parametrize("name", KEEPERS)
async def test_who_keeps_a_loop_for_longer_than_it_may_be_silent_has_failed_and_is_named(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with aion.open_engine("memory:", workflows=[keeping]) as engine:
        run = await engine.start(keeping, name, workflow_id="w")
        assert await run.result() == (
            f"timeout: activity {name!r} sent no heartbeat for 0.8 s (heartbeat_timeout)"
        )
        (failed,) = [x for x in await run.history() if isinstance(x, e.ActivityFailed)]
    assert "it kept its event loop" in failed.error.notes[0]
    assert "keep_the_loop" in failed.error.stack
    assert f"activity {name!r} of workflow 'w' has kept its event loop" in caplog.text
    assert "keep_the_loop" in caplog.text


async def test_who_cannot_speak_because_another_keeps_the_loop_is_not_to_blame(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with aion.open_engine("memory:", workflows=[side_by_side]) as engine:
        assert await (await engine.start(side_by_side)).result() == ["done"] * 5
    for name in ("keeps_trio_unwatched", "keeps_asyncio_unwatched"):
        assert f"activity {name!r}" in caplog.text
    assert "'speaks_" not in caplog.text


async def test_an_alarm_that_rings_late_gives_time_to_speak() -> None:
    clock = VirtualClock()
    delays = Alarms(clock.monotonic, clock.sleep_until_monotonic)
    over: list[Failure] = []
    options = ActivityOptions(heartbeat_timeout=30)
    limits = TimeLimits(options, "work", delays, over.append, lambda _: True)
    async with trio.open_nursery() as nursery:
        limits.start()
        clock.jump(40)
        nursery.start_soon(delays.run)
        await trio.testing.wait_all_tasks_blocked()
        assert over == []
        clock.jump(30)
        await trio.testing.wait_all_tasks_blocked()
        assert len(over) == 1
        nursery.cancel_scope.cancel()


async def test_workflow_code_that_keeps_the_loop_is_no_activity(bench: Bench) -> None:
    @aion.activity
    async def waits() -> None:
        await trio.sleep_forever()

    @aion.workflow
    async def slow() -> None:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(waits)
            await aion.sleep(1)
            time.sleep(0.5)  # noqa: ASYNC251  # that is what is tested
            nursery.cancel_scope.cancel()

    async with bench.engine(slow) as engine:
        run = await engine.start(slow)
        await bench.advance(1)
        await run.result()
