"""Ctrl-C at the worst moments. Each test has a `trio.run` of its own, as a program has."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_store_memory.store import MemoryStore


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def history_of(store: MemoryStore) -> list[type[e.HistoryEvent]]:
    return [type(event) for event in trio.run(store.read_history, WorkflowId("w"))]


@aion.workflow
async def empty() -> str:
    return "done"


def test_in_workflow_code_it_stops_the_engine_and_does_not_fail_the_run() -> None:
    pressing = [press_ctrl_c]

    @aion.workflow
    async def interrupted() -> str:
        if pressing:
            pressing.pop()()
        return "done"

    async def main() -> str:
        async with aion.open_engine(store, workflows=[interrupted]) as engine:
            return await (await engine.start(interrupted, workflow_id="w")).result()

    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert e.WorkflowFailed not in history_of(store)
    assert trio.run(main) == "done"


def test_in_an_activity_it_stops_the_engine_and_the_outcome_is_recorded() -> None:
    @aion.activity
    async def interrupted() -> str:
        press_ctrl_c()
        return "done"

    @aion.workflow
    async def caller() -> str:
        return await interrupted()

    async def main() -> None:
        async with aion.open_engine(store, workflows=[caller]) as engine:
            await engine.start(caller, workflow_id="w")
            await trio.sleep_forever()

    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert history_of(store)[-1] is e.WorkflowCompleted


def test_in_the_body_it_comes_out_bare() -> None:
    async def main() -> None:
        async with aion.open_engine("memory:", workflows=[empty]):
            press_ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


@contextlib.contextmanager
def ctrl_c_on_entering(function: Callable[..., Any]) -> Iterator[None]:
    """Have it pressed when a function is next called."""
    pressed = False

    def profile(frame: FrameType, event: str, _: object) -> None:
        nonlocal pressed
        if event == "call" and frame.f_code is function.__code__ and not pressed:
            pressed = True
            press_ctrl_c()

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert pressed


@pytest.mark.parametrize("pressed_before", [False, True])
def test_between_body_and_engine_it_leaves_nothing_running(pressed_before: bool) -> None:
    """In the library code between the two it would keep the engine from being left at all."""

    async def main() -> None:
        async with aion.open_engine("memory:", workflows=[empty]) as engine:
            await (await engine.start(empty)).result()
            if pressed_before:
                press_ctrl_c()

    leaving = contextlib._AsyncGeneratorContextManager.__aexit__
    with pytest.raises(KeyboardInterrupt), ctrl_c_on_entering(leaving):
        trio.run(main)


def test_in_the_grace_period_it_ends_that() -> None:
    @aion.activity
    async def endless() -> None:
        begun.set()
        await trio.sleep_forever()

    @aion.workflow
    async def caller() -> None:
        await endless()

    @trio.lowlevel.enable_ki_protection  # so it goes to the main task, which is leaving
    async def press_in_the_grace_period() -> None:
        await trio.testing.wait_all_tasks_blocked()
        press_ctrl_c()

    async def main() -> None:
        async with (
            trio.open_nursery() as nursery,
            aion.open_engine(store, workflows=[caller], shutdown_grace=3600) as engine,
        ):
            await engine.start(caller, workflow_id="w")
            await begun.wait()
            nursery.start_soon(press_in_the_grace_period)

    store = MemoryStore()
    begun = trio.Event()
    with pytest.raises(BaseExceptionGroup) as caught:  # of the caller's own nursery
        trio.run(main)
    assert [type(error) for error in caught.value.exceptions] == [KeyboardInterrupt]
    assert history_of(store) == [e.WorkflowStarted, e.ActivityScheduled]
