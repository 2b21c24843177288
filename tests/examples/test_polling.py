"""``examples/polling.py``: a loop that may go on for a year, in runs that stay short."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from aion_core.events import WorkflowStarted
from aion_runtime.testing import replace, test_engine
from examples.polling import LOOKS_PER_RUN, Export, export, look, order
from tests.examples.fakes import HangsOn

HOUR = 3600
HOURLY = Export("orders", every=timedelta(hours=1))


def ready_after(looks: int) -> HangsOn:
    def looked(ticket: str) -> str | None:
        return "/orders.csv" if len(fake.calls) >= looks else None

    fake = HangsOn(looked, range(0))
    return fake


async def test_it_is_asked_every_hour_until_it_is_ready() -> None:
    async with test_engine(workflows=[export]) as engine:
        with replace(look, ready_after(101)):
            began = engine.clock.now()
            run = await engine.start(export, HOURLY)
            assert await run.result() == "/orders.csv"
            assert (engine.clock.now() - began).total_seconds() == 100 * HOUR


async def test_no_run_has_a_long_history() -> None:
    async with test_engine(workflows=[export]) as engine:
        with replace(look, ready_after(101)):
            run = await engine.start(export, HOURLY)
            await run.result()
            history = await run.history()
    starts = [index for index, event in enumerate(history) if isinstance(event, WorkflowStarted)]
    assert len(starts) == 21
    lengths = [after - before for before, after in pairwise([*starts, len(history)])]
    assert max(lengths) <= 2 + 2 + 4 * LOOKS_PER_RUN


async def test_it_is_ordered_once() -> None:
    ordering = HangsOn(lambda name: f"{name} 0", range(0))
    async with test_engine(workflows=[export]) as engine:
        with replace(order, ordering), replace(look, ready_after(12)):
            await (await engine.start(export, HOURLY)).result()
    assert ordering.calls == [("orders",)]


async def test_crashes_cost_no_look_and_no_time() -> None:
    looking = ready_after(12)
    async with test_engine(workflows=[export]) as engine:
        with replace(look, looking):
            began = engine.clock.now()
            run = await engine.start(export, HOURLY)
            for _ in range(4):
                await engine.clock.advance(2.5 * HOUR)
                await engine.crash()
            assert await run.result() == "/orders.csv"
            assert (engine.clock.now() - began).total_seconds() == 11 * HOUR
    assert len(looking.calls) == 12
