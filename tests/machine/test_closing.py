"""The end of a run: what its code leaves behind is cancelled, waited for, and finished in order."""

import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import AsyncGeneratorType

import pytest

from aion_core.authoring.activities import activity
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import move_on_after, sleep
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import workflow
from aion_core.errors import WorkflowUsageError
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, check_replays, driven, kinds

go = Signal("go", int)
work = Update("work", int, int)


@activity
async def charge(amount: int) -> int:
    return amount


async def held_open(log: list[str], seconds: float) -> AsyncIterator[None]:
    """A generator that holds a nursery open with a task that ends only after a while."""

    async def child() -> None:
        try:
            await sleep(100)
        finally:
            with CancelScope(shield=True):
                await sleep(seconds)
            log.append("child ended")

    async with open_nursery() as nursery:
        nursery.start_soon(child)
        await checkpoint()
        yield
    log.append("never")


def test_a_run_waits_for_tasks_that_a_generator_holds_open() -> None:
    log: list[str] = []
    kept: list[AsyncIterator[None]] = []

    async def main() -> None:
        kept.append(held_open(log, 5))
        await anext(kept[0])
        log.append("main ended")

    driver = driven(main)
    assert (log, driver.run.is_open) == (["main ended"], True)
    driver.fire_all()
    assert log == ["main ended", "child ended"]
    assert kinds(driver.history)[-1] == "WorkflowCompleted"


def test_a_scope_reaches_tasks_that_a_generator_of_an_ended_task_holds_open() -> None:
    log: list[str] = []
    kept: list[AsyncIterator[None]] = []

    async def leaves() -> None:
        kept.append(held_open(log, 1))
        await anext(kept[0])

    async def main() -> None:
        with move_on_after(5):
            async with open_nursery() as nursery:
                nursery.start_soon(leaves)
                await sleep(100)
        await sleep(10)
        log.append("main ended")

    driven(main).fire_all()
    assert log == ["child ended", "main ended"]


def test_handlers_are_cancelled_and_waited_for_when_the_code_has_ended() -> None:
    log: list[str] = []

    @workflow
    async def main() -> str:
        async def handle(amount: int) -> int:
            try:
                return await charge(amount)
            finally:
                log.append("handler ended")

        work.handle(handle)
        await go.receive()
        log.append("main ended")
        return "the result"

    driver = Driver(main)
    driver.start()
    driver.update("work", 1)
    driver.signal("go", 1)
    assert (log, driver.run.is_open) == (["main ended"], True)
    driver.cancel("charge")
    assert log == ["main ended", "handler ended"]
    assert driver.result == "the result"
    check_replays(driver)


def test_a_handler_that_fails_fails_nothing_else() -> None:
    @workflow
    async def main() -> str:
        async def handle(amount: int) -> int:
            raise ValueError

        work.handle(handle)
        await go.receive()
        return "the result"

    driver = Driver(main)
    driver.start()
    assert kinds(driver.update("work", 1)) == ["UpdateAccepted", "UpdateFailed"]
    driver.signal("go", 1)
    assert driver.result == "the result"


async def numbers(log: list[str], name: str = "cleaned up") -> AsyncGenerator[int, None]:
    try:
        yield 1
        yield 2
    finally:
        log.append(name)


def test_an_abandoned_generator_is_not_finished_by_the_garbage_collector() -> None:
    log: list[str] = []

    async def main() -> None:
        async for _ in numbers(log):
            break
        gc.collect()
        log.append("collected")
        await go.receive()
        log.append("main ended")

    driver = driven(main)
    gc.collect()
    assert log == ["collected"]
    driver.signal("go", 1)
    assert log == ["collected", "main ended", "cleaned up"]


def test_abandoned_generators_are_finished_from_the_newest_to_the_oldest() -> None:
    log: list[str] = []

    async def main() -> None:
        for name in "abc":
            await anext(numbers(log, name))

    driven(main)
    assert log == ["c", "b", "a"]


def test_generators_are_finished_after_all_tasks() -> None:
    log: list[str] = []
    kept: list[AsyncIterator[None]] = []

    async def main() -> None:
        kept.append(held_open(log, 5))
        await anext(kept[0])
        await anext(numbers(log, "generator finished"))

    driven(main).fire_all()
    assert log == ["child ended", "generator finished"]


def test_clean_up_of_a_generator_may_run_an_activity_behind_a_shield() -> None:
    async def pays_back() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            with CancelScope(shield=True):
                await charge(7)

    @workflow
    async def main() -> str:
        await anext(pays_back())
        return "the result"

    driver = Driver(main)
    driver.start()
    assert driver.row("charge").activity_id == "activity:g0/0"
    driver.complete("charge", 7)
    assert driver.result == "the result"
    check_replays(driver)


