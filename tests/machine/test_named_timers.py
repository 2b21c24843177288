"""Named timers: started, restarted, cancelled and waited for by any task of a run."""

from datetime import timedelta

import pytest

from aion_core import events as e
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import NamedTimer, move_on_after, start_timer
from aion_core.authoring.workflows import workflow
from aion_core.errors import InvalidIdError, NotInWorkflowError
from tests.machine.driver import Driver, at, check_replays, driven, kinds

go = Signal("go", int)


@workflow
async def reminding() -> str:
    timer = start_timer("reminder", 60)
    seen = [timer.is_running, timer.has_fired]
    fired = await timer.wait()
    return f"{seen} {fired} {timer.is_running} {timer.has_fired}"


@workflow
async def restarting() -> float:
    timer = start_timer("reminder", 60)
    await go.receive()
    start_timer("reminder", timedelta(seconds=100))
    assert await timer.wait()
    return 0


@workflow
async def stopping() -> bool:
    timer = start_timer("reminder", 60)

    async def stop() -> bool:
        await go.receive()
        return timer.cancel()

    stopped, fired = await gather(stop(), timer.wait())
    return stopped and not fired and not timer.has_fired


def begun(code: object) -> Driver:
    driver = Driver(code)  # type: ignore[arg-type]
    driver.start()
    return driver


def test_a_named_timer_fires_by_its_name() -> None:
    driver = begun(reminding)
    start = driver.history[1]
    assert isinstance(start, e.TimerStarted)
    assert (start.timer_id, start.fire_at) == ("timer:named:reminder", at(60))
    driver.fire()
    assert driver.result == "[True, False] True False True"
    check_replays(driver)


def test_a_timer_started_anew_fires_at_the_new_instant() -> None:
    driver = begun(restarting)
    driver.at = 50
    assert kinds(driver.signal("go", 1)) == ["SignalReceived", "TimerCancelled", "TimerStarted"]
    assert driver.timer().fire_at == at(150)
    driver.fire()
    assert driver.result == 0
    check_replays(driver)


def test_who_waits_for_a_timer_waits_on_when_it_is_started_anew() -> None:
    async def main() -> None:
        timer = start_timer("t", 60)

        async def restart() -> None:
            await go.receive()
            start_timer("t", 100)

        assert await gather(timer.wait(), restart()) == (True, None)

    driver = driven(main)
    driver.signal("go", 1)
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowCompleted"]
    check_replays(driver)


def test_a_late_fire_of_a_timer_that_was_started_anew_is_dropped() -> None:
    driver = begun(restarting)
    due = driver.due()
    driver.signal("go", 1)
    assert driver.step(due).events == []


def test_a_cancelled_timer_wakes_who_waits_for_it() -> None:
    driver = begun(stopping)
    assert kinds(driver.signal("go", 1)) == [
        "SignalReceived",
        "TimerCancelled",
        "WorkflowCompleted",
    ]
    assert driver.result is True
    check_replays(driver)


def test_a_timer_that_fired_can_be_waited_for_again() -> None:
    async def main() -> None:
        timer = start_timer("t", 1)
        assert (await timer.wait(), await timer.wait()) == (True, True)
        assert not timer.cancel()

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowCompleted"]
    check_replays(driver)


def test_a_timer_that_was_cancelled_cannot_be_waited_for() -> None:
    async def main() -> None:
        timer = start_timer("t", 1)
        await go.receive()
        timer.cancel()
        await timer.wait()

    driver = driven(main)
    driver.signal("go", 1)
    assert driver.failure.type == "WorkflowUsageError"
    assert "start it before you wait for it" in driver.failure.message


def test_two_tasks_may_wait_for_one_timer() -> None:
    async def main() -> None:
        timer = start_timer("t", 1)
        assert await gather(timer.wait(), timer.wait()) == (True, True)

    driver = driven(main)
    driver.fire()
    assert kinds(driver.history)[-1] == "WorkflowCompleted"
    check_replays(driver)


def test_a_cancelled_wait_leaves_the_timer_running() -> None:
    async def main() -> None:
        timer = start_timer("t", 60)
        with move_on_after(10) as scope:
            await timer.wait()
        assert scope.cancelled_caught
        assert timer.is_running
        assert await timer.wait()

    driver = driven(main)
    assert kinds(driver.fire()) == ["TimerFired"]
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowCompleted"]
    check_replays(driver)


def test_a_timer_of_no_time_has_fired_at_once_without_a_trace() -> None:
    async def main() -> None:
        timer = start_timer("t", 0)
        assert (timer.is_running, timer.has_fired, await timer.wait()) == (False, True, True)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_a_timer_started_and_cancelled_in_one_activation_leaves_no_trace() -> None:
    async def main() -> None:
        assert start_timer("t", 5).cancel()

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_timers_of_a_name_are_one_in_their_run() -> None:
    async def main() -> None:
        first, second = start_timer("t", 5), start_timer("t", 9)
        first.cancel()
        assert not second.is_running

    assert kinds(driven(main).history)[-1] == "WorkflowCompleted"


def test_a_name_or_a_time_that_cannot_be_one_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(InvalidIdError):
            start_timer("", 1)
        with pytest.raises(InvalidIdError, match="the engine's own"):
            start_timer("aion.timeout", 1)
        with pytest.raises(ValueError, match="between 0 seconds"):
            start_timer("t", -1)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_a_timer_is_started_in_a_workflow() -> None:
    with pytest.raises(NotInWorkflowError):
        start_timer("t", 1)


def test_a_timer_is_of_one_run() -> None:
    kept: list[NamedTimer] = []

    async def keeping() -> None:
        kept.append(start_timer("t", 60))
        await go.receive()

    async def using() -> None:
        kept[0].cancel()

    driven(keeping)
    assert "belongs to workflow 'w' (run run)" in driven(using).failure.message
