"""Signals in a workflow: in order, to the task that has waited longest, never lost."""

from aion_core.authoring.concurrency import race
from aion_core.authoring.signals import Signal, WouldBlock
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.workflows import workflow
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, driven, kinds

go = Signal("go", int)
other = Signal("other", int)


def test_a_signal_wakes_its_receiver() -> None:
    @workflow
    async def main() -> int:
        return await go.receive()

    driver = Driver(main)
    driver.start()
    assert kinds(driver.signal("go", 7)) == ["SignalReceived", "WorkflowCompleted"]
    assert driver.result == 7


def test_signals_of_another_name_wake_nobody() -> None:
    async def main() -> None:
        await go.receive()

    driver = driven(main)
    assert kinds(driver.signal("other", 7)) == ["SignalReceived"]


def test_signals_that_came_before_a_receive_wait_in_order() -> None:
    @workflow
    async def main() -> list[int]:
        await sleep(1)
        return [await go.receive() for _ in range(3)]

    driver = Driver(main)
    driver.start()
    for value in range(3):
        driver.signal("go", value)
    driver.fire()
    assert driver.result == [0, 1, 2]


def test_receivers_are_served_in_the_order_in_which_they_began_to_wait() -> None:
    log: list[str] = []

    async def receiver(name: str) -> None:
        log.append(f"{name}{await go.receive()}")

    async def main() -> None:
        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(receiver, name)

    driver = driven(main)
    driver.step(*(driver.signalled("go", value) for value in range(3)))
    assert log == ["a0", "b1", "c2"]


def test_a_receiver_that_timed_out_consumes_nothing() -> None:
    log: list[str] = []

    async def receiver(name: str, limit: float) -> None:
        with move_on_after(limit):
            log.append(f"{name}{await go.receive()}")

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(receiver, "first", 1)
            nursery.start_soon(receiver, "second", 9)

    driver = driven(main)
    driver.fire()
    driver.signal("go", 7)
    assert log == ["second7"]
    assert driver.result is None


def test_a_receive_cancelled_before_its_turn_leaves_the_signal_to_the_next() -> None:
    @workflow
    async def main() -> tuple[int, int]:
        await sleep(1)
        value = 0
        with CancelScope() as scope:
            async with open_nursery() as nursery:
                nursery.start_soon(cancel, scope)
                value = await go.receive()
        return value, await go.receive()

    async def cancel(scope: CancelScope) -> None:
        scope.cancel()

    driver = Driver(main)
    driver.start()
    driver.signal("go", 7)
    driver.fire()
    assert driver.result == (0, 7)


def test_of_two_receives_that_race_for_signals_in_hand_only_one_takes_its_own() -> None:
    @workflow
    async def main() -> tuple[int, int]:
        await sleep(1)
        first = await race(go.receive(), other.receive())
        return first, await other.receive()

    driver = Driver(main)
    driver.start()
    driver.signal("go", 7)
    driver.signal("other", 8)
    driver.fire()
    assert driver.result == (7, 8)


def test_a_cancelled_receive_leaves_the_waiting_signal_there() -> None:
    @workflow
    async def main() -> int:
        await sleep(1)
        with CancelScope() as scope:
            scope.cancel()
            await go.receive()
        return await go.receive()

    driver = Driver(main)
    driver.start()
    driver.signal("go", 7)
    driver.fire()
    assert driver.result == 7


def test_a_payload_that_does_not_fit_is_dropped_and_the_receiver_waits_on() -> None:
    @workflow
    async def main() -> int:
        return await go.receive()

    driver = Driver(main)
    driver.start()
    driver.signal("go", "seven")
    ((name, error),) = driver.run.take_dropped_signals()
    driver.signal("go", 7)
    assert (name, str(error)) == ("go", "$: expected int, got str")
    assert driver.result == 7


def test_a_waiting_payload_that_does_not_fit_is_dropped_at_the_receive() -> None:
    @workflow
    async def main() -> int:
        await sleep(1)
        return await go.receive()

    driver = Driver(main)
    driver.start()
    driver.signal("go", "six")
    driver.signal("go", 7)
    assert driver.run.take_dropped_signals() == []
    driver.fire()
    assert driver.result == 7
    assert [name for name, _ in driver.run.take_dropped_signals()] == ["go"]


def test_dropped_signals_are_told_once() -> None:
    async def main() -> None:
        await go.receive()

    driver = driven(main)
    driver.signal("go", "seven")
    driver.run.take_dropped_signals()
    assert driver.run.take_dropped_signals() == []


def test_signals_dropped_in_a_former_life_are_not_told_again() -> None:
    async def main() -> None:
        await go.receive()

    driver = driven(main)
    driver.signal("go", "seven")
    driver.reload()
    assert driver.run.take_dropped_signals() == []


def test_receive_nowait_takes_what_is_there() -> None:
    @workflow
    async def main() -> list[int]:
        await sleep(1)
        taken = []
        while True:
            try:
                taken.append(go.receive_nowait())
            except WouldBlock:
                return taken

    driver = Driver(main)
    driver.start()
    for value in (1, "two", 3):
        driver.signal("go", value)
    driver.fire()
    assert driver.result == [1, 3]


def test_iterating_receives_one_after_the_other() -> None:
    @workflow
    async def main() -> int:
        total = 0
        async for value in go:
            total += value
            if total > 10:
                break
        return total

    driver = Driver(main)
    driver.start()
    driver.step(*(driver.signalled("go", value) for value in (3, 4, 5)))
    assert driver.result == 12


def test_a_receive_lets_others_run_although_its_signal_is_there() -> None:
    log: list[str] = []

    async def neighbour() -> None:
        log.append("neighbour")

    async def main() -> None:
        await sleep(1)
        async with open_nursery() as nursery:
            nursery.start_soon(neighbour)
            await go.receive()
            log.append("received")

    driver = driven(main)
    driver.signal("go", 1)
    driver.fire()
    assert log == ["neighbour", "received"]


def test_a_sender_cancelled_after_it_has_sent_knows_that_it_has() -> None:
    sent: list[str] = []

    async def main() -> None:
        async def send() -> None:
            await go.send("other", 1)
            sent.append("other")

        async def stop() -> None:
            nursery.cancel_scope.cancel()

        async with open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(stop)

    assert kinds(driven(main).history)[1:] == ["SignalSent", "WorkflowCompleted"]
    assert sent == ["other"]
