"""Tales of activities: their outcomes, retries, options, and how they are stopped."""

from __future__ import annotations

import aion_runtime as aion
from aion_runtime.testing.script import cancel, fire, outcome, signal
from tests.golden.acts import charge, refund, render, ship, text, watch
from tests.golden.tales import Failed, Tale, Value

stop = aion.Signal("stop", str)

LONG = 1_000_000.0


@aion.workflow
async def in_sequence(amount: int) -> list[Value]:
    paid = await charge(amount)
    sent = await ship(f"for {paid}")
    return [paid, sent, await render(3)]


@aion.workflow
async def retried() -> int:
    return await charge(1) + await charge(2)


@aion.workflow
async def exhausted() -> str:
    try:
        await charge(1)
    except aion.ActivityError as error:
        return await ship(error.failure.type)
    return "?"


@aion.workflow
async def declined() -> int:
    return await charge(1)


@aion.workflow
async def keyed() -> list[int]:
    first = charge.options(key="first")
    return list(await aion.gather(charge.options(key="second")(2), first(1), charge(3)))


@aion.workflow
async def with_options() -> str:
    careful = ship.options(
        retry=aion.RetryPolicy(max_attempts=2, initial_interval=5, non_retryable=("Lost",)),
        start_to_close=LONG,
        schedule_to_close=LONG,
        heartbeat_timeout=LONG,
        cancel_grace=LONG,
    )
    return await careful("a") + await careful("b")


@aion.workflow
async def given_up() -> list[str]:
    done: list[str] = []
    for item in ("a", "b"):
        with aion.move_on_after(10) as scope:
            done.append(await ship(item))
        if scope.cancelled_caught:
            done.append(f"gave up {item}")
    return done


@aion.workflow
async def done_all_the_same() -> list[Value]:
    """What an activity did although it was to stop is not lost on its caller."""
    done: list[Value] = []

    async def stopper(scope: aion.CancelScope) -> None:
        done.append(await stop.receive())
        scope.cancel()

    with aion.CancelScope() as scope:
        async with aion.open_nursery() as nursery:
            nursery.start_soon(stopper, scope)
            done.append(await charge(1))
            nursery.cancel_scope.cancel()
    with aion.CancelScope(shield=True):
        done.append(await refund(1))
    return done


@aion.workflow
async def abandoned() -> list[str]:
    done: list[str] = []
    with aion.move_on_after(10) as scope:
        done.append(await watch("door"))
    if scope.cancelled_caught:
        done.append("nobody came")
    done.append(await ship("anyway"))
    return done


@aion.workflow
async def cleaning_up() -> str:
    try:
        return await ship("a")
    finally:
        with aion.CancelScope(shield=True):
            await refund(1)


@aion.workflow
async def limited() -> list[str]:
    """Each attempt is recorded before it begins."""
    first = await text("a")
    return [first, *await aion.gather(text("b"), text("c"), text("d"))]


NO = ConnectionError("no line")

TALES = [
    Tale(
        in_sequence,
        [outcome(charge, 5), outcome(ship, "sent"), outcome(render, "pdf")],
        [5, "sent", "pdf"],
        args=(5,),
        extras=[outcome(ship, NO), fire()],
    ),
    Tale(
        retried,
        [
            outcome(charge, NO),
            fire(),
            outcome(charge, 1),
            outcome(charge, NO),
            fire(),
            outcome(charge, NO),
            fire(),
            outcome(charge, 2),
        ],
        3,
        extras=[cancel()],
    ),
    Tale(
        exhausted,
        [
            outcome(charge, NO),
            fire(),
            outcome(charge, NO),
            fire(),
            outcome(charge, NO),
            outcome(ship, "an apology"),
        ],
        "an apology",
        extras=[cancel()],
    ),
    Tale(
        declined,
        [
            outcome(
                charge,
                aion.ApplicationError(
                    "no money", type="Declined", details={"code": 51}, non_retryable=True
                ),
            )
        ],
        Failed("ActivityError"),
        extras=[cancel()],
    ),
    Tale(
        keyed,
        [outcome(charge, 30, nth=2), [outcome(charge, 20), outcome(charge, 10)]],
        [20, 10, 30],
        extras=[cancel()],
    ),
    Tale(
        with_options,
        [outcome(ship, NO), fire(), outcome(ship, "x"), outcome(ship, "y")],
        "xy",
        extras=[cancel()],
    ),
    Tale(
        given_up,
        [fire(), outcome(ship, "b")],
        ["gave up a", "b"],
        extras=[[fire(), outcome(ship, "late")], cancel()],
    ),
    Tale(
        done_all_the_same,
        [[signal(stop, "halt"), outcome(charge, 9)], outcome(refund, "back")],
        ["halt", 9, "back"],
        extras=[signal(stop, "again"), outcome(charge, 8), cancel()],
    ),
    Tale(
        abandoned,
        [fire(), outcome(ship, "done")],
        ["nobody came", "done"],
        extras=[outcome(watch, "a guest"), cancel()],
    ),
    Tale(
        limited,
        [
            outcome(text, NO),
            fire(),
            outcome(text, "A"),
            [outcome(text, "C", nth=1), outcome(text, "B")],
            outcome(text, "D"),
        ],
        ["A", "B", "C", "D"],
        extras=[cancel()],
    ),
    Tale(
        cleaning_up,
        [cancel(), outcome(refund, "back")],
        Failed("Cancelled"),
        extras=[outcome(ship, "a"), [outcome(ship, "b"), cancel()], outcome(refund, NO)],
    ),
]
