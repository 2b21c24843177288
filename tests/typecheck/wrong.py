"""Wrong uses: type checkers reject every marked line; a mark without use is an error itself."""

import aion_runtime as aion
from aion_runtime import from_asyncio
from aion_runtime.testing import explore_crashes
from aion_runtime.testing.script import signal
from tests.typecheck.right import (
    Order,
    Receipt,
    add,
    approval,
    charge,
    checkout,
    found,
    limit,
    plain,
    progress,
    render,
)


@aion.workflow
async def in_a_workflow(order: Order) -> None:
    await charge(7)  # type: ignore[arg-type]
    await charge()  # type: ignore[call-arg]
    await charge(order, order)  # type: ignore[call-arg]
    await charge(orders=order)  # type: ignore[call-arg]
    await render(order)  # type: ignore[arg-type]
    await charge.options(key=7)(order)  # type: ignore[arg-type]
    await charge.options(retries=7)(order)  # type: ignore[call-arg]
    await charge.options(key="k")(7)  # type: ignore[arg-type]
    _number: int = await charge(order)  # type: ignore[assignment]
    _text: str = await approval.receive()  # type: ignore[assignment]
    _a, _b, _c = await aion.gather(charge(order), charge(order))  # type: ignore[misc]
    await aion.gather(charge, charge)  # type: ignore[call-overload]
    charge(order)  # type: ignore[unused-coroutine]
    async with aion.open_nursery() as nursery:
        nursery.start_soon(charge, 7)  # type: ignore[arg-type]
        nursery.start_soon(charge)  # type: ignore[arg-type]
        nursery.start_soon(charge, order, order)  # type: ignore[arg-type]
        nursery.start_soon(charge(order))  # type: ignore[arg-type]
        nursery.start_soon(len, "abc")  # type: ignore[arg-type]
    await aion.sleep("1")  # type: ignore[arg-type]
    await charge.options(on_cancel="never")(order)  # type: ignore[arg-type]
    await charge.options(schedule_to_close="60")(order)  # type: ignore[arg-type]
    await charge.options(heartbeat_timeout="5")(order)  # type: ignore[arg-type]
    await charge.options(limit=4)(order)  # type: ignore[arg-type]
    await charge.options(cancel_grace="5")(order)  # type: ignore[arg-type]
    aion.start_timer(5, "reminder")  # type: ignore[arg-type]
    aion.patched(7)  # type: ignore[arg-type]
    await aion.side_effect(charge)  # type: ignore[arg-type, unused-coroutine]
    await aion.side_effect(lambda: "a", "int | ")  # type: ignore[call-overload]
    await aion.side_effect(lambda a: "a", str)  # type: ignore[arg-type, misc]
    _one: int = await aion.race(charge(order), render(Receipt(1)))  # type: ignore[arg-type]
    _many: list[int] = await aion.map(charge, [order])  # type: ignore[arg-type]
    await aion.map(charge, [7])  # type: ignore[arg-type]
    aion.set_attributes("paid")  # type: ignore[arg-type]
    aion.logger.info("a", exc_inf=True)  # type: ignore[call-arg]
    aion.heartbeat(1, 2)  # type: ignore[call-arg]
    _order: Order = aion.resource(Receipt)  # type: ignore[assignment]
    aion.resource("Order")  # type: ignore[arg-type]


@aion.workflow
async def with_children(order: Order) -> None:
    await checkout(7)  # type: ignore[arg-type]
    await checkout(order, rush=1)  # type: ignore[arg-type]
    await checkout.spawn()  # type: ignore[call-arg]
    checkout(order)  # type: ignore[unused-coroutine]
    checkout.spawn(order)  # type: ignore[unused-coroutine]
    await checkout.options(on_parent_close="kill")(order)  # type: ignore[arg-type]
    await checkout.options(workflow_id=7)(order)  # type: ignore[arg-type]
    handle = await checkout.spawn(order)
    _number: int = await handle.result()  # type: ignore[assignment]
    await handle.signal(approval, "yes")  # type: ignore[misc]
    await limit.send("order-1", "none")  # type: ignore[arg-type]
    checkout.continue_as_new(7)  # type: ignore[arg-type]


