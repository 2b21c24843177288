"""Several things at once: races, maps, and waiting for a condition."""

import gc
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather, race
from aion_core.authoring.concurrency import map as map_
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import Cancelled, NotInWorkflowError
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.predicates import wait_until
from aion_core.machine.run import Run
from aion_core.machine.scopes import CancelScope
from aion_core.machine.sync import Event
from tests.machine.driver import (
    CONVERTER,
    Driver,
    W,
    at,
    catalog_of,
    check_replays,
    driven,
    start_request,
)

go = Signal("go", int)


@activity
async def charge(amount: int) -> int:
    return amount


@activity
async def ship(amount: int) -> int:
    return amount


async def after(seconds: float, value: str) -> str:
    await sleep(seconds)
    return value


async def fails(error: Exception) -> str:
    raise error


def test_the_first_outcome_in_history_wins_a_race() -> None:
    @workflow
    async def main() -> int:
        return await race(charge(1), ship(2))

    driver = Driver(main)
    driver.start()
    assert driver.complete("ship", 2)[1:]  # the other is asked to stop
    driver.cancel("charge")
    assert driver.result == 2
    check_replays(driver)


def test_a_race_waits_for_those_who_lose_it() -> None:
    log: list[str] = []

    async def loser() -> str:
        try:
            await sleep(100)
        finally:
            with CancelScope(shield=True):
                await sleep(5)
            log.append("cleaned up")
        return "never"

    async def main() -> None:
        log.append(await race(loser(), after(1, "won")))

    driven(main).fire_all()
    assert log == ["cleaned up", "won"]


def test_an_error_wins_a_race_as_it_is() -> None:
    log: list[str] = []

    async def main() -> None:
        with pytest.raises(KeyError):
            await race(after(1, "slow"), fails(KeyError()))
        log.append("caught")

    assert driven(main).result is None
    assert log == ["caught"]


def test_what_a_loser_of_a_race_still_returns_is_dropped() -> None:
    @workflow
    async def main() -> int:
        return await race(charge(1), ship(2))

    driver = Driver(main)
    driver.start()
    driver.complete("ship", 2)
    driver.complete("charge", 1)
    assert driver.result == 2


def test_what_a_loser_of_a_race_still_raises_is_dropped() -> None:
    @workflow
    async def main() -> int:
        return await race(charge(1), ship(2))

    driver = Driver(main)
    driver.start()
    driver.complete("ship", 2)
    driver.fail("charge")
    assert driver.result == 2


def test_of_two_outcomes_at_once_the_task_that_ended_first_wins() -> None:
    @workflow
    async def main() -> str:
        event = Event()

        async def waiter(name: str) -> str:
            await event.wait()
            return name

        async def set_it() -> str:
            event.set()
            await sleep(100)
            return "never"

        return await race(waiter("a"), waiter("b"), set_it())

    driver = Driver(main)
    driver.start()
    assert driver.result == "a"


def test_a_race_that_is_cancelled_has_no_winner() -> None:
    log: list[object] = []

    async def main() -> None:
        with move_on_after(1) as scope:
            log.append(await race(after(10, "a"), after(20, "b")))
        log.append(scope.cancelled_caught)

    driven(main).fire_all()
    assert log == [True]


def test_a_race_that_is_cancelled_once_it_is_won_is_cancelled() -> None:
    log: list[object] = []

    async def stubborn() -> str:
        with CancelScope(shield=True):
            await sleep(10)
        return "late"

    async def main() -> None:
        with move_on_after(5) as scope:
            log.append(await race(after(1, "won"), stubborn()))
            await checkpoint()
        log.append(scope.cancelled_caught)

    driven(main).fire_all()
    assert log == ["won", True]


def test_a_race_needs_somebody_who_runs() -> None:
    async def main() -> None:
        await race()

    assert "race takes at least one call" in driven(main).failure.message


@pytest.mark.parametrize("several", [race, gather])
def test_calls_that_are_refused_are_not_left_behind(several: Callable[..., Any]) -> None:
    async def main() -> None:
        await several(after(1, "a"), charge)

    # A coroutine that nobody awaits is a warning, and warnings are errors.
    assert "argument 1 is <activity 'charge'" in driven(main).failure.message


