"""Time in workflows: sleeps and deadlines are durable timers, and leave no more than they must."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from aion_core import events as e
from aion_core.authoring.activities import activity
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import fail_after, move_on_after, now, sleep, sleep_until
from aion_core.authoring.workflows import workflow
from aion_core.errors import HistoryShapeError
from aion_core.ids import TimerId
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, at, driven, kinds

go = Signal("go", int)
EAST = timezone(timedelta(hours=2))


@activity
async def charge() -> None: ...


def timers(driver: Driver) -> dict[str, float]:
    """The open timers and when they are due, in seconds."""
    return {
        row.timer_id: (row.fire_at - at(0)).total_seconds()
        for row in driver.run.projection.timers.values()
    }


def test_a_sleep_is_a_timer() -> None:
    async def main() -> None:
        await sleep(5)

    driver = driven(main)
    assert timers(driver) == {"timer:0": 5}
    driver.fire()
    assert kinds(driver.history) == [
        "WorkflowStarted",
        "TimerStarted",
        "TimerFired",
        "WorkflowCompleted",
    ]


def test_a_sleep_counts_from_the_arrival_that_it_reacts_to() -> None:
    async def main() -> None:
        await go.receive()
        await sleep(5)

    driver = driven(main)
    driver.at = 60
    driver.signal("go", 1)
    assert timers(driver) == {"timer:0": 65}


def test_now_is_when_the_arrival_was_recorded() -> None:
    seen: list[datetime] = []

    async def main() -> None:
        seen.append(now())
        await sleep(5)
        seen.append(now())

    driven(main).fire()
    assert seen == [at(0), at(5)]


def test_now_advances_in_a_loop_of_timed_waits() -> None:
    @workflow
    async def main() -> int:
        deadline, rounds = now() + timedelta(seconds=10), 0
        while now() < deadline:
            with move_on_after(3):
                await go.receive()
            rounds += 1
        return rounds

    driver = Driver(main)
    driver.start()
    driver.fire_all()
    assert driver.result == 4


@pytest.mark.parametrize("instant", [at(0), at(-5)], ids=["now", "past"])
def test_sleeping_until_an_instant_that_has_come_starts_no_timer(instant: datetime) -> None:
    async def main() -> None:
        await sleep_until(instant)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_a_sleep_of_no_time_starts_no_timer_but_counts() -> None:
    async def main() -> None:
        await sleep(0)
        await sleep(1)

    assert timers(driven(main)) == {"timer:1": 1}


def test_a_sleep_of_no_time_lets_others_run() -> None:
    log: list[str] = []

    async def other() -> None:
        log.append("other")

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(other)
            await sleep(0)
            log.append("main")

    driven(main)
    assert log == ["other", "main"]


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_sleep_is_neither_negative_nor_endless(duration: Any) -> None:
    async def main() -> None:
        await sleep(duration)

    assert driven(main).failure.type == "ValueError"


@pytest.mark.parametrize("duration", [-1, float("nan")])
def test_a_deadline_is_no_negative_time_away(duration: float) -> None:
    with pytest.raises(ValueError, match="between 0 seconds"):
        move_on_after(duration)


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = datetime(2024, 1, 1)  # noqa: DTZ001

    async def main() -> None:
        await sleep_until(naive)

    assert "give it a time zone" in driven(main).failure.message
    with pytest.raises(ValueError, match="give it a time zone"):
        CancelScope(deadline=naive)


def test_a_deadline_is_given_one_way_or_the_other() -> None:
    with pytest.raises(ValueError, match="not both"):
        CancelScope(deadline=at(1), relative_deadline=1)


def test_timers_are_recorded_in_utc_so_that_now_stays_utc() -> None:
    seen: list[datetime] = []

    async def main() -> None:
        await sleep_until(at(5).astimezone(EAST))
        seen.append(now())
        with CancelScope(deadline=at(9).astimezone(EAST)):
            await go.receive()
        seen.append(now())

    driver = driven(main)
    while driver.run.is_open:
        driver.step(driver.due())  # before its time, so that it is recorded at that
    assert [instant.isoformat() for instant in seen] == [at(5).isoformat(), at(9).isoformat()]
    assert all(event.recorded_at.tzinfo is UTC for event in driver.history)


def test_a_scope_without_a_deadline_starts_no_timer() -> None:
    async def main() -> None:
        with CancelScope():
            await go.receive()

    assert timers(driven(main)) == {}


def test_leaving_a_scope_cancels_its_timer() -> None:
    async def main() -> None:
        with move_on_after(10):
            await go.receive()
        await go.receive()

    driver = driven(main)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "TimerCancelled"]


def test_a_timer_started_and_cancelled_in_one_activation_leaves_no_event_but_counts() -> None:
    async def main() -> None:
        with move_on_after(10):
            await checkpoint()
        await sleep(1)

    driver = driven(main)
    assert kinds(driver.history) == ["WorkflowStarted", "TimerStarted"]
    assert timers(driver) == {"timer:1": 1}


def test_a_timer_started_and_cancelled_beside_others_takes_only_itself_away() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 1)
            await checkpoint()
            with move_on_after(10):
                await checkpoint()
            nursery.start_soon(sleep, 2)

    assert timers(driven(main)) == {"timer:0/0": 1, "timer:1/0": 2}


def test_a_timer_cancelled_in_a_later_activation_leaves_both_events() -> None:
    async def main() -> None:
        with move_on_after(10):
            await go.receive()

    driver = driven(main)
    driver.signal("go", 1)
    assert kinds(driver.history) == [
        "WorkflowStarted",
        "TimerStarted",
        "SignalReceived",
        "TimerCancelled",
        "WorkflowCompleted",
    ]


def test_a_sleep_that_is_cancelled_cancels_its_timer() -> None:
    async def main() -> None:
        with move_on_after(1):
            await sleep(10)
        await go.receive()

    driver = driven(main)
    driver.fire()
    assert timers(driver) == {}


def test_moving_a_deadline_cancels_its_timer_and_starts_another() -> None:
    async def main() -> None:
        with move_on_after(10) as scope:
            await go.receive()
            scope.deadline = at(20)
            await go.receive()

    driver = driven(main)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "TimerCancelled", "TimerStarted"]
    assert timers(driver) == {"timer:1": 20}


def test_moving_a_deadline_within_one_activation_leaves_the_last_timer_only() -> None:
    async def main() -> None:
        with move_on_after(10) as scope:
            scope.deadline = at(20)
            await go.receive()

    driver = driven(main)
    assert kinds(driver.history) == ["WorkflowStarted", "TimerStarted"]
    assert timers(driver) == {"timer:1": 20}


def test_taking_a_deadline_away_cancels_its_timer() -> None:
    async def main() -> None:
        with move_on_after(10) as scope:
            await go.receive()
            scope.deadline = None
            await go.receive()

    driver = driven(main)
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "TimerCancelled"]


def test_moving_a_deadline_to_the_past_cancels_at_the_next_checkpoint() -> None:
    @workflow
    async def main() -> list[str]:
        log = []
        with move_on_after(10) as scope:
            scope.deadline = at(-1)
            log.append("still running")
            await checkpoint()
            log.append("never")
        return [*log, str(scope.cancelled_caught)]

    driver = Driver(main)
    driver.start()
    assert driver.result == ["still running", "True"]


def test_a_deadline_set_before_entering_replaces_the_relative_one() -> None:
    async def main() -> None:
        scope = move_on_after(10)
        scope.deadline = at(20)
        with scope:
            await go.receive()

    assert timers(driven(main)) == {"timer:0": 20}


def test_a_relative_deadline_counts_from_entering() -> None:
    async def main() -> None:
        scope = move_on_after(10)
        await sleep(5)
        with scope:
            await go.receive()

    driver = driven(main)
    driver.fire()
    assert timers(driver) == {"timer:1": 15}


def test_a_deadline_that_has_passed_starts_no_timer_and_stops_the_first_checkpoint() -> None:
    @workflow
    async def main() -> bool:
        with CancelScope(deadline=at(-1)) as scope:
            await charge()
        return scope.cancelled_caught

    driver = Driver(main)
    driver.start()
    assert kinds(driver.history) == ["WorkflowStarted", "WorkflowCompleted"]
    assert driver.result is True


def test_a_scope_that_was_cancelled_starts_no_timer_any_more() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            scope.cancel()
            scope.deadline = at(10)
            with CancelScope(shield=True):
                await go.receive()

    assert timers(driven(main)) == {}


def test_the_time_limit_is_named_by_the_error() -> None:
    async def main() -> None:
        with fail_after(timedelta(minutes=1)):
            await go.receive()

    driver = driven(main)
    driver.fire()
    assert (driver.failure.type, driver.failure.message) == ("TooSlowError", "not done within 60 s")


def test_timers_of_a_task_stand_under_its_path() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 1)
            nursery.start_soon(sleep, 2)
            with move_on_after(3):
                await sleep(4)

    assert timers(driven(main)) == {"timer:0": 3, "timer:1": 4, "timer:0/0": 1, "timer:1/0": 2}


def test_a_timer_that_the_code_does_not_know_is_no_history() -> None:
    async def main() -> None:
        await go.receive()

    driver = driven(main)
    fired = e.TimerFired(
        seq=2,
        recorded_at=at(1),
        workflow_id=driver.run.workflow_id,
        timer_id=TimerId("timer:0"),
        started_seq=1,
    )
    with pytest.raises(HistoryShapeError, match="timer:0 has fired, but the code waits for none"):
        Driver(driver.code, [*driver.history, fired])
