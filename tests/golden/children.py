"""Tales of workflows that start others."""

from __future__ import annotations

import aion_runtime as aion
from aion_runtime.testing.script import cancel, fire, outcome, signal, terminate
from tests.golden.acts import charge, refund, ship
from tests.golden.tales import Tale, Value

go = aion.Signal("go", int)


@aion.workflow
async def paying(amount: int) -> int:
    paid = await charge(amount)
    await aion.sleep(10)
    return paid


@aion.workflow
async def waiting(start: int) -> int:
    return start + await go.receive()


@aion.workflow
async def tidy() -> str:
    try:
        return str(await go.receive())
    finally:
        with aion.CancelScope(shield=True):
            await refund(1)


@aion.workflow
async def endless() -> None:
    await aion.sleep(1_000_000)


@aion.workflow
async def broken() -> None:
    raise aion.ApplicationError("it cannot be", type="Broken")


@aion.workflow
async def one_child() -> int:
    return await paying(1) + await paying.options(workflow_id="second")(2)


@aion.workflow
async def many_children() -> list[int]:
    return list(
        await aion.gather(
            waiting.options(workflow_id="a")(1),
            waiting.options(workflow_id="b")(2),
        )
    )


@aion.workflow
async def spawning() -> list[Value]:
    handle = await waiting.options(workflow_id="spawned").spawn(10)
    sent = await ship("a")
    await handle.signal(go, 5)
    return [sent, await handle.result()]


@aion.workflow
async def child_fails() -> str:
    try:
        await broken()
    except aion.ChildWorkflowError as error:
        return error.failure.type
    return "?"


@aion.workflow
async def child_cancelled_by_deadline() -> list[str]:
    with aion.move_on_after(10) as scope:
        return [await tidy.options(workflow_id="tidy")()]
    return ["given up" if scope.cancelled_caught else "?"]


@aion.workflow
async def child_cancelled_by_handle() -> str:
    handle = await tidy.options(workflow_id="tidy").spawn()
    await go.receive()
    handle.cancel()
    try:
        return await handle.result()
    except aion.ChildWorkflowError as error:
        return error.failure.type


@aion.workflow
async def leaving_children() -> str:
    await tidy.options(workflow_id="to be cancelled").spawn()
    await endless.options(workflow_id="to be ended", on_parent_close="terminate").spawn()
    await waiting.options(workflow_id="to be left", on_parent_close="abandon").spawn(1)
    return await ship("last")


@aion.workflow
async def id_is_taken() -> list[str]:
    await waiting.options(workflow_id="mine").spawn(1)
    other = await waiting.options(workflow_id="mine").spawn(2)
    try:
        await other.result()
    except aion.ChildWorkflowError as error:
        return [error.failure.type]
    return []


@aion.workflow
async def grandparent() -> int:
    return 1 + await one_child.options(workflow_id="parent")()


@aion.workflow
async def touring(stops: int) -> int:
    """A run that continues leaves its children as one that ends; the next starts its own."""
    handle = await waiting.options(workflow_id=f"guide {stops}").spawn(stops)
    await tidy.options(workflow_id=f"driver {stops}", on_parent_close="abandon").spawn()
    if stops:
        await handle.signal(go, await go.receive())
        touring.continue_as_new(stops - 1)
    return await handle.result()


@aion.workflow
async def repaying() -> str:
    """Undone in a child that its parent gives up."""
    async with aion.saga() as steps:
        steps.compensate(refund, await charge(1))
        await go.receive()
    return "?"


@aion.workflow
async def hotel() -> list[Value]:
    done: list[Value] = []
    with aion.move_on_after(60) as scope:
        done.append(await repaying.options(workflow_id="guest")())
    done.append(scope.cancelled_caught)
    done.append(await waiting.options(workflow_id="night")(1))
    return done


TALES = [
    Tale(
        one_child,
        [outcome(charge, 1), fire(), outcome(charge, 2), fire()],
        3,
        extras=[outcome(charge, ValueError("no")), cancel(), cancel(to="second")],
    ),
    Tale(
        many_children,
        [signal(go, 20, to="b"), signal(go, 10, to="a")],
        [11, 22],
        extras=[terminate(to="a"), cancel(to="b"), terminate()],
    ),
    Tale(
        spawning,
        [outcome(ship, "sent")],
        ["sent", 15],
        extras=[signal(go, 1, to="spawned"), terminate(to="spawned"), cancel()],
    ),
    Tale(child_fails, [], "Broken", workflows=(broken,)),
    Tale(
        child_cancelled_by_deadline,
        [fire(), outcome(refund, "back")],
        ["given up"],
        extras=[signal(go, 3, to="tidy"), cancel(to="tidy"), cancel()],
    ),
    Tale(
        child_cancelled_by_handle,
        [signal(go, 1), outcome(refund, "back")],
        "Cancelled",
        extras=[signal(go, 3, to="tidy"), cancel(), terminate(to="tidy")],
    ),
    Tale(
        leaving_children,
        [outcome(ship, "out"), outcome(refund, "back"), signal(go, 1, to="to be left")],
        "out",
        extras=[cancel(), terminate()],
    ),
    Tale(
        id_is_taken,
        [signal(go, 1, to="mine")],
        ["WorkflowAlreadyStartedError"],
        extras=[cancel()],
    ),
    Tale(
        touring,
        [
            signal(go, 5),
            signal(go, 7, to="guide 0"),
            cancel(to="driver 1"),
            outcome(refund, "back"),
            signal(go, 1, to="driver 0"),
        ],
        7,
        args=(1,),
        extras=[signal(go, 8, to="guide 1"), signal(go, 9, to="driver 1"), cancel(to="driver 0")],
    ),
    Tale(
        hotel,
        [outcome(charge, 100), fire(), outcome(refund, "back"), signal(go, 2, to="night")],
        [True, 3],
        extras=[cancel(), outcome(refund, ValueError("no")), cancel(to="guest"), terminate()],
    ),
    Tale(
        grandparent,
        [outcome(charge, 1), fire(), outcome(charge, 2), fire()],
        4,
        extras=[cancel(), terminate(), cancel(to="parent"), terminate(to="second")],
    ),
]