@aion.workflow
async def with_messages(order: Order) -> None:
    async def change(amount: str) -> Receipt | None: ...

    progress.answer(lambda: 7)  # type: ignore[arg-type, return-value]
    progress.answer(charge)  # type: ignore[arg-type]
    found.answer(lambda amount: None)  # type: ignore[arg-type, misc]
    add.handle(change)  # type: ignore[arg-type]
    add.handle(lambda: None)  # type: ignore[arg-type]
    add.handle(lambda amount: "a")  # type: ignore[arg-type]
    add.handle(lambda amount: None, validator=change)  # type: ignore[arg-type]
    async with aion.saga() as s:
        s.compensate(charge, 7)  # type: ignore[arg-type]
        s.compensate(charge)  # type: ignore[arg-type]
        s.compensate(charge(order))  # type: ignore[arg-type]
        s.compensate(len, "abc")  # type: ignore[arg-type]


async def with_an_engine(engine: aion.Engine) -> None:
    await engine.start(checkout, 7)  # type: ignore[arg-type]
    await engine.start(checkout)  # type: ignore[arg-type]
    await engine.start(plain, 7)  # type: ignore[arg-type]
    await engine.start(checkout, Order("1"), False, True)  # type: ignore[arg-type]
    await engine.start(len, "abc")  # type: ignore[arg-type]
    await engine.start(plain, delay="60")  # type: ignore[arg-type]
    await engine.start(checkout, Order("1"), workflow_id=7)  # type: ignore[arg-type]
    handle = await engine.start(checkout, Order("1"))
    await handle.signal(approval, "yes")  # type: ignore[misc]
    _number: int = await handle.result()  # type: ignore[assignment]
    _state: int = await handle.query(progress)  # type: ignore[arg-type]
    await handle.query(approval)  # type: ignore[arg-type]
    await handle.update(add, "3")  # type: ignore[misc]
    await handle.update(progress, 3)  # type: ignore[arg-type]


async def with_a_client(client: aion.Client) -> None:
    await client.start(checkout, 7)  # type: ignore[arg-type]
    await client.start(checkout, Order("1"), delay="5")  # type: ignore[arg-type]
    await client.start_named(checkout, {})  # type: ignore[arg-type]
    await client.start_named("checkout", [1])  # type: ignore[arg-type]
    await client.start_named("checkout")  # type: ignore[call-arg]
    handle = await client.start(checkout, Order("1"))
    await handle.retry(7)  # type: ignore[arg-type]
    await handle.supply("charge-1", error="lost")  # type: ignore[arg-type]
    await client.events()  # type: ignore[misc]
    client.events("all")  # type: ignore[arg-type]
    aion.open_client("sqlite:///aion.db", workflows=["checkout"])  # type: ignore[list-item]
    aion.open_client("sqlite:///aion.db", answer_timeout="5")  # type: ignore[arg-type]


def with_a_thread(engine: aion.EngineThread) -> None:
    engine.start(checkout, 7)  # type: ignore[arg-type]
    engine.start(checkout)  # type: ignore[arg-type]
    handle = engine.start(checkout, Order("1"))
    handle.signal(approval, "yes")  # type: ignore[misc]
    _number: int = handle.result()  # type: ignore[assignment]
    handle.result(timeout="3")  # type: ignore[arg-type]
    aion.EngineThread("memory:", grace=3)  # type: ignore[call-arg]


async def with_asyncio(client: from_asyncio.Client) -> None:
    await client.start(checkout, 7)  # type: ignore[arg-type]
    handle = await client.start(checkout, Order("1"))
    await handle.update(add, "3")  # type: ignore[misc]
    _number: int = await handle.result()  # type: ignore[assignment]
    handle.result()  # type: ignore[unused-coroutine]


@aion.workflow  # type: ignore[arg-type]
def not_async() -> int:
    return 1


aion.workflow(accepts=["approval"])  # type: ignore[list-item]
aion.workflow(limit="rare")  # type: ignore[call-overload]
aion.workflow(limit=aion.Limit("rare", concurrency="2"))  # type: ignore[arg-type]
aion.open_engine("memory:", max_running="2")  # type: ignore[arg-type]
aion.RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
aion.activity(retry=3)  # type: ignore[call-overload]
aion.activity(on_cancel="never")  # type: ignore[call-overload]
aion.Signal(7, int)  # type: ignore[arg-type]
aion.Query("progress", 7)  # type: ignore[arg-type]
aion.Update("add", int)  # type: ignore[call-arg]
Receipt(await_total=1)  # type: ignore[call-arg]


async def exploring(order: Order) -> None:
    signal(approval, "yes")  # type: ignore[misc]
    await explore_crashes(checkout, [], 7, True)  # type: ignore[arg-type]
    await explore_crashes(checkout, ["fire"], order, True)  # type: ignore[list-item]
