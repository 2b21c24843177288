"""Clients: the same methods as the engine's, through messages in the store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import RunFilter
from aion_runtime.testing import test_engine
from aion_store_memory.store import MemoryStore
from tests.runtime.clients import (
    House,
    account,
    add,
    approval,
    failing,
    house_of,
    late,
    other,
    relay,
    total,
)


@pytest.fixture(params=["memory", "sqlite"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return house_of(request.param, tmp_path)


async def until(is_so: Callable[[], bool]) -> None:
    with trio.fail_after(10):
        while not is_so():  # noqa: ASYNC110  # of another process nobody tells
            await trio.sleep(0.01)


async def accepted(run: aion.WorkflowHandle[Any]) -> None:
    """Return when an update has been recorded."""
    with trio.fail_after(10):
        while e.UpdateAccepted not in map(type, await run.history()):  # noqa: ASYNC110  # as above
            await trio.sleep(0.01)


async def started(client: aion.Client, workflow_id: str) -> None:
    """Return when a start that was left in the store has been taken."""
    with trio.fail_after(10):
        while not await client.count(RunFilter(text=workflow_id)):  # noqa: ASYNC110  # as above
            await trio.sleep(0.01)


async def test_a_client_starts_signals_and_gets_the_result(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5, "sum: ", workflow_id="w")
        await run.signal(approval, True)
        assert await run.result() == "sum: 5"


async def test_a_client_queries_open_and_closed_runs(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        assert await run.query(total) == 5
        await run.terminate()
        assert await run.query(total) == 5


async def test_what_a_query_asks_leaves_no_event(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        await run.query(total)
        assert [type(event) for event in await run.history()] == [e.WorkflowStarted]


async def test_a_client_updates(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        assert await run.update(add, 2) == 7
        assert await run.query(total) == 7


async def test_an_update_answered_late_reaches_the_client(house: House) -> None:
    async with house.both(account) as (engine, client), trio.open_nursery() as nursery:
        run = await client.start(account, 5)
        answers: list[int] = []

        async def update() -> None:
            answers.append(await run.update(late, 2))

        nursery.start_soon(update)
        await accepted(run)
        await engine.get(run.workflow_id).signal(other, True)
        await until(lambda: bool(answers))
        assert answers == [7]


async def test_an_update_sent_again_is_done_once(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        assert [await run.update(add, 2, update_id="u") for _ in range(2)] == [7, 7]
        assert await run.query(total) == 7


async def test_an_update_of_the_engine_sent_again_by_a_client_has_the_same_answer(
    house: House,
) -> None:
    async with house.both(account) as (engine, client):
        run = await engine.start(account, 5, workflow_id="w")
        assert await run.update(add, 2, update_id="u") == 7
        assert await client.get("w").update(add, 2, update_id="u") == 7


async def test_an_update_whose_answer_was_forgotten_gets_the_recorded_one(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5, workflow_id="w")
        await run.update(add, 2, update_id="u")
    async with house.store() as store:
        async with store.writer() as writer:
            await writer.forget_answers(datetime.max.replace(year=9_000, tzinfo=UTC))
        assert (await store.stats()).answers == 0
    async with house.both(account) as (_, client):
        assert await client.get("w").update(add, 2, update_id="u") == 7


async def test_a_signal_sent_again_is_taken_once(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        for _ in range(2):
            await run.signal(approval, True, signal_id="s")
        assert await run.result() == "5"
        await run.signal(approval, True, signal_id="s")
        kinds = [type(event) for event in await run.history()]
        assert kinds.count(e.SignalReceived) == 1


async def test_a_signal_refused_is_taken_when_it_is_sent_again_later(house: House) -> None:
    async with house.both(account) as (_, client):
        with pytest.raises(aion.WorkflowNotFoundError):
            await client.get("w").signal(approval, True, signal_id="s")
        run = await client.start(account, 5, workflow_id="w")
        await run.signal(approval, True, signal_id="s")
        assert await run.result() == "5"


async def test_the_same_start_again_is_the_same_workflow(house: House) -> None:
    async with house.both(account) as (_, client):
        for _ in range(2):
            await client.start(account, 5, workflow_id="w")
        assert await client.count() == 1


async def test_a_workflow_is_started_by_name_without_its_code(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start_named("account", {"start": 5}, attributes={"kind": "test"})
        await run.signal(approval, True)
        assert await run.result() == "5"
        assert (await run.describe()).attributes == {"kind": "test"}


async def test_a_start_by_name_is_the_same_as_one_by_the_definition(house: House) -> None:
    async with house.both(account) as (engine, client):
        await client.start_named("account", {"start": 5}, workflow_id="w")
        await client.start(account, 5, workflow_id="w")
        await engine.start_named("account", {"start": 5, "note": ""}, workflow_id="w")
        assert await engine.count() == 1


async def test_a_delayed_start_is_durable_and_waits(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5, delay=3_600)
        (started,) = [each for each in await run.history() if isinstance(each, e.WorkflowStarted)]
        assert started.not_before is not None
        with pytest.raises(aion.QueryError):
            await run.query(total)


async def test_a_client_cancels(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        await run.cancel("enough")
        with pytest.raises(aion.WorkflowFailedError, match="enough"):
            await run.result()


async def test_a_failed_run_says_why(house: House) -> None:
    async with house.both(failing) as (_, client):
        run = await client.start(failing)
        with pytest.raises(aion.WorkflowFailedError) as raised:
            await run.result()
        assert raised.value.failure.type == "Wanted"


async def test_a_result_is_that_of_the_run_that_follows(house: House) -> None:
    async with house.both(relay) as (_, client):
        run = await client.start(relay, 3)
        assert await run.result() == "arrived"


async def test_a_client_lists_and_counts(house: House) -> None:
    async with house.both(account, failing) as (_, client):
        await client.start(account, 5, workflow_id="w")
        await client.start(failing)
        page = await client.list_runs(RunFilter(workflow_type="account"))
        assert [run.workflow_id for run in page.runs] == ["w"]
        assert await client.count(RunFilter(workflow_type="account")) == 1


async def test_cancelling_a_call_cancels_the_wait_alone(house: House) -> None:
    async with house.client() as client:
        with trio.move_on_after(0.05) as scope:
            await client.start(account, 5, workflow_id="w")
        assert scope.cancelled_caught
        async with house.engine(account):
            await started(client, "w")
            await client.get("w").signal(approval, True)
            assert await client.get("w").result() == "5"


async def test_without_an_engine_a_request_is_kept_and_done_later(house: House) -> None:
    async with house.client(answer_timeout=0.05) as client:
        with pytest.raises(aion.NoAnswerError, match="no engine has taken the start"):
            await client.start(account, 5, workflow_id="w")
        async with house.engine(account):
            await started(client, "w")


async def test_an_update_of_a_workflow_that_has_not_begun_says_so_and_is_kept(
    house: House,
) -> None:
    async with house.client(answer_timeout=0.05) as client:
        async with house.engine(account) as engine:
            run = await engine.start(account, 5, workflow_id="w", delay=3600)
            begins_at = (await run.explain()).next_at
            with pytest.raises(aion.NoAnswerError, match="'w' has not begun, so the up") as raised:
                await client.get("w").update(add, 2, update_id="u")
            assert raised.value.begins_at == begins_at
            assert begins_at is not None
            assert f"not before {begins_at:%Y-%m-%d %H:%M:%S} UTC" in str(raised.value)
        async with house.store() as store:
            assert [stored.message.kind for stored in await store.messages()] == ["update"]


async def test_an_update_under_way_ends_in_the_next_engine(house: House) -> None:
    async with house.client() as client, trio.open_nursery() as nursery:
        answers: list[int] = []

        async def update() -> None:
            answers.append(await client.get("w").update(late, 2))

        async with house.engine(account) as engine:
            run = await engine.start(account, 5, workflow_id="w")
            nursery.start_soon(update)
            await accepted(run)
        async with house.engine(account) as engine:
            await engine.get("w").signal(other, True)
            await until(lambda: bool(answers))
        assert answers == [7]


async def test_a_run_that_is_terminated_answers_its_updates(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)

        async def update() -> None:
            with pytest.raises(aion.WorkflowClosedError, match="the update has no answer"):
                await run.update(late, 2, update_id="u")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(update)
            await accepted(run)
            await run.terminate()
        await update()


async def test_every_message_from_outside_is_consumed(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        await run.query(total)
        await run.update(add, 1)
        with pytest.raises(aion.WorkflowNotFoundError):
            await client.get("nobody").terminate()
        await run.signal(approval, True)
        await run.result()
    async with house.store() as store:
        assert [each async for each in store.all_messages()] == []


async def test_a_client_that_is_closed_says_so(house: House) -> None:
    async with house.client() as client:
        pass
    with pytest.raises(aion.EngineStoppedError, match="the client is closed"):
        await client.count()


async def test_memory_is_out_of_reach_of_a_client() -> None:
    with pytest.raises(aion.ConfigError, match="of one process"):
        async with aion.open_client("memory:"):
            pass


async def test_a_test_engine_serves_clients_and_goes_on_after_a_crash() -> None:
    store = MemoryStore()
    async with test_engine(store, workflows=[account]) as engine, aion.open_client(store) as client:
        run = await client.start(account, 5)
        await engine.crash()
        await run.signal(approval, True)
        assert await run.result() == "5"


async def test_explain_asks_the_engine_what_the_code_awaits(house: House) -> None:
    async with house.both(account) as (_, client):
        run = await client.start(account, 5)
        assert "approval" in str(await run.explain())
