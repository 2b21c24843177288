"""An operator has a stuck run tried again, without a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import RunFilter
from tests.runtime.clients import House, house_of

go = aion.Signal("go", int)
after = aion.Signal("after", int)


@pytest.fixture(params=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return house_of(request.param, tmp_path)


@pytest.fixture(params=["engine", "client"])
def by(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Defect:
    """A workflow whose code depends on something that can be mended while the engine runs."""

    def __init__(self) -> None:
        self.is_there = True

        @aion.workflow
        async def breaking() -> list[int]:
            first = await go.receive()
            if self.is_there:
                raise SystemExit("a defect")
            return [first, await after.receive()]

        self.workflow = breaking

    async def breaks(self, engine: aion.Engine) -> None:
        run = await engine.start(self.workflow, workflow_id="w")
        await run.signal(go, 1)
        with pytest.raises(aion.WorkflowStuckError, match="a defect"):
            await run.result()


async def test_a_stuck_run_that_is_tried_again_goes_on_if_it_can(house: House, by: str) -> None:
    defect = Defect()
    async with house.both(defect.workflow) as (engine, client):
        await defect.breaks(engine)
        await engine.get("w").signal(after, 2)
        defect.is_there = False
        await (client if by == "client" else engine).get("w").retry()
        assert await engine.get("w").result() == [1, 2]
        assert not await engine.count(RunFilter(stuck=True))
        kinds = [type(event) for event in await engine.get("w").history()]
        assert kinds == [
            e.WorkflowStarted,
            e.SignalReceived,
            e.SignalReceived,
            e.WorkflowCompleted,
        ]
    async with house.store() as store:
        assert [each async for each in store.all_messages()] == []


async def test_a_stuck_run_that_is_tried_again_too_soon_is_stuck_still(
    house: House, by: str
) -> None:
    defect = Defect()
    async with house.both(defect.workflow) as (engine, client):
        await defect.breaks(engine)
        for _ in range(2):
            with pytest.raises(aion.WorkflowStuckError, match="a defect"):
                await (client if by == "client" else engine).get("w").retry()
        defect.is_there = False
        await engine.get("w").retry()
        await engine.get("w").signal(after, 2)
        assert await engine.get("w").result() == [1, 2]


async def test_a_run_that_goes_on_takes_what_is_sent_afterwards(house: House, by: str) -> None:
    defect = Defect()
    async with house.both(defect.workflow) as (engine, client):
        await defect.breaks(engine)
        defect.is_there = False
        await engine.get("w").retry()
        await (client if by == "client" else engine).get("w").signal(after, 2)
        assert await client.get("w").result() == [1, 2]
