"""A shop fulfils orders, and no crash makes it lose one or charge a card twice.

    python examples/order_fulfilment.py              # in a temporary directory
    python examples/order_fulfilment.py orders.db    # in a file that stays

With a file: stop it in the middle as hard as you like, and start it again. Every order goes on
where it was. `aion demo` does just that, with 25 such orders, and checks the result.
"""

import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import attrs
import trio

import aion_runtime as aion

APPROVAL_ABOVE = Decimal(1000)


@attrs.frozen
class Line:
    sku: str
    quantity: int
    price: Decimal


@attrs.frozen
class Order:
    order_id: str
    customer: str
    card: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        return sum((line.quantity * line.price for line in self.lines), Decimal(0))


@attrs.frozen
class Payment:
    payment_id: str
    amount: Decimal


@attrs.frozen
class Approval:
    by: str
    granted: bool


# Activities touch the world. Each call is recorded with its result, and a recorded result is
# never computed again. An activity that raises is tried again, by its retry policy.


@aion.activity
async def charge(order: Order) -> Payment:
    # A crash between the charge and its record makes this run twice: the key, the same for all
    # attempts of this call, is what lets the payment provider charge once.
    key = aion.activity_info().idempotency_key
    await trio.sleep(0.1)
    if order.card == "declined":
        raise aion.ApplicationError("insufficient funds", type="CardDeclined", non_retryable=True)
    return Payment(key, order.total)


@aion.activity(retry=aion.RetryPolicy(max_attempts=5, initial_interval=0.2))
def reserve(order_id: str, line: Line) -> str:
    # A plain function runs in a worker thread, so it may block.
    time.sleep(0.05)
    if line.sku == "POT" and aion.activity_info().attempt == 1:
        raise ConnectionResetError("the warehouse hung up")
    return f"{order_id}/{line.sku}"


@aion.activity
async def ship(order: Order, reservations: tuple[str, ...]) -> str:
    await trio.sleep(0.1)
    return f"{len(reservations)}P-{order.order_id}"


@aion.activity
async def send_receipt(order: Order, payment: Payment, tracking: str) -> None:
    await trio.sleep(0.05)


@aion.activity
async def refund(payment: Payment) -> None:
    await trio.sleep(0.1)


# The workflow is a plain async function. It may take milliseconds or months: when the process
# dies it is run again from the start, gets the recorded results, and goes on from there.

approval = aion.Signal("approval", Approval)


@aion.workflow(accepts=[approval])
async def fulfil(order: Order) -> str:
    try:
        payment = await charge(order)
    except aion.ActivityError as error:
        raise aion.ApplicationError(error.message, type=error.type) from error
    reservations = await aion.gather(*(reserve(order.order_id, line) for line in order.lines))
    if order.total > APPROVAL_ABOVE and not await is_approved():
        await refund(payment)
        return "refunded"
    tracking = await ship(order, reservations)
    await send_receipt(order, payment, tracking)
    return f"shipped as {tracking}"


async def is_approved() -> bool:
    with aion.move_on_after(2):  # in a real shop: days; the deadline survives a restart, too
        return (await approval.receive()).granted
    return False


TEA_SET = (Line("TEA", 2, Decimal("18.50")), Line("POT", 1, Decimal("142.00")))
ORDERS = [
    Order("1", "Ada", "visa", (Line("BOOK", 1, Decimal("24.00")), Line("PEN", 3, Decimal("2.35")))),
    Order("2", "Grace", "visa", (Line("DESK", 2, Decimal("749.00")),)),
    Order("3", "Jürgen", "declined", (Line("CHAIR", 2, Decimal("189.00")),)),
    Order("4", "Olu", "amex", (Line("SERVER", 1, Decimal("5890.00")),)),
    Order("5", "花子", "visa", TEA_SET),
]


async def fulfil_one(engine: aion.Engine, order: Order) -> None:
    # Idempotent by the id: after a restart this finds the run that is there already.
    run = await engine.start(fulfil, order, workflow_id=f"order-{order.order_id}")
    if order.order_id == "2":
        # This id makes the signal count once, however often it is sent.
        await run.signal(approval, Approval(by="kim", granted=True), signal_id="kim-1")
    try:
        end = await run.result()
    except aion.WorkflowFailedError as error:
        end = f"failed: {error.failure.message}"
    print(f"order {order.order_id} of {order.customer}, {order.total} EUR: {end}")


async def main(store: str) -> None:
    async with (
        aion.open_engine(store, workflows=[fulfil]) as engine,
        trio.open_nursery() as nursery,
    ):
        for order in ORDERS:
            nursery.start_soon(fulfil_one, engine, order)


def store_in(database: Path) -> str:
    return f"sqlite:///{quote(str(database.absolute()))}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        trio.run(main, store_in(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as directory:
            trio.run(main, store_in(Path(directory) / "orders.db"))
