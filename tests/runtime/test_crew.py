"""The crew: attempts share tasks and scopes, and none of them sees anything of another."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio

import aion_runtime as aion
from aion_core.contracts import ActivityAttempt
from aion_core.machine.arrivals import AttemptCompleted
from aion_runtime import crew
from aion_runtime.executor import LocalExecutor
from tests.runtime.conftest import Bench

once = aion.RetryPolicy(max_attempts=1)
mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="none")


@pytest.fixture(params=[True, False], ids=["shared", "each its own"])
def scopes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Do attempts share a scope, as with every trio so far, or not?"""
    assert crew._KNOWS_SCOPES
    monkeypatch.setattr(crew, "_KNOWS_SCOPES", request.param)
    return bool(request.param)


@aion.activity(retry=once)
async def leave_open() -> None:
    """Enters a scope and never leaves it."""
    trio.move_on_after(0.01).__enter__()


@aion.activity
async def pause() -> str:
    await trio.sleep(0.05)
    return "done"


@aion.workflow
async def careless() -> list[str]:
    seen = []
    try:
        await leave_open()
    except aion.ActivityError as error:
        seen.append(error.failure.type)
    seen.append(await pause())
    return seen


@pytest.mark.usefixtures("scopes")
async def test_a_scope_that_is_left_open_harms_only_who_has_left_it(bench: Bench) -> None:
    async with bench.engine(careless) as engine:
        assert await (await engine.start(careless)).result() == ["RuntimeError", "done"]


async def numbers() -> AsyncGenerator[int, None]:
    """What trio warns of: it yields inside a nursery."""
    async with trio.open_nursery():
        yield 1
        yield 2


abandoned: contextvars.ContextVar[list[object]] = contextvars.ContextVar("abandoned")


@aion.activity(retry=once)
async def leave_nursery_open() -> int:
    found = numbers()
    abandoned.get().append(found)
    return await anext(found)


@aion.activity(retry=once)
async def wait_in_a_nursery() -> str:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 0.01)
        abandoned.get().clear()  # now it is closed, by another task
    return "done"


@aion.workflow
async def heedless() -> list[str]:
    seen = []
    try:
        await leave_nursery_open()
    except aion.ActivityError as error:
        seen.append(error.failure.type)
    seen.append(await wait_in_a_nursery())
    return seen


@pytest.mark.usefixtures("scopes")
@pytest.mark.filterwarnings("ignore:.*async generator.*:ResourceWarning")
async def test_a_nursery_that_is_left_open_harms_only_who_has_left_it(bench: Bench) -> None:
    abandoned.set([])
    async with bench.engine(heedless) as engine:
        assert await (await engine.start(heedless)).result() == ["RuntimeError", "done"]


@aion.activity
async def paint(colour: str) -> str:
    before = mark.get()
    mark.set(colour)
    return before


@aion.workflow
async def painting() -> list[str]:
    return [await paint("red"), await paint("green")]


@pytest.mark.usefixtures("scopes")
async def test_what_an_attempt_sets_is_not_seen_by_the_next(bench: Bench) -> None:
    async with bench.engine(painting) as engine:
        assert await (await engine.start(painting)).result() == ["none", "none"]


@aion.activity
async def slow(number: int) -> None:
    await trio.sleep_forever()


@aion.activity
async def quick(number: int) -> int:
    return number


@aion.workflow
async def mixed() -> int:
    async with aion.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(slow, number)
        total = 0
        for number in range(10):
            total += await quick(number)
        nursery.cancel_scope.cancel()
    return total


async def test_attempts_that_wait_hold_nobody_back(bench: Bench) -> None:
    async with bench.engine(mixed) as engine:
        assert await (await engine.start(mixed)).result() == 45


class Meddling(LocalExecutor):
    """Does something to the scope of the first attempt, and answers all the same."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.answered = 0

    async def run_activity(self, attempt: ActivityAttempt) -> AttemptCompleted:
        outcome = await super().run_activity(attempt)
        self.answered += 1
        scope = attempt.cancel_scope
        assert isinstance(scope, trio.CancelScope)
        if self.answered == 1:
            match self.what:
                case "cancel":
                    scope.cancel()
                case "deadline":
                    scope.deadline = trio.current_time() + 0.01
                case "shield":
                    scope.shield = True
        return outcome


@aion.workflow
async def two() -> list[Any]:
    return [await quick(1), await pause()]


@pytest.mark.usefixtures("scopes")
@pytest.mark.parametrize("what", ["cancel", "deadline", "shield"])
async def test_what_an_executor_does_to_its_scope_befalls_no_other_attempt(
    bench: Bench, what: str
) -> None:
    async with bench.engine(two, executor=Meddling(what)) as engine:
        assert await (await engine.start(two)).result() == [1, "done"]


@aion.workflow
async def many(width: int) -> int:
    async with aion.open_nursery() as nursery:
        for number in range(width):
            nursery.start_soon(quick, number)
    return width


async def test_attempts_that_never_wait_let_others_have_their_turn(bench: Bench) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with bench.engine(many) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(many, 20 * crew.TURN)
        nursery.start_soon(count)
        await handle.result()
        nursery.cancel_scope.cancel()
    assert turns >= 15
