"""The races that are settled by history, and what comes of each order."""

from __future__ import annotations

from aion_core.authoring.activities import activity
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, now, start_timer
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.errors import Cancelled
from aion_core.machine import arrivals as a
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, payload, start_request
from tests.races.racing import Order, Outcome, Race

go = Signal("go", int)
add = Update("add", int, int)


@activity
async def work() -> str:
    return "paid"


@workflow
async def child() -> str:
    return "done"


@workflow
async def charging() -> str:
    receipt = await work()
    await checkpoint()
    return receipt


@workflow
async def limited() -> str:
    with move_on_after(10) as scope:
        return f"{await work()}, asked to stop: {scope.cancel_called}"
    return "late"


@workflow
async def giving_up() -> str:
    with move_on_after(10):
        return await work()
    return "gave up"


@workflow
async def awaiting_approval() -> str:
    with move_on_after(10):
        return f"approved {await go.receive()}"
    return "late"


@workflow
async def parent() -> str:
    result = await child()
    await checkpoint()
    return result


@workflow
async def two_receivers() -> list[str]:
    log: list[str] = []

    async def receiver(name: str, limit: float) -> None:
        with move_on_after(limit):
            log.append(f"{name} got {await go.receive()}")

    async with open_nursery() as nursery:
        nursery.start_soon(receiver, "first", 10)
        nursery.start_soon(receiver, "second", 20)
    return log


@workflow
async def restarting() -> str:
    begun = now()
    timer = start_timer("t", 10)
    await go.receive()
    had_fired = timer.has_fired
    start_timer("t", 20)
    await timer.wait()
    return f"had fired: {had_fired}, fired after {(now() - begun).total_seconds():.0f} s"


@workflow
async def updated() -> int:
    total = 0

    def change(value: int) -> int:
        nonlocal total
        total += value
        return total

    add.handle(change)
    await go.receive()
    return total


@workflow
async def slowly_updated() -> int:
    total = 0

    async def change(value: int) -> int:
        nonlocal total
        await work()
        total += value
        return total

    add.handle(change)
    await go.receive()
    return total


@workflow
async def tidying() -> str:
    try:
        await go.receive()
    except Cancelled:
        with CancelScope(shield=True):
            await go.receive()
    return "tidied up"


@workflow
async def simple() -> str:
    return await work()


@workflow
async def waiting() -> int:
    return await go.receive()


@workflow
async def lingering(generation: int) -> list[int]:
    """Its first run is over when the handler is that it leaves."""

    async def stay(value: int) -> int:
        with CancelScope(shield=True):
            await work()
        return value

    if generation == 0:
        add.handle(stay)
        await go.receive()
        lingering.continue_as_new(1)
    return [await go.receive(), await go.receive()]


def _cancel(driver: Driver) -> a.Arrival:
    return a.CancelRequest(reason="enough")


def _start_and_wait(driver: Driver) -> None:
    """The deadline has come when the race begins."""
    driver.start()
    driver.at = 10


def _start_an_hour_ahead(driver: Driver) -> None:
    """Then somebody sets the clock right."""
    driver.at = 3600
    driver.start()
    driver.at = 0


def _start_and_time_out(driver: Driver) -> None:
    driver.start()
    driver.fire()


def _start_and_continue(driver: Driver) -> None:
    driver.start(generation=0)
    driver.update("add", 1)
    driver.signal("go", 0)


def _signal(driver: Driver) -> None:
    driver.signal("go", 1)


def _settle_work(driver: Driver) -> None:
    if driver.run.projection.activities:
        driver.cancel("work")


_LATE_SIGNAL: dict[Order, Outcome] = {
    ("signal", "deadline"): Outcome("returned 'approved 7'", dropped={"deadline"}),
    # Refused, not lost: the sender knows.
    ("deadline", "signal"): Outcome("returned 'late'", refused={"signal"}),
}