@pytest.mark.parametrize("several", [race, gather])
def test_what_was_cancelled_from_elsewhere_has_no_result(several: Callable[..., Any]) -> None:
    async def cancelled() -> None:
        raise Cancelled

    async def main() -> None:
        await several(cancelled())

    assert driven(main).failure.type == "Cancelled"


def test_a_map_gives_results_in_the_order_of_its_items() -> None:
    @workflow
    async def main() -> list[str]:
        return await map_(lambda seconds: after(seconds, f"{seconds}"), [3, 1, 2])

    driver = Driver(main)
    driver.start()
    driver.fire_all()
    assert driver.result == ["3", "1", "2"]


def test_a_map_runs_activities() -> None:
    @workflow
    async def main() -> list[int]:
        return await map_(charge, (1, 2))

    driver = Driver(main)
    driver.start()
    driver.complete("charge", 10)
    driver.complete("charge", 20)
    assert driver.result == [10, 20]
    check_replays(driver)


@pytest.mark.parametrize(("limit", "at_once"), [(None, 5), (1, 1), (2, 2), (5, 5), (9, 5)])
def test_a_map_runs_so_many_at_a_time(limit: int | None, at_once: int) -> None:
    @workflow
    async def main() -> list[int]:
        return await map_(charge, range(5), limit)

    driver = Driver(main)
    driver.start()
    most = 0
    while driver.run.is_open:
        most = max(most, len(driver.run.projection.activities))
        driver.complete("charge", 1)
    assert most == at_once


@pytest.mark.parametrize("limit", [None, 1, 2, 3])
def test_the_ids_in_a_map_are_those_of_its_items_whatever_its_limit(limit: int | None) -> None:
    @workflow
    async def main() -> list[int]:
        return await map_(charge, [7, 8, 9], limit=limit)

    driver = Driver(main)
    driver.start()
    seen: list[str] = []
    while driver.run.is_open:
        seen.append(driver.row("charge").activity_id)
        driver.complete("charge", 1)
    assert seen == ["activity:0/0", "activity:1/0", "activity:2/0"]


def test_a_failure_in_a_map_stops_the_rest() -> None:
    log: list[int] = []

    async def one(number: int) -> None:
        log.append(number)
        if number == 1:
            raise ValueError
        await sleep(10)

    async def main() -> None:
        await map_(one, range(9), limit=2)

    assert driven(main).failure.type == "ExceptionGroup"
    assert log == [0, 1]


def test_a_map_of_nothing_is_empty() -> None:
    @workflow
    async def main() -> list[int]:
        return await map_(charge, [])

    driver = Driver(main)
    driver.start()
    assert driver.result == []


def test_a_map_has_room_for_one_at_least() -> None:
    async def main() -> None:
        await map_(charge, [1], limit=0)

    assert "limit must be at least 1, not 0" in driven(main).failure.message


def test_wait_until_waits_for_what_another_task_does() -> None:
    @workflow
    async def main() -> list[int]:
        taken: list[int] = []

        async def taker() -> None:
            while True:
                taken.append(await go.receive())

        async with open_nursery() as nursery:
            nursery.start_soon(taker)
            await wait_until(lambda: len(taken) == 2)
            nursery.cancel_scope.cancel()
        return taken

    driver = Driver(main)
    driver.start()
    driver.signal("go", 1)
    assert driver.run.is_open
    driver.signal("go", 2)
    assert driver.result == [1, 2]
    check_replays(driver)


def test_a_condition_still_holds_when_its_waiter_goes_on() -> None:
    @workflow
    async def main() -> list[str]:
        tokens = 0
        log: list[str] = []

        async def taker(name: str) -> None:
            nonlocal tokens
            await wait_until(lambda: tokens > 0)
            tokens -= 1
            log.append(name)

        async with open_nursery() as nursery:
            nursery.start_soon(taker, "a")
            nursery.start_soon(taker, "b")
            await checkpoint()
            tokens = 1
            await sleep(1)
            log.append(f"{tokens}")
            tokens = 1
        return log

    driver = Driver(main)
    driver.start()
    driver.fire_all()
    assert driver.result == ["a", "0", "b"]


