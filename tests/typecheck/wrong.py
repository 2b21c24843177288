"""Wrong uses: mypy rejects every marked line; a mark that it has no use for is an error itself."""

import aion_runtime as aion
from tests.typecheck.right import Order, Receipt, approval, charge, checkout, plain, render


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


async def with_an_engine(engine: aion.Engine) -> None:
    await engine.start(checkout, 7)  # type: ignore[arg-type]
    await engine.start(checkout)  # type: ignore[arg-type]
    await engine.start(plain, 7)  # type: ignore[arg-type]
    await engine.start(checkout, Order("1"), False, True)  # type: ignore[arg-type]
    await engine.start(len, "abc")  # type: ignore[arg-type]
    await engine.start(checkout, Order("1"), workflow_id=7)  # type: ignore[arg-type]
    handle = await engine.start(checkout, Order("1"))
    await handle.signal(approval, "yes")  # type: ignore[misc]
    _number: int = await handle.result()  # type: ignore[assignment]


@aion.workflow  # type: ignore[arg-type]
def not_async() -> int:
    return 1


aion.workflow(accepts=["approval"])  # type: ignore[list-item]
aion.RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
aion.activity(retry=3)  # type: ignore[call-overload]
Receipt(await_total=1)  # type: ignore[call-arg]