RACES = [
    Race(
        name="cancel and result",
        code=charging,
        arrivals=lambda driver: {
            "result": driver.completed("work", "paid"),
            "cancel": _cancel(driver),
        },
        outcomes={
            ("result", "cancel"): Outcome("returned 'paid'", refused={"cancel"}),
            ("cancel", "result"): Outcome("cancelled: enough"),
        },
    ),
    Race(
        name="deadline and result",
        code=limited,
        before=_start_and_wait,
        arrivals=lambda driver: {
            "result": driver.completed("work", "paid"),
            "deadline": driver.due(),
        },
        outcomes={
            ("result", "deadline"): Outcome(
                "returned 'paid, asked to stop: False'", dropped={"deadline"}
            ),
            ("deadline", "result"): Outcome("returned 'paid, asked to stop: True'"),
        },
    ),
    Race(
        name="deadline, result and cancel",
        code=giving_up,
        before=_start_and_wait,
        arrivals=lambda driver: {
            "result": driver.completed("work", "paid"),
            "deadline": driver.due(),
            "cancel": _cancel(driver),
        },
        outcomes={
            ("result", "deadline", "cancel"): Outcome(
                "returned 'paid'", refused={"cancel"}, dropped={"deadline"}
            ),
            ("result", "cancel", "deadline"): Outcome(
                "returned 'paid'", refused={"cancel"}, dropped={"deadline"}
            ),
            ("deadline", "result", "cancel"): Outcome("returned 'paid'", refused={"cancel"}),
            ("deadline", "cancel", "result"): Outcome("returned 'paid'"),
            ("cancel", "result", "deadline"): Outcome("returned 'paid'", dropped={"deadline"}),
            ("cancel", "deadline", "result"): Outcome("returned 'paid'"),
        },
    ),
    Race(
        name="signal and timer",
        code=awaiting_approval,
        before=_start_and_wait,
        arrivals=lambda driver: {
            "signal": driver.signalled("go", 7),
            "deadline": driver.due(),
        },
        outcomes=_LATE_SIGNAL,
    ),
    Race(
        name="signal and timer while the clock steps back an hour",
        code=awaiting_approval,
        before=_start_an_hour_ahead,
        arrivals=lambda driver: {
            "signal": driver.signalled("go", 7),
            "deadline": driver.due(),
        },
        outcomes=_LATE_SIGNAL,
    ),
    Race(
        name="child completion and cancel",
        code=parent,
        others=(child,),
        arrivals=lambda driver: {
            "child": driver.child_ended("child", a.ChildCompleted(payload("done"))),
            "cancel": _cancel(driver),
        },
        outcomes={
            ("child", "cancel"): Outcome("returned 'done'", refused={"cancel"}),
            ("cancel", "child"): Outcome("cancelled: enough"),
        },
    ),
    Race(
        name="child cancellation and cancel",
        code=parent,
        others=(child,),
        arrivals=lambda driver: {
            "child": driver.child_ended("child", a.ChildCancelled("by somebody")),
            "cancel": _cancel(driver),
        },
        outcomes={
            ("child", "cancel"): Outcome("failed: ChildWorkflowError", refused={"cancel"}),
            ("cancel", "child"): Outcome("cancelled: enough"),
        },
    ),
    Race(
        name="an activity that swallows cancellation",
        code=giving_up,
        before=_start_and_time_out,
        arrivals=lambda driver: {
            "result": driver.completed("work", "paid"),
            "grace is over": driver.cancelled("work", detail=a.STILL_RUNNING),
        },
        outcomes={
            ("result", "grace is over"): Outcome("returned 'paid'", dropped={"grace is over"}),
            ("grace is over", "result"): Outcome("returned 'gave up'", dropped={"result"}),
        },
    ),
    Race(
        name="two receivers, one signal",
        code=two_receivers,
        before=_start_and_wait,
        arrivals=lambda driver: {
            "signal": driver.signalled("go", 7),
            "deadline": driver.due(),
        },
        after=Driver.fire_all,
        outcomes={
            ("signal", "deadline"): Outcome("returned ['first got 7']", dropped={"deadline"}),
            ("deadline", "signal"): Outcome("returned ['second got 7']"),
        },
    ),
    Race(
        name="stale timer of a restarted named timer",
        code=restarting,
        before=_start_and_wait,
        arrivals=lambda driver: {
            "restart": driver.signalled("go", 1),
            "stale": driver.due(),
        },
        after=Driver.fire_all,
        outcomes={
            ("restart", "stale"): Outcome(
                "returned 'had fired: False, fired after 30 s'", dropped={"stale"}
            ),
            ("stale", "restart"): Outcome("returned 'had fired: True, fired after 30 s'"),
        },
    ),
    Race(
        name="update and return",
        code=updated,
        arrivals=lambda driver: {
            "update": driver.updated("add", 5),
            "signal": driver.signalled("go", 1),
        },
        outcomes={
            ("update", "signal"): Outcome("returned 5"),
            ("signal", "update"): Outcome("returned 0", refused={"update"}),
        },
    ),
    Race(
        name="update that takes long and return",
        code=slowly_updated,
        arrivals=lambda driver: {
            "update": driver.updated("add", 5),
            "signal": driver.signalled("go", 1),
        },
        after=_settle_work,
        outcomes={
            ("update", "signal"): Outcome("returned 0"),
            ("signal", "update"): Outcome("returned 0", refused={"update"}),
        },
    ),
    Race(
        name="second cancel request",
        code=tidying,
        arrivals=lambda driver: {
            "one": a.CancelRequest(reason="one"),
            "two": a.CancelRequest(reason="two"),
        },
        after=_signal,
        outcomes={
            ("one", "two"): Outcome("returned 'tidied up'", dropped={"two"}),
            ("two", "one"): Outcome("returned 'tidied up'", dropped={"one"}),
        },
    ),
    Race(
        name="signal to a run that completes in the same step",
        code=simple,
        arrivals=lambda driver: {
            "result": driver.completed("work", "paid"),
            "signal": driver.signalled("go", 1),
        },
        outcomes={
            ("result", "signal"): Outcome("returned 'paid'", refused={"signal"}),
            ("signal", "result"): Outcome("returned 'paid'"),
        },
    ),
    Race(
        name="termination and result",
        code=simple,
        arrivals=lambda driver: {
            "result": driver.completed("work", "paid"),
            "terminate": a.TerminateRequest(reason="enough"),
        },
        outcomes={
            ("result", "terminate"): Outcome("returned 'paid'", refused={"terminate"}),
            ("terminate", "result"): Outcome("WorkflowTerminated", dropped={"result"}),
        },
    ),
    Race(
        name="signal before the first activation",
        code=waiting,
        before=lambda driver: None,
        arrivals=lambda driver: {
            "start": start_request("waiting"),
            "signal": driver.signalled("go", 7),
        },
        outcomes={
            ("start", "signal"): Outcome("returned 7"),
            # From outside; that of another run waits for the start.
            ("signal", "start"): Outcome("open", refused={"signal"}),
        },
    ),
    Race(
        name="update and the first activation",
        code=updated,
        before=lambda driver: None,
        arrivals=lambda driver: {
            "start": start_request("updated"),
            "update": driver.updated("add", 7),
        },
        after=_signal,
        outcomes={
            ("start", "update"): Outcome("returned 7"),
            ("update", "start"): Outcome("returned 0", refused={"update"}),
        },
    ),
    Race(
        name="signals while a run is continuing",
        code=lingering,
        before=_start_and_continue,
        arrivals=lambda driver: {
            "one": driver.signalled("go", 1),
            "two": driver.signalled("go", 2),
            "end": driver.completed("work", "paid"),
        },
        outcomes={
            ("one", "two", "end"): Outcome("returned [1, 2]"),
            ("one", "end", "two"): Outcome("returned [1, 2]"),
            ("end", "one", "two"): Outcome("returned [1, 2]"),
            ("two", "one", "end"): Outcome("returned [2, 1]"),
            ("two", "end", "one"): Outcome("returned [2, 1]"),
            ("end", "two", "one"): Outcome("returned [2, 1]"),
        },
    ),
]
