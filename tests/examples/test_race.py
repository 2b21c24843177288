"""``examples/race.py``: the first offer wins, and stays the first one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

import aion_runtime as aion
from aion_runtime.testing import TestEngine, replace, test_engine
from examples.race import Offer, ask, buy, place_order
from tests.examples.fakes import HangsOn

WEEK = timedelta(weeks=1)


def answers_after(engine: TestEngine, **days: float) -> Callable[[str, str], Awaitable[Offer]]:
    async def fake(supplier: str, part: str) -> Offer:
        await engine.clock.sleep(days[supplier] * 24 * 3600)
        return Offer(supplier, 100)

    return fake


async def test_the_first_offer_gets_the_order() -> None:
    async with test_engine(workflows=[buy]) as engine:
        began = engine.clock.now()
        with replace(ask, answers_after(engine, north=3, south=5)):
            run = await engine.start(buy, "bolt", WEEK)
            assert await run.result() == "ordered in the north for 1.00 EUR"
        assert engine.clock.now() - began == timedelta(days=3)


async def test_the_other_supplier_is_told_and_not_asked_again() -> None:
    async with test_engine(workflows=[buy]) as engine:
        with replace(ask, answers_after(engine, north=3, south=5)):
            run = await engine.start(buy, "bolt", WEEK)
            await run.result()
        kinds = [type(event) for event in await run.history()]
    assert kinds.count(aion.events.ActivityCancelRequested) == 1
    assert kinds.count(aion.events.ActivityCancelled) == 1


async def test_patience_ends() -> None:
    async with test_engine(workflows=[buy]) as engine:
        with replace(ask, answers_after(engine, north=8, south=9)):
            run = await engine.start(buy, "bolt", WEEK)
            assert await run.result() == "nobody made an offer"


async def test_an_error_that_comes_first_wins() -> None:
    async with test_engine(workflows=[buy]) as engine:
        south = answers_after(engine, south=2)

        async def fake(supplier: str, part: str) -> Offer:
            if supplier == "north":
                raise aion.ApplicationError("bankrupt", type="Bankrupt", non_retryable=True)
            return await south(supplier, part)

        with replace(ask, fake):
            run = await engine.start(buy, "bolt", WEEK)
            with pytest.raises(aion.WorkflowFailedError, match="Bankrupt: bankrupt"):
                await run.result()


async def test_who_won_before_a_crash_has_won() -> None:
    ordering = HangsOn(lambda offer: offer.supplier, range(1, 2))
    async with test_engine(workflows=[buy]) as engine:
        with replace(place_order, ordering):
            with replace(ask, answers_after(engine, north=3, south=0)):
                run = await engine.start(buy, "bolt", WEEK)
                await ordering.hangs.wait()
                await engine.crash()
            with replace(ask, answers_after(engine, north=0, south=3)):
                assert await run.result() == "south"
