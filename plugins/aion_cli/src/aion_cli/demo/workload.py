"""The demo's workload: how a shop fulfils an order. Activities, one signal, one workflow.

Ordinary Aion code; ``examples/order_fulfilment.py`` is the same in one file. The only thing here
that is for the demo's sake is `executed`, with which every activity begins.
"""

from __future__ import annotations

import random
import time
from decimal import Decimal

import attrs
import trio

import aion_runtime as aion
from aion_cli.demo.ledger import LEDGER
from aion_cli.demo.orders import CARD_DECLINED, End, Line, Order, Outcome

__all__ = ["Approval", "approval", "fulfil"]

DECLINED = "tok_declined_"
"""How a card's token begins that the provider declines; the reason follows."""

MOODY_SKU = "LAMP-ARC"
"""The warehouse never answers the first question for this article."""


@attrs.frozen
class Payment:
    """A charge as the payment provider knows it."""

    payment_id: str
    amount: Decimal
    currency: str


@attrs.frozen
class Approval:
    """What somebody decides about a large order."""

    by: str
    granted: bool


approval = aion.Signal("approval", Approval)


def executed() -> None:
    """Put this execution on record, before it does anything."""
    info = aion.activity_info()
    LEDGER.get().write(info.workflow_id, info.activity_id, info.activity_type, info.attempt)


@aion.activity
async def charge(order: Order) -> Payment:
    """Charge the card. The provider takes our key, so a repeated request charges once."""
    executed()
    await trio.sleep(random.uniform(0.06, 0.15))
    if order.card.startswith(DECLINED):
        reason = order.card.removeprefix(DECLINED).replace("_", " ")
        raise aion.ApplicationError(reason, type=CARD_DECLINED, non_retryable=True)
    return Payment(aion.activity_info().idempotency_key, order.total, order.currency)


@aion.activity(retry=aion.RetryPolicy(initial_interval=0.15))
def reserve(order_id: str, line: Line) -> str:
    """Reserve goods. A blocking client, so it is a plain function and runs in a thread."""
    executed()
    time.sleep(random.uniform(0.02, 0.1))
    if line.sku == MOODY_SKU and aion.activity_info().attempt == 1:
        raise ConnectionResetError("the warehouse hung up")
    return f"{order_id}/{line.sku}"


@aion.activity
async def ship(order: Order, reservations: tuple[str, ...]) -> str:
    """Hand the parcel over; returns its tracking code."""
    executed()
    await trio.sleep(random.uniform(0.08, 0.15))
    return f"{len(reservations)}P-{order.order_id}"


@aion.activity
async def send_receipt(order: Order, payment: Payment, tracking: str) -> None:
    """Write to the customer."""
    executed()
    await trio.sleep(random.uniform(0.02, 0.08))


@aion.activity
async def refund(payment: Payment) -> Decimal:
    """Give the money back."""
    executed()
    await trio.sleep(random.uniform(0.06, 0.15))
    return payment.amount


@aion.workflow(accepts=[approval])
async def fulfil(order: Order) -> End:
    """See one order through, over every crash."""
    try:
        payment = await charge(order)
    except aion.ActivityError as error:
        raise aion.ApplicationError(error.message, type=error.type) from error
    reservations = await aion.gather(*(reserve(order.order_id, line) for line in order.lines))
    refused = await why_refused(order) if order.needs_approval else None
    if refused is not None:
        return End(
            outcome=Outcome.REFUNDED,
            customer=order.customer,
            currency=order.currency,
            charged=payment.amount,
            refunded=await refund(payment),
            reason=refused,
        )
    tracking = await ship(order, reservations)
    await send_receipt(order, payment, tracking)
    return End(
        outcome=Outcome.SHIPPED,
        customer=order.customer,
        currency=order.currency,
        charged=payment.amount,
    )


async def why_refused(order: Order) -> str | None:
    """Wait for an approval, for as long as the goods can be held; None when it was granted."""
    with aion.move_on_after(order.hold_s):
        answer = await approval.receive()
        return None if answer.granted else f"denied by {answer.by}"
    return "no answer in time"
