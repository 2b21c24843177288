"""Random lives of a few workflows that, together, use all that there is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal, WouldBlock
from aion_core.authoring.timing import fail_after, move_on_after, now, sleep, sleep_until
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.errors import ActivityError
from aion_core.machine import arrivals as a
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from aion_core.policies import RetryPolicy
from tests.machine.driver import FAILURE, Driver, payload

go = Signal("go", int)
stop = Signal("stop", int)


@activity(retry=RetryPolicy(max_attempts=3))
async def charge(amount: int) -> int:
    return amount


@activity(retry=RetryPolicy(max_attempts=1))
def ship(amount: int) -> int:
    return amount


@workflow
async def gathering() -> int:
    first, second = await gather(charge(1), ship(2))
    third, fourth = await gather(charge.options(key="third")(first), inner(second))
    return third + fourth


async def inner(amount: int) -> int:
    results = await gather(*(charge(amount) for _ in range(3)))
    return sum(results)


@workflow
async def waiting() -> int:
    total = 0
    while total < 20:
        with move_on_after(10) as scope:
            total += await go.receive()
        if scope.cancelled_caught:
            try:
                total += await charge(1)
            except ActivityError:
                total += 2
    return total


@workflow
async def racing() -> list[str]:
    log: list[str] = []

    async def ticker() -> None:
        while True:
            await sleep(3)
            log.append(now().isoformat())

    async def worker(number: int) -> None:
        try:
            log.append(str(await ship(number)))
        finally:
            with CancelScope(shield=True):
                await charge(number)

    async with open_nursery() as nursery:
        nursery.start_soon(ticker)
        for number in range(3):
            nursery.start_soon(worker, number)
        await stop.receive()
        nursery.cancel_scope.cancel()
    return log


@workflow
async def deadlines() -> str:
    with move_on_after(30) as outer:
        try:
            with fail_after(5) as limit:
                await go.receive()
                limit.deadline = now() + timedelta(seconds=20)
                await charge(1)
        except Exception as error:
            await sleep_until(now() + timedelta(seconds=1))
            with move_on_after(0):
                await checkpoint()
            return type(error).__name__
        async with open_nursery() as nursery:
            nursery.start_soon(charge, 1)
            nursery.start_soon(sleep, 4)
            await go.receive()
    return str(outer.cancelled_caught)


@workflow
async def collecting() -> int:
    total = 0
    for _ in range(4):
        await sleep(2)
        while True:
            try:
                total += go.receive_nowait()
            except WouldBlock:
                break

    async def receiver(limit: float) -> None:
        nonlocal total
        with move_on_after(limit):
            total += 100 * await stop.receive()

    async with open_nursery() as nursery:
        for limit in (1, 2, 3):
            nursery.start_soon(receiver, limit)
        nursery.start_soon(charge, total)
    return total


def _delayed(code: Workflow[[], Any]) -> Workflow[[], Any]:
    return Workflow(code.fn, f"delayed {code.name}", None)


DELAYED = [_delayed(each) for each in (gathering, waiting, racing, collecting)]
"""The same code, whose starts wait."""

WORKFLOWS: list[Workflow[[], Any]] = [
    gathering,
    waiting,
    racing,
    deadlines,
    collecting,
    *DELAYED,
]


def possible(driver: Driver) -> list[a.Arrival]:
    """What could happen to a run now, late and useless arrivals included."""
    found: list[a.Arrival] = [
        driver.signalled("go", 7),
        driver.signalled("stop", 1),
        driver.signalled("go", "misfit"),
        driver.signalled("go", 5, signal_id="again"),
    ]
    for row in driver.run.projection.activities.values():
        found += [
            driver.outcome(row, a.AttemptCompleted(payload(3))),
            driver.outcome(row, a.AttemptFailed(FAILURE)),
            driver.outcome(row, a.AttemptFailed(FAILURE, non_retryable=True)),
            driver.outcome(row, a.AttemptCancelled()),
            a.Redelivery(
                activity_id=row.activity_id,
                scheduled_seq=row.scheduled_seq,
                attempt=row.attempt,
                delivery=row.delivery,
            ),
        ]
    if driver.run.projection.timers:
        # Twice, so that time goes on often enough.
        found += [driver.due(), driver.due()]
    return found


def happen(driver: Driver, choice: int, count: int) -> None:
    """One step of one to three arrivals."""
    arrivals = possible(driver)
    driver.at += choice % 5 - 1  # the clock steps back now and then
    driver.step(*(arrivals[(choice + n) % len(arrivals)] for n in range(count)))


def live(code: Workflow[[], Any], choices: Sequence[tuple[int, int]]) -> Driver:
    """A run to which the chosen things happened."""
    driver = Driver(code)
    if code in DELAYED:
        driver.start_later(15)
    else:
        driver.start()
    for choice, count in choices:
        if driver.run.is_open:
            happen(driver, choice, count)
    return driver


def groups(history: Sequence[e.HistoryEvent]) -> list[tuple[int, list[e.HistoryEvent]]]:
    """Each arrival by its index, with the intents that follow it."""
    found: list[tuple[int, list[e.HistoryEvent]]] = []
    for index, event in enumerate(history):
        if e.is_arrival(event):
            found.append((index, []))
        elif e.is_intent(event):
            found[-1][1].append(event)
    return found
