"""`replay_check` finds code that is not deterministic as soon as it is recorded."""

from __future__ import annotations

import itertools

import pytest

import aion_runtime as aion
from aion_runtime.replay_check import _is_due
from aion_runtime.testing import run_workflow, test_engine

calls = itertools.count()


@aion.activity
async def touch(number: int) -> int:
    return number


@aion.activity
async def other(number: int) -> int:
    return number


@aion.workflow
async def fickle() -> int:
    """Another activity whenever it is run."""
    return await (touch if next(calls) % 2 else other)(1)


@aion.workflow
async def growing(rounds: int) -> int:
    total = 0
    for number in range(rounds):
        total += await touch(number)
    return total


@aion.workflow
async def drawing() -> float:
    drawn = aion.rng().random()
    once = await aion.side_effect(lambda: next(calls), int)
    await aion.sleep(1)
    again = await aion.side_effect(lambda: next(calls), int)
    assert again == once + 1
    return drawn


@aion.workflow
async def rolling(left: int) -> int:
    await touch(left)
    if left:
        rolling.continue_as_new(left - 1)
    return left


async def test_fickle_code_is_held_with_the_place_and_both_commands() -> None:
    with pytest.raises(aion.WorkflowStuckError) as caught:
        await run_workflow(fickle)
    message = str(caught.value)
    assert "is not deterministic" in message
    assert "'touch'" in message
    assert "'other'" in message
    assert "test_replay_check.py, line" in message


async def test_fickle_code_goes_on_unseen_without_the_check() -> None:
    async with test_engine(workflows=[fickle], replay_check=False) as engine:
        assert await (await engine.start(fickle)).result() == 1


async def test_side_effects_are_not_done_again_by_the_check() -> None:
    assert 0 <= await run_workflow(drawing) < 1


async def test_a_long_run_is_checked_to_its_end() -> None:
    assert await run_workflow(growing, 150) == sum(range(150))


async def test_each_run_of_a_chain_is_checked() -> None:
    assert await run_workflow(rolling, 3) == 0


@pytest.mark.parametrize(
    ("before", "head", "due"),
    [
        (0, 2, True),
        (198, 200, True),
        (200, 202, False),
        (254, 255, False),
        (254, 256, True),
        (255, 300, True),
        (256, 258, False),
        (1022, 1026, True),
    ],
)
def test_steps_are_checked_up_to_200_events_and_at_powers_of_two(
    before: int, head: int, due: bool
) -> None:
    assert _is_due(before, head) is due
