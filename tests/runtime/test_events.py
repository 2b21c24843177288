"""Events out: what is committed, resumable by position, with nothing lost unsaid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import FeedItem
from aion_core.ids import WorkflowId
from aion_runtime.testing import test_engine
from tests.runtime.clients import House, account, approval, failing, house_of


@pytest.fixture(params=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return house_of(request.param, tmp_path)


@pytest.fixture(params=["engine", "client"])
def reader(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def take(events: AsyncIterator[FeedItem], count: int) -> list[FeedItem]:
    return [await anext(events) for _ in range(count)]


async def test_events_come_in_order_of_commit(house: House, reader: str) -> None:
    async with house.both(account) as (engine, client):
        for workflow_id in ("a", "b"):
            await engine.start(account, 1, workflow_id=workflow_id)
            await engine.get(workflow_id).signal(approval, True)
            await engine.get(workflow_id).result()
        found = await take((engine if reader == "engine" else client).events(), 6)
        assert [item.position for item in found] == [1, 2, 3, 4, 5, 6]
        assert [item.event.workflow_id for item in found] == ["a"] * 3 + ["b"] * 3


async def test_a_reader_waits_for_what_is_committed_next(house: House, reader: str) -> None:
    async with house.both(account) as (engine, client), trio.open_nursery() as nursery:
        await engine.start(account, 1, workflow_id="a")
        events = (engine if reader == "engine" else client).events()
        await take(events, 1)
        found: list[FeedItem] = []

        async def read() -> None:
            found.extend(await take(events, 2))

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        await engine.get("a").signal(approval, True)
        with trio.fail_after(5):
            while not found:  # noqa: ASYNC110  # a client in another process is told by nobody
                await trio.sleep(0.005)
        assert [type(item.event) for item in found] == [e.SignalReceived, e.WorkflowCompleted]


async def test_a_reader_goes_on_behind_a_position(house: House, reader: str) -> None:
    async with house.both(account) as (engine, client):
        await engine.start(account, 1, workflow_id="a")
        await engine.get("a").terminate()
        (item,) = await take((engine if reader == "engine" else client).events(after=1), 1)
        assert isinstance(item.event, e.WorkflowTerminated)


async def test_a_filter_leaves_other_workflows_out(house: House, reader: str) -> None:
    async with house.both(account, failing) as (engine, client):
        await engine.start(failing, workflow_id="f")
        await engine.start(account, 1, workflow_id="a", attributes={"kind": "x"})
        caller = engine if reader == "engine" else client
        for chosen in (
            aion.RunFilter(workflow_type="account"),
            aion.RunFilter(text="a", workflow_type="account"),
            aion.RunFilter(attributes={"kind": "x"}),
        ):
            (item,) = await take(caller.events(chosen), 1)
            assert item.event.workflow_id == "a"


async def test_a_reader_is_told_of_events_that_were_purged_before_it_read_them(
    house: House,
) -> None:
    await run_and_purge(house, "a", "b", "c", purged="b")
    async with house.client() as client:
        events = client.events(after=1)
        assert [item.position for item in await take(events, 2)] == [2, 3]
        with pytest.raises(aion.Lagged, match=r"events\(after=6\)") as raised:
            await anext(events)
        assert (raised.value.skipped, raised.value.position) == (3, 6)
        assert (await anext(events)).position == 7
        assert (await anext(client.events(after=6))).position == 7


async def test_a_reader_that_begins_at_0_misses_nothing_that_was_gone(house: House) -> None:
    await run_and_purge(house, "a", "b", "c", purged="b")
    async with house.client() as client:
        found = await take(client.events(), 6)
        assert [item.position for item in found] == [1, 2, 3, 7, 8, 9]


async def test_a_reader_that_has_caught_up_is_told_of_what_is_purged_later(house: House) -> None:
    await run_and_purge(house, "a", "b", purged="a")
    async with house.client() as client:
        events = client.events()
        await take(events, 3)
        with trio.move_on_after(0.05):
            await anext(events)
        await run_and_purge(house, "c", "d", purged="c")
        with pytest.raises(aion.Lagged) as raised:
            await anext(events)
        assert raised.value.skipped == 3
        assert (await anext(events)).event.workflow_id == "d"


async def test_a_reader_of_an_engine_that_stops_is_told(house: House) -> None:
    async with trio.open_nursery() as nursery:
        told = trio.Event()
        async with house.engine(account) as engine:
            events = engine.events()

            async def read() -> None:
                with pytest.raises(aion.EngineStoppedError):
                    await anext(events)
                told.set()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
        await told.wait()


async def test_a_reader_of_a_test_engine_reads_on_after_a_crash() -> None:
    async with test_engine(workflows=[account]) as engine:
        await engine.start(account, 1, workflow_id="a")
        events = engine.events()
        await take(events, 1)
        await engine.crash()
        await engine.get("a").signal(approval, True)
        found = await take(events, 2)
        assert [type(item.event) for item in found] == [e.SignalReceived, e.WorkflowCompleted]


async def run_and_purge(house: House, *workflow_ids: str, purged: str) -> None:
    """Run workflows of three events each, and delete one."""
    async with house.engine(account) as engine:
        for workflow_id in workflow_ids:
            await engine.start(account, 1, workflow_id=workflow_id)
            await engine.get(workflow_id).signal(approval, True)
            await engine.get(workflow_id).result()
    async with house.store() as store, store.writer() as writer:
        assert await writer.purge([WorkflowId(purged)]) == 1
