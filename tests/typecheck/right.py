"""Right uses: type checkers accept every line, and know the types that come back."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, assert_type

import attrs

import aion_runtime as aion
from aion_runtime import from_asyncio
from aion_runtime.testing import Exploration, explore_crashes
from aion_runtime.testing.script import Script, fire, outcome, signal


@attrs.frozen
class Order:
    number: str


@attrs.frozen
class Receipt:
    total: int


@aion.activity
async def charge(order: Order) -> Receipt:
    return Receipt(total=len(order.number))


@aion.activity(retry=aion.RetryPolicy(max_attempts=3), start_to_close=30)
def render(receipt: Receipt, *, copies: int = 1) -> bytes:
    return bytes(copies)


@aion.activity
async def note() -> None: ...


@aion.activity(loop="asyncio", retry=aion.RetryPolicy(on_exhausted="pause"))
async def fetch(order: Order) -> Receipt:
    return Receipt(len(order.number))


@aion.activity(
    name="ship goods",
    schedule_to_close=timedelta(days=1),
    heartbeat_timeout=60,
    on_cancel="abandon",
    cancel_grace=5,
    aliases=("ship",),
)
def ship(receipt: Receipt) -> str | None:
    aion.check_cancelled()
    assert_type(aion.resource(Order), Order)
    aion.heartbeat({"at": aion.activity_info().attempt})
    return str(aion.last_heartbeat())


approval = aion.Signal("approval", bool)
limit = aion.Signal("limit", int | None)
progress = aion.Query("progress", str)
found = aion.Query("found", Receipt | None)
add = aion.Update("add", int, Receipt | None)
rename = aion.Update("rename", str, str)


@aion.workflow(limit=aion.Limit("rare", concurrency=2, rate=(10, 60)))
async def rare(number: int) -> int:
    return number


@aion.workflow(accepts=[approval, limit, progress, add])
async def checkout(order: Order, rush: bool = False) -> Receipt:
    receipt = await charge(order)
    assert_type(receipt, Receipt)
    assert_type(await render(receipt), bytes)
    assert_type(await render.options(key="again", start_to_close=3)(receipt, copies=2), bytes)
    assert_type(await aion.gather(charge(order), render(receipt)), tuple[Receipt, bytes])
    assert_type(await aion.gather(*[charge(order)]), tuple[Receipt, ...])
    with aion.move_on_after(60) as scope:
        assert_type(await approval.receive(), bool)
    assert_type(scope.cancelled_caught, bool)
    assert_type(limit.receive_nowait(), int | None)
    async for value in limit:
        assert_type(value, int | None)
    async with aion.open_nursery() as nursery:
        nursery.start_soon(charge, order)
        nursery.start_soon(note)
        nursery.start_soon(partial(render, copies=2), receipt)
        nursery.start_soon(aion.sleep, 5)
    return receipt


@aion.workflow
async def plain() -> None:
    await aion.sleep(1)


@aion.workflow
async def parent(order: Order) -> int:
    assert_type(await checkout(order), Receipt)
    assert_type(await checkout(order, rush=True), Receipt)
    handle = await checkout.spawn(order)
    assert_type(handle, aion.ChildHandle[Receipt])
    assert_type(await handle.result(), Receipt)
    await handle.signal(approval, True)
    handle.cancel()
    other = checkout.options(workflow_id="order-1", on_parent_close="abandon")
    assert_type(await other(order), Receipt)
    assert_type(await other.spawn(order), aion.ChildHandle[Receipt])
    await limit.send("order-2", None)
    async with aion.open_nursery() as nursery:
        nursery.start_soon(plain)
        nursery.start_soon(partial(checkout, rush=True), order)
        nursery.start_soon(handle.signal, approval, True)
    assert_type(await aion.gather(checkout(order), charge(order)), tuple[Receipt, Receipt])
    if aion.workflow_info().continue_as_new_suggested:
        parent.continue_as_new(order)
    checkout.continue_as_new(order, rush=True)


@aion.workflow
async def answering(order: Order) -> None:
    state = "begun"

    async def change(number: int) -> Receipt | None:
        return await charge(order) if number else None

    def check(number: int) -> None:
        if number < 0:
            raise aion.ApplicationError("only more")

    progress.answer(lambda: state)
    found.answer(lambda: None)
    add.handle(change, validator=check)
    add.handle(lambda number: Receipt(number) if number else None)
    rename.handle(str.upper)
    async with aion.saga() as s:
        s.compensate(charge, order)
        s.compensate(note)
        s.compensate(partial(render, copies=2), Receipt(1))
        s.compensate(checkout, order)
        s.compensate(approval.send, "order-3", False)
    await aion.wait_until(lambda: aion.workflow_info().all_handlers_finished)


@aion.workflow
async def asking() -> None:
    timer = aion.start_timer("reminder", timedelta(hours=1))
    assert_type(timer, aion.NamedTimer)
    assert_type(await timer.wait(), bool)
    assert_type(timer.cancel(), bool)
    assert_type(timer.is_running, bool)
    assert_type(aion.rng(), random.Random)
    assert_type(aion.uuid4(), uuid.UUID)
    assert_type(aion.patched("new way"), bool)
    assert_type(await aion.side_effect(number), int)
    assert_type(await aion.side_effect(lambda: 1, int), int)
    assert_type(await aion.side_effect(lambda: None, int | None), int | None)
    aion.set_attributes(stage="paid", due=datetime(2024, 3, 1, tzinfo=UTC), tags=["a"])
    aion.set_attributes({"due date": None})
    assert_type(aion.workflow_info(), aion.WorkflowInfo)
    assert_type(aion.is_replaying(), bool)
    aion.logger.info("at %s", aion.now(), extra={"n": 1})
    aion.logger.exception("failed", exc_info=ValueError())
    assert_type(await aion.race(charge(Order("1")), render(Receipt(1))), Receipt | bytes)
    assert_type(await aion.map(charge, [Order("1")], limit=4), list[Receipt])
    sender, receiver = aion.open_memory_channel[int](0)
    await sender.send(1)
    assert_type(await receiver.receive(), int)


def number() -> int:
    return 1


async def call(engine: aion.Engine) -> None:
    handle = await engine.start(checkout, Order("1"), True, workflow_id="order-1")
    assert_type(handle, aion.WorkflowHandle[Receipt])
    assert_type(await handle.result(), Receipt)
    await handle.signal(approval, True)
    await handle.signal(limit, None)
    assert_type(await handle.query(progress), str)
    print(f"{await handle.query(progress)}, {await handle.update(rename, 'x')}")
    print(await handle.query(progress), await handle.update(rename, "x"))
    assert_type(await handle.query(found), Receipt | None)
    assert_type(await handle.update(add, 3), Receipt | None)
    await handle.cancel("enough")
    await handle.terminate()
    assert_type(await engine.start(plain), aion.WorkflowHandle[None])
    assert_type(await engine.start(plain, delay=60), aion.WorkflowHandle[None])
    assert_type(await engine.start(plain, delay=timedelta(hours=1)), aion.WorkflowHandle[None])
    assert_type(await engine.start(rare, 7), aion.WorkflowHandle[int])
    assert_type(await engine.start(partial(checkout, Order("1"))), aion.WorkflowHandle[Receipt])


async def call_from_elsewhere() -> None:
    async with aion.open_client("sqlite:///aion.db", workflows=[checkout]) as client:
        assert_type(client, aion.Client)
        handle = await client.start(checkout, Order("1"), True, delay=5)
        assert_type(handle, aion.WorkflowHandle[Receipt])
        assert_type(await handle.result(), Receipt)
        await handle.signal(approval, True)
        assert_type(await handle.update(add, 3), Receipt | None)
        named = await client.start_named("checkout", {"order": {"id": "1"}, "fast": True})
        assert_type(named, aion.WorkflowHandle[Any])
        await named.retry()
        await named.retry("charge-1")
        await named.supply("charge-1", {"total": 1}, supplied_by="anna")
        await named.supply("charge-1", error=ValueError("lost"))
        assert_type(await client.count(aion.RunFilter(stuck=True)), int)
        async for item in client.events(after=7):
            assert_type(item, aion.FeedItem)
            print(item.position, item.event.workflow_id)


def call_and_wait() -> None:
    with aion.EngineThread("memory:", workflows=[checkout], shutdown_grace=3) as engine:
        assert_type(engine, aion.EngineThread)
        handle = engine.start(checkout, Order("1"), True, workflow_id="order-1", delay=5)
        assert_type(handle, aion.BlockingHandle[Receipt])
        assert_type(handle.result(timeout=timedelta(seconds=3)), Receipt)
        handle.signal(approval, True)
        assert_type(handle.query(progress), str)
        assert_type(handle.update(add, 3), Receipt | None)
        assert_type(engine.start(plain), aion.BlockingHandle[None])
        assert_type(engine.start(partial(checkout, Order("1"))), aion.BlockingHandle[Receipt])
        assert_type(engine.count(), int)
        for item in engine.events():
            assert_type(item, aion.FeedItem)


async def call_from_asyncio() -> None:
    async with from_asyncio.open_engine("memory:", workflows=[checkout]) as engine:
        assert_type(engine, from_asyncio.Engine)
        assert_type(await engine.start(plain), from_asyncio.WorkflowHandle[None])
    async with from_asyncio.open_client(answer_timeout=timedelta(seconds=5)) as client:
        assert_type(client, from_asyncio.Client)
        handle = await client.start(checkout, Order("1"), True, workflow_id="order-1", delay=5)
        assert_type(handle, from_asyncio.WorkflowHandle[Receipt])
        assert_type(await handle.result(), Receipt)
        await handle.signal(approval, True)
        assert_type(await handle.query(progress), str)
        assert_type(await handle.update(add, 3), Receipt | None)
        assert_type((await client.list_runs()).runs[0], aion.WorkflowSummary)
        async for item in client.events():
            assert_type(item, aion.FeedItem)


async def without_an_engine() -> None:
    assert_type(await charge.fn(Order("1")), Receipt)
    assert_type(render.fn(Receipt(1)), bytes)


async def explore() -> None:
    script: Script = [outcome(charge, Receipt(1)), [signal(approval, True), fire()]]
    found = await explore_crashes(checkout, script, Order("1"), True)
    assert_type(found, Exploration)
    await explore_crashes(plain, [])
