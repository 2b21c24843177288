"""Tales of how runs end and go on: continue-as-new, sagas, cancellation, the end from outside."""

from __future__ import annotations

import aion_runtime as aion
from aion_runtime.testing.script import ask, cancel, fire, outcome, signal, terminate, update
from tests.golden.acts import charge, refund, ship
from tests.golden.tales import Failed, Tale, Value

item = aion.Signal("item", int)
size = aion.Query("size", int)
give = aion.Update("give", int, int)


@aion.workflow
async def in_rounds(total: int, rounds: int) -> int:
    """Signals that a run has not received are received by the next."""
    size.answer(lambda: total)
    for _ in range(2):
        total += await item.receive()
    if rounds:
        await ship("a report")
        in_rounds.continue_as_new(total, rounds - 1)
    return total


@aion.workflow
async def butterfly(weight: int) -> str:
    await aion.sleep(10)
    return f"flies with {weight} and {await item.receive()}"


@aion.workflow
async def caterpillar(weight: int) -> str:
    weight += await item.receive()
    butterfly.continue_as_new(weight)


@aion.workflow
async def moulting() -> str:
    """A child that goes on as another workflow is still one child."""
    return await caterpillar.options(workflow_id="child")(1)


@aion.workflow
async def leaving_in_rounds(rounds: int) -> str:
    """What is open when a run continues is stopped first; what comes meanwhile goes to the next."""

    async def tidy() -> None:
        try:
            await aion.sleep(1_000)
        finally:
            with aion.CancelScope(shield=True):
                await refund(1)

    async def handler(by: int) -> int:
        await tidy()
        return by

    give.handle(handler)
    got = await item.receive()
    if rounds:
        leaving_in_rounds.continue_as_new(rounds - 1)
    return f"{got}"


@aion.workflow
async def trip(nights: int) -> str:
    async with aion.saga() as steps:
        paid = await charge(nights)
        steps.compensate(refund, paid)
        room = await ship("room")
        steps.compensate(ship, f"cancelled {room}")
        await aion.sleep(10)
        return await ship("ticket")


@aion.workflow
async def patient() -> list[Value]:
    """It hears that it is to stop, cleans up, and returns all the same."""
    done: list[Value] = []
    try:
        done.append(await item.receive())
    except aion.Cancelled:
        done.append("told to stop")
        with aion.CancelScope(shield=True):
            done.append(await refund(1))
    return done


@aion.workflow
async def giving_up() -> str:
    try:
        await item.receive()
    finally:
        with aion.CancelScope(shield=True):
            await aion.sleep(5)
    return "?"


@aion.workflow
async def ended_from_outside() -> int:
    async with aion.open_nursery() as nursery:
        nursery.start_soon(ship, "a")
        nursery.start_soon(aion.sleep, 100)
        paid = await charge(1)
    return paid


@aion.workflow
async def at_once() -> str:
    return "nothing to do"


@aion.workflow
async def in_vain() -> str:
    raise aion.ApplicationError("no use", type="Vain", details=[1, 2])


@aion.workflow
async def starting_over(tries: int) -> list[Value]:
    """What is under way is stopped before the next run begins, and its timers with it."""
    done: list[Value] = []
    timer = aion.start_timer("patience", 100)
    async with aion.open_nursery() as nursery:
        nursery.start_soon(ship, "a")
        with aion.move_on_after(10):
            done.append(await item.receive())
        nursery.cancel_scope.cancel()
    if tries:
        starting_over.continue_as_new(tries - 1)
    done.append(await timer.wait())
    return done


TALES = [
    Tale(
        in_rounds,
        [
            signal(item, 1),
            ask(size),
            [signal(item, 2), signal(item, 3), signal(item, 4)],
            ask(size),
            outcome(ship, "sent"),
        ],
        10,
        args=(0, 1),
        extras=[signal(item, 5), cancel(), [outcome(ship, "x"), signal(item, 6)]],
    ),
    Tale(
        moulting,
        [signal(item, 2, to="child"), signal(item, 3, to="child"), fire()],
        "flies with 3 and 3",
        extras=[cancel(), cancel(to="child"), terminate(to="child")],
    ),
    Tale(
        leaving_in_rounds,
        [update(give, 7), signal(item, 1), signal(item, 2), outcome(refund, "back")],
        "2",
        args=(1,),
        extras=[cancel(), update(give, 8), [signal(item, 3), fire()]],
    ),
    Tale(
        starting_over,
        [fire(), fire(), fire()],
        [True],
        args=(1,),
        extras=[[signal(item, 1), signal(item, 2)], [fire(), outcome(ship, "A")], cancel()],
    ),
    Tale(
        trip,
        [
            outcome(charge, 100),
            outcome(ship, "12"),
            fire(),
            outcome(ship, aion.ApplicationError("full", type="Full", non_retryable=True)),
            outcome(ship, "ok"),
            outcome(refund, "back"),
        ],
        Failed("ActivityError"),
        args=(3,),
        extras=[cancel(), outcome(ship, "ticket"), outcome(refund, ValueError("no"))],
    ),
    Tale(
        patient,
        [cancel(), cancel(), outcome(refund, "back")],
        ["told to stop", "back"],
        extras=[[signal(item, 1), cancel()], [cancel(), signal(item, 2)]],
    ),
    Tale(giving_up, [cancel(), fire()], Failed("Cancelled"), extras=[signal(item, 1), terminate()]),
    Tale(
        ended_from_outside,
        [terminate()],
        Failed("Terminated"),
        extras=[outcome(charge, 1), outcome(ship, "a"), fire(), [terminate(), outcome(charge, 2)]],
    ),
    Tale(at_once, [], "nothing to do"),
    Tale(in_vain, [], Failed("Vain")),
]