def test_clean_up_of_a_generator_may_leave_generators_itself() -> None:
    log: list[str] = []

    async def outer() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await anext(numbers(log, "inner"))
            log.append("outer")

    async def main() -> None:
        await anext(outer())

    driven(main)
    assert log == ["outer", "inner"]


def test_a_generator_that_fails_when_it_is_finished_is_told_of_and_no_more() -> None:
    async def fails() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            raise ValueError("in the clean-up")

    async def main() -> None:
        await anext(fails())

    driver = driven(main)
    assert driver.result is None
    ((_, line),) = driver.run.take_log_lines()
    assert "fails' was left unfinished" in line.message
    assert "ValueError: in the clean-up" in str(line.error)


def test_a_generator_that_was_only_cancelled_is_not_told_of() -> None:
    async def waits() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            async with open_nursery() as nursery:
                nursery.start_soon(sleep, 1)

    async def main() -> None:
        await anext(waits())

    assert driven(main).run.take_log_lines() == []


def test_a_scope_in_an_abandoned_generator_is_left_when_that_is_finished() -> None:
    log: list[str] = []

    async def limited() -> AsyncGenerator[int, None]:
        with CancelScope(relative_deadline=100):
            try:
                yield 1
            finally:
                log.append("cleaned up")

    async def main() -> None:
        await anext(limited())

    driver = driven(main)
    assert driver.run.take_log_lines() == []
    assert log == ["cleaned up"]
    assert kinds(driver.history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_code_after_a_closed_generator_is_in_the_scope_it_was_in() -> None:
    @workflow
    async def main() -> str:
        async def limited() -> AsyncGenerator[int, None]:
            with CancelScope():
                async with open_nursery() as nursery:
                    nursery.start_soon(sleep, 50)
                    yield 1

        async with aclosing(limited()) as each:
            async for _ in each:
                break
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 1)
        return "goes on"

    driver = Driver(main)
    driver.start()
    driver.fire_all()
    assert driver.result == "goes on"


def test_throwing_a_run_away_finishes_its_generators() -> None:
    log: list[str] = []

    async def main() -> None:
        for name in "ab":
            await anext(numbers(log, name))
        await go.receive()

    driver = driven(main)
    driver.run.close()
    assert log == ["b", "a"]


def test_clean_up_of_generators_that_are_thrown_away_asks_for_nothing() -> None:
    log: list[str] = []

    async def stubborn() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            try:
                await charge(1)
            finally:
                try:
                    await checkpoint()
                finally:
                    log.append("given up")

    async def main() -> None:
        await anext(stubborn())
        await go.receive()

    driver = driven(main)
    driver.run.close()
    gc.collect()  # a generator that ignored its end would be reported now
    assert log == ["given up"]
    assert not driver.run.projection.activities


def test_generators_that_are_finished_are_forgotten() -> None:
    kept: list[int] = []

    async def one() -> AsyncGenerator[int, None]:
        yield 1

    async def main() -> None:
        for _ in range(1_000):
            async for _ in one():
                pass
        gc.collect()
        found = [each for each in gc.get_objects() if isinstance(each, AsyncGeneratorType)]
        kept.append(sum(each.__name__ == "one" for each in found))

    driven(main)
    assert kept[0] < 100


def test_a_nursery_left_by_another_task_wakes_that_one() -> None:
    """A generator is iterated by one task, and closed by another while its nursery has tasks."""

    async def main() -> int:
        async def child() -> None:
            with CancelScope(shield=True):
                await sleep(1)

        async def generate() -> AsyncGenerator[int, None]:
            async with open_nursery() as nursery:
                nursery.start_soon(child)
                yield 1

        async def close() -> None:
            with pytest.raises(WorkflowUsageError, match="reverse order"):
                await generator.aclose()

        generator = generate()
        await anext(generator)
        async with open_nursery() as nursery:
            nursery.start_soon(close)
            with CancelScope(shield=True):
                await charge(5)
        return 5

    driver = Driver(workflow(main))
    driver.start()
    driver.fire()
    assert driver.run.is_open
    driver.complete("charge", 5)
    assert driver.run.terminal is not None
    check_replays(driver)


def test_a_task_that_a_generator_starts_when_the_run_finishes_it_is_waited_for() -> None:
    async def main() -> int:
        async def child() -> None:
            with CancelScope(shield=True):
                await sleep(1)

        async def generate() -> AsyncGenerator[int, None]:
            async with open_nursery() as nursery:
                try:
                    yield 1
                finally:
                    nursery.start_soon(child)

        async for value in generate():
            return value
        return 0

    driver = Driver(workflow(main))
    assert kinds(driver.start()) == ["WorkflowStarted", "TimerStarted"]
    assert kinds(driver.fire()) == ["TimerFired", "WorkflowCompleted"]
    assert driver.result == 1
    check_replays(driver)
