"""Right uses: mypy accepts every line, and knows the types that come back."""

from functools import partial
from typing import assert_type

import attrs

import aion_runtime as aion


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


approval = aion.Signal("approval", bool)
limit = aion.Signal("limit", int | None)


@aion.workflow(accepts=[approval, limit])
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


async def call(engine: aion.Engine) -> None:
    handle = await engine.start(checkout, Order("1"), True, workflow_id="order-1")
    assert_type(handle, aion.WorkflowHandle[Receipt])
    assert_type(await handle.result(), Receipt)
    await handle.signal(approval, True)
    await handle.signal(limit, None)
    assert_type(await engine.start(plain), aion.WorkflowHandle[None])
    assert_type(await engine.start(partial(checkout, Order("1"))), aion.WorkflowHandle[Receipt])


async def without_an_engine() -> None:
    assert_type(await charge.fn(Order("1")), Receipt)
    assert_type(render.fn(Receipt(1)), bytes)
