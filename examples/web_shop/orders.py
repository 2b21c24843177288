"""What the shop does with an order. The web app and the worker both know this, and no more.

An order waits for its payment, for days if need be, and is then sent. Unpaid or cancelled, its
goods go back on the shelf.
"""

import os
from datetime import timedelta
from pathlib import Path

import attrs
import trio

import aion_runtime as aion

PAY_WITHIN = timedelta(days=3)


@attrs.frozen
class Line:
    sku: str
    quantity: int


@attrs.frozen
class Order:
    order_id: str
    customer: str
    lines: tuple[Line, ...]


@attrs.frozen
class Payment:
    payment_id: str
    amount: int


payment = aion.Signal("payment", Payment)
stage = aion.Query("stage", str)


@aion.activity
async def reserve(order: Order) -> None:
    await trio.sleep(0.05)


@aion.activity
async def put_back(order: Order) -> None:
    await trio.sleep(0.05)


@aion.activity
def send_parcel(order: Order) -> str:
    # A crash before the result is recorded makes this run twice. The key is the same for all
    # attempts of this call: the second finds the parcel of the first.
    key = aion.activity_info().idempotency_key
    warehouse = Path(os.environ.get("WAREHOUSE", "warehouse"))
    warehouse.mkdir(exist_ok=True)
    with (warehouse / order.order_id).open("a+") as parcel:
        parcel.seek(0)
        if key not in parcel.read().splitlines():
            parcel.write(f"{key}\n")
    return f"parcel-{order.order_id}"


@aion.workflow(accepts=[payment, stage])
async def fulfil(order: Order) -> str:
    standing = "reserving"
    stage.answer(lambda: standing)
    async with aion.saga() as s:
        s.compensate(put_back, order)
        await reserve(order)
        standing = "waiting for payment"
        with aion.fail_after(PAY_WITHIN):
            paid = await payment.receive()
        standing = f"paid by {paid.payment_id}, being sent"
        return await send_parcel(order)