def test_conditions_are_looked_at_until_none_has_changed() -> None:
    @workflow
    async def main() -> list[int]:
        log: list[int] = []

        async def link(number: int) -> None:
            await wait_until(lambda: len(log) == number)
            log.append(number)

        async with open_nursery() as nursery:
            # The oldest waits for the youngest.
            for number in (4, 3, 2, 1):
                nursery.start_soon(link, number)
            await checkpoint()
            log.append(0)
        return log

    driver = Driver(main)
    driver.start()
    assert driver.result == [0, 1, 2, 3, 4]


def test_a_condition_that_holds_is_a_checkpoint_all_the_same() -> None:
    log: list[object] = []

    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            await wait_until(lambda: True)
        log.append(scope.cancelled_caught)

    driven(main)
    assert log == [True]


def test_waiting_for_a_condition_can_be_cancelled() -> None:
    log: list[object] = []

    async def main() -> None:
        with move_on_after(1) as scope:
            await wait_until(lambda: False)
        log.append(scope.cancelled_caught)

    driven(main).fire_all()
    assert log == [True]


def test_a_condition_that_fails_fails_its_waiter_alone() -> None:
    log: list[str] = []

    async def waits(predicate: Callable[[], object]) -> None:
        try:
            await wait_until(predicate)
        except ZeroDivisionError:
            log.append("failed")
        else:
            log.append("held")

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(waits, lambda: 1 / 0)
            nursery.start_soon(waits, lambda: True)

    assert driven(main).result is None
    assert log == ["failed", "held"]


def changes_an_event(event: Event) -> bool:
    event.set()
    return True


@pytest.mark.parametrize("asks", [lambda _: go.receive_nowait(), changes_an_event])
def test_a_condition_may_only_look(asks: Callable[[Event], object]) -> None:
    async def main() -> None:
        event = Event()
        await wait_until(lambda: asks(event))

    failure = driven(main).failure
    assert failure.type == "WorkflowUsageError"
    assert "a predicate of wait_until may change nothing" in failure.message


def test_a_condition_is_a_plain_function() -> None:
    async def main() -> None:
        await wait_until(checkpoint)

    assert "make it a plain function" in driven(main).failure.message


class Interrupted(BaseException):
    pass


def test_conditions_that_hold_without_end_can_be_stopped() -> None:
    turns = 0

    @workflow
    async def main() -> None:
        nonlocal turns
        while True:
            await wait_until(lambda: True)
            turns += 1

    def check() -> None:
        raise Interrupted

    run = Run(W, [], catalog_of(main), CONVERTER, lambda: nullcontext(check))
    with pytest.raises(Interrupted):
        run.step([start_request()], at(0))
    run.close()
    assert turns == 999


def test_waiting_for_a_condition_outside_of_a_workflow_is_an_error() -> None:
    with pytest.raises(NotInWorkflowError):
        wait_until(lambda: True).send(None)


def test_a_map_takes_no_call() -> None:
    async def main() -> None:
        await map_(charge(7), [1])  # type: ignore[arg-type]

    message = driven(main).failure.message
    assert message.startswith("map takes a function, not <coroutine object")
    assert message.endswith("write map(fetch, pages)")


def test_a_condition_that_was_worked_out_already_is_refused() -> None:
    async def main() -> None:
        await wait_until(1 > 2)  # type: ignore[arg-type]

    message = driven(main).failure.message
    assert message == "wait_until takes a function, not False; write wait_until(lambda: count > 3)"


def test_a_list_of_calls_to_race_is_refused_with_what_to_write() -> None:
    async def main() -> None:
        await race([charge])  # type: ignore[call-overload]

    assert "race(*calls)" in driven(main).failure.message


@pytest.mark.parametrize("together", [gather, race])
def test_calls_in_clean_up_of_what_is_thrown_away_leave_no_warning(
    together: Callable[..., Any],
) -> None:
    async def main() -> None:
        try:
            await go.receive()
        finally:
            await together(charge(1), ship(2))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        driven(main).run.close()
        gc.collect()
    assert said == []
