"""Resources that an engine is given for its activities, found by their class."""

from __future__ import annotations

import pytest

import aion_runtime as aion
from aion_core.authoring.resources import Resources
from aion_runtime.testing import run_workflow, test_engine


class Pool:
    def __init__(self, name: str = "pool") -> None:
        self.name = name


class SmallPool(Pool):
    pass


class LargePool(Pool):
    pass


class Mail:
    pass


@aion.activity
async def async_one() -> str:
    return aion.resource(Pool).name


@aion.activity
def plain_one() -> str:
    return aion.resource(Pool).name


@aion.activity(loop="asyncio")
async def asyncio_one() -> str:
    return aion.resource(Pool).name


@aion.workflow
async def every_kind() -> list[str]:
    return [await async_one(), await plain_one(), await asyncio_one()]


async def test_activities_of_every_kind_find_what_the_engine_was_given() -> None:
    async with test_engine(workflows=[every_kind], resources=[Mail(), Pool("p")]) as engine:
        assert await (await engine.start(every_kind)).result() == ["p", "p", "p"]
        await engine.crash()
        assert await (await engine.start(every_kind)).result() == ["p", "p", "p"]


async def test_a_workflow_finds_none() -> None:
    @aion.workflow
    async def reaching() -> str:
        return aion.resource(Pool).name

    async with test_engine(workflows=[reaching], resources=[Pool()]) as engine:
        run = await engine.start(reaching)
        with pytest.raises(aion.WorkflowFailedError, match="only inside an activity"):
            await run.result()


async def test_what_is_missing_fails_the_activity_with_what_there_is() -> None:
    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def reaching() -> str:
        return aion.resource(Pool).name

    @aion.workflow
    async def caller() -> str:
        try:
            return await reaching()
        except aion.ActivityError as error:
            return error.message

    assert "open_engine(..., resources=[...])" in await run_workflow(caller)


async def test_two_of_one_class_are_refused_when_the_engine_is_opened() -> None:
    with pytest.raises(aion.ConfigError, match=r"two resources are of type Mail"):
        async with test_engine(workflows=[every_kind], resources=[Mail(), Mail()]):
            pass


def test_the_exact_class_comes_before_a_subclass() -> None:
    pool, small = Pool(), SmallPool()
    assert Resources([small, pool]).find(Pool) is pool


def test_a_base_class_finds_the_only_subclass() -> None:
    small = SmallPool()
    assert Resources([Mail(), small]).find(Pool) is small


def test_a_base_class_of_several_finds_none_and_names_them() -> None:
    with pytest.raises(aion.AionError, match=r"of type Pool: LargePool, SmallPool; ask for one"):
        Resources([SmallPool(), LargePool()]).find(Pool)


def test_what_is_missing_is_told_with_what_there_is() -> None:
    with pytest.raises(aion.AionError, match=r"no resource of type Pool; .* these types: Mail$"):
        Resources([Mail()]).find(Pool)


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(TypeError, match="by its class, not by 'Pool'"):
        Resources([Pool()]).find("Pool")  # type: ignore[arg-type]
