"""The kernel: order, paths, errors, and code that is thrown away."""

import asyncio
import contextvars
import gc
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any

import pytest

from aion_core.authoring.activities import activity
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal
from aion_core.authoring.timing import now, sleep
from aion_core.authoring.workflows import workflow
from aion_core.errors import Cancelled, NotInWorkflowError, WorkflowUsageError
from aion_core.machine.kernel import checkpoint, current_task, current_task_or_none, suspend
from aion_core.machine.nursery import Nursery, open_nursery
from aion_core.machine.scopes import CancelScope
from tests.machine.driver import Driver, driven

go = Signal("go", int)


@activity
async def charge(amount: int) -> int:
    return amount


async def paths(log: list[str]) -> None:
    log.append(current_task().path)


def test_runnable_tasks_go_first_in_first_out() -> None:
    log: list[str] = []

    async def task(name: str) -> None:
        for turn in range(3):
            log.append(f"{name}{turn}")
            await checkpoint()

    async def main() -> None:
        async with open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(task, name)
            log.append("body")

    driven(main)
    assert log == ["body", "a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_tasks_woken_by_one_cancellation_go_in_order_of_their_start() -> None:
    log: list[str] = []

    async def task(name: str) -> None:
        try:
            await sleep(10)
        finally:
            log.append(name)

    async def main() -> None:
        async with open_nursery() as nursery:
            for name in "abcdefgh":
                nursery.start_soon(task, name)
            await checkpoint()
            await checkpoint()
            nursery.cancel_scope.cancel()

    driven(main)
    assert log == list("abcdefgh")


def test_the_path_of_a_task_follows_from_who_started_it_and_not_from_the_nursery() -> None:
    log: list[str] = []

    async def starter(nursery: Nursery) -> None:
        await paths(log)
        nursery.start_soon(paths, log)
        nursery.start_soon(paths, log)

    async def main() -> None:
        await paths(log)
        async with open_nursery() as outer, open_nursery() as inner:
            outer.start_soon(paths, log)
            inner.start_soon(starter, outer)
            outer.start_soon(paths, log)

    driven(main)
    assert log == ["", "0", "1", "2", "1/0", "1/1"]


def test_starts_are_counted_over_all_nurseries_of_a_task() -> None:
    log: list[str] = []

    async def main() -> None:
        for _ in range(2):
            async with open_nursery() as nursery:
                nursery.start_soon(paths, log)

    driven(main)
    assert log == ["0", "1"]


def test_gather_starts_one_task_for_each_argument() -> None:
    log: list[str] = []

    async def main() -> None:
        await gather(paths(log), paths(log))
        await gather(paths(log))

    driven(main)
    assert log == ["0", "1", "2"]


def test_gather_gives_results_in_the_order_of_its_arguments() -> None:
    @workflow
    async def main() -> list[int]:
        return list(await gather(*(charge.options(key=str(n))(n) for n in range(3))))

    driver = Driver(main)
    driver.start()
    for key in (2, 0, 1):
        rows = driver.run.projection.activities.values()
        row = next(row for row in rows if row.activity_id == f"activity:key:{key}")
        driver.step(driver.outcome(row, driver.completed("charge", 10 * key).outcome))
    assert driver.result == [0, 10, 20]


def test_gather_of_nothing_is_empty() -> None:
    @workflow
    async def main() -> list[int]:
        return list(await gather())

    driver = Driver(main)
    driver.start()
    assert driver.result == []


def test_gather_takes_calls_only() -> None:
    async def main() -> None:
        await gather(charge)  # type: ignore[call-overload]

    assert "argument 0 is <activity 'charge'" in driven(main).failure.message


def test_start_soon_takes_async_functions_only() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(len, "abc")  # type: ignore[arg-type]

    (error,) = driven(main).failure.members
    assert "start_soon takes an async function or an activity" in error.message


def test_start_soon_takes_no_call() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(charge(7))  # type: ignore[arg-type]

    (error,) = driven(main).failure.members
    assert error.message.startswith("start_soon takes a function, not <coroutine object")
    assert error.message.endswith("write start_soon(charge, order)")


def test_start_soon_runs_an_activity() -> None:
    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(charge, 7)

    assert [row.activity_id for row in driven(main).run.projection.activities.values()] == [
        "activity:0/0"
    ]


def test_start_soon_runs_any_awaitable() -> None:
    class Later:
        def __await__(self) -> Generator[Any, Any, None]:
            return sleep(5).__await__()

    async def main() -> None:
        async with open_nursery() as nursery:
            nursery.start_soon(Later)

    driver = driven(main)
    driver.fire()
    assert driver.result is None


def test_no_task_is_started_between_the_end_of_the_last_and_the_end_of_the_block() -> None:
    log: list[str] = []

    async def outsider(holder: list[Nursery]) -> None:
        await checkpoint()
        await checkpoint()
        try:
            holder[0].start_soon(sleep, 100)
        except WorkflowUsageError as error:
            log.append(str(error))

    async def main() -> None:
        holder: list[Nursery] = []
        async with open_nursery() as outer:
            outer.start_soon(outsider, holder)
            async with open_nursery() as inner:
                holder.append(inner)
                inner.start_soon(checkpoint)
            log.append("left")

    driven(main)
    assert log == ["this nursery is closed; start tasks inside its block", "left"]


def test_a_nursery_without_tasks_is_closed_before_others_run() -> None:
    log: list[str] = []

    async def outsider(holder: list[Nursery]) -> None:
        try:
            holder[0].start_soon(sleep, 100)
        except WorkflowUsageError:
            log.append("refused")

    async def main() -> None:
        holder: list[Nursery] = []
        async with open_nursery() as outer:
            outer.start_soon(outsider, holder)
            async with open_nursery() as inner:
                holder.append(inner)

    driven(main)
    assert log == ["refused"]


def test_a_nursery_of_another_run_is_refused() -> None:
    shared: list[Nursery] = []

    async def first() -> None:
        async with open_nursery() as nursery:
            shared.append(nursery)
            await sleep(1)

    async def second() -> None:
        shared[0].start_soon(sleep, 1)

    driven(first)
    assert "this nursery belongs to workflow 'w' (run run)" in driven(second).failure.message


class Foreign:
    def __await__(self) -> Generator[object, Any, None]:
        yield "something else"


@pytest.mark.parametrize(
    ("awaited", "name"),
    [
        (Foreign, "builtins.str"),
        (lambda: asyncio.sleep(0), "builtins.NoneType"),
    ],
)
def test_a_foreign_awaitable_gets_an_error_that_says_what_to_await(
    awaited: Callable[[], Awaitable[None]], name: str
) -> None:
    async def main() -> None:
        await awaited()

    failure = driven(main).failure
    assert failure.type == "WorkflowUsageError"
    assert f"it yielded {name}" in failure.message
    assert "sleep, open_nursery, Signal.receive" in failure.message


def test_a_workflow_may_catch_the_error_of_a_foreign_awaitable_and_go_on() -> None:
    async def main() -> None:
        with pytest.raises(WorkflowUsageError):
            await Foreign()
        await sleep(1)

    driver = driven(main)
    driver.fire()
    assert driver.result is None


async def interrupted(signal: type[BaseException]) -> None:
    raise signal


async def interrupted_in_a_task(signal: type[BaseException]) -> None:
    async with open_nursery() as nursery:
        nursery.start_soon(sleep, 10)
        nursery.start_soon(interrupted, signal)


async def interrupted_in_the_body_of_a_nursery(signal: type[BaseException]) -> None:
    with CancelScope():
        async with open_nursery() as nursery:
            nursery.start_soon(sleep, 10)
            await checkpoint()
            raise signal


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    "fn", [interrupted, interrupted_in_a_task, interrupted_in_the_body_of_a_nursery]
)
def test_what_is_meant_for_the_host_leaves_the_kernel(
    fn: Callable[[type[BaseException]], Awaitable[None]], signal: type[BaseException]
) -> None:
    with pytest.raises(signal):
        driven(lambda: fn(signal))


def test_a_run_can_be_closed_after_an_interrupt() -> None:
    log: list[str] = []

    @workflow
    async def main() -> None:
        try:
            async with open_nursery() as nursery:
                nursery.start_soon(sleep, 10)
                await go.receive()
                nursery.start_soon(interrupted, KeyboardInterrupt)
                await go.receive()
        finally:
            log.append("closed")

    driver = Driver(main)
    driver.start()
    with pytest.raises(KeyboardInterrupt):
        driver.signal("go", 1)
    driver.run.close()
    assert log == ["closed"]


def test_nothing_parks_in_a_cancelled_scope() -> None:
    @workflow
    async def main() -> bool:
        with CancelScope() as scope:
            scope.cancel()
            await suspend(lambda: True)
        return scope.cancelled_caught

    driver = Driver(main)
    driver.start()
    assert driver.result is True


def test_closing_runs_cleanup() -> None:
    log: list[str] = []

    async def child(name: str) -> None:
        try:
            await sleep(10)
        finally:
            log.append(name)

    async def main() -> None:
        try:
            async with open_nursery() as nursery:
                nursery.start_soon(child, "first")
                nursery.start_soon(child, "second")
        finally:
            log.append("root")

    driven(main).run.close()
    assert log == ["second", "first", "root"]


def test_closing_runs_the_clean_up_of_inner_coroutines_that_await() -> None:
    log: list[str] = []

    async def inner() -> None:
        try:
            await sleep(10)
        finally:
            try:
                await checkpoint()
            finally:
                log.append("inner")

    async def outer() -> None:
        try:
            await inner()
        finally:
            log.append("outer")

    async def main() -> None:
        await outer()

    driven(main).run.close()
    assert log == ["inner", "outer"]


def test_closing_leaves_no_warning_whatever_cleanup_does() -> None:
    log: list[str] = []

    async def awaits_again_and_again() -> None:
        try:
            try:
                await sleep(10)
            finally:
                await charge(1)
        finally:
            try:
                await sleep(1)
            finally:
                await charge(2)

    async def fails() -> None:
        try:
            await charge(1)
        finally:
            raise ValueError

    async def is_cancelled() -> None:
        with CancelScope() as scope:
            scope.cancel()
            try:
                await charge(1)
            except Cancelled:
                await checkpoint()

    async def opens_more() -> None:
        try:
            await go.receive()
        finally:
            async with open_nursery() as nursery:
                nursery.start_soon(charge, 3)

    async def main() -> None:
        async with open_nursery() as nursery:
            for fn in (awaits_again_and_again, fails, is_cancelled, opens_more):
                nursery.start_soon(fn)
            await gather(charge(1), sleep(10))
        log.append("never")

    driven(main).run.close()
    gc.collect()  # a coroutine that ignored its end would be reported now, and warnings are errors
    assert log == []


def test_cleanup_that_finds_itself_cancelled_does_not_reach_the_host() -> None:
    async def main() -> None:
        with CancelScope() as scope:
            try:
                async with open_nursery() as nursery:
                    nursery.start_soon(charge, 1)
                    await checkpoint()
                    scope.cancel()
            finally:
                await sleep(1)

    driver = driven(main)
    assert driver.run.is_open
    driver.run.close()


def test_code_that_is_thrown_away_asks_for_nothing() -> None:
    async def main() -> None:
        try:
            await sleep(10)
        finally:
            await charge(1)

    driver = driven(main)
    driver.run.close()
    assert [row.fire_at for row in driver.run.projection.timers.values()]
    assert not driver.run.projection.activities


def test_closing_twice_is_harmless() -> None:
    async def main() -> None:
        await sleep(10)

    driver = driven(main)
    driver.run.close()
    driver.run.close()


def test_a_task_left_behind_by_a_generator_does_nothing_after_the_end() -> None:
    async def held_open() -> AsyncIterator[None]:
        async with open_nursery() as nursery:
            nursery.start_soon(charge_later)
            yield

    async def charge_later() -> None:
        await checkpoint()
        await charge(1)

    kept: list[AsyncIterator[None]] = []

    async def main() -> None:
        kept.append(held_open())
        await anext(kept[0])

    driver = driven(main)
    assert [type(event).__name__ for event in driver.history] == [
        "WorkflowStarted",
        "WorkflowCompleted",
    ]
    driver.run.close()


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_a_run_starts_with_no_context_variables_of_its_host() -> None:
    log: list[str] = []

    async def main() -> None:
        log.append(variable.get())

    variable.set("of the host")
    driven(main)
    assert log == ["unset"]


def test_a_run_leaves_no_context_variables_in_its_host() -> None:
    async def main() -> None:
        variable.set("of the run")

    contextvars.Context().run(driven, main)
    variable.set("of the host")
    driven(main)
    assert variable.get() == "of the host"


def test_runs_do_not_see_each_others_context_variables() -> None:
    log: list[str] = []

    async def main() -> None:
        log.append(variable.get())
        variable.set("of a run")
        await go.receive()
        log.append(variable.get())

    first = driven(main)
    driven(main)
    first.signal("go", 1)
    assert log == ["unset", "unset", "of a run"]


def test_a_task_inherits_context_variables_and_keeps_its_own() -> None:
    log: list[str] = []

    async def child() -> None:
        log.append(variable.get())
        variable.set("of the child")

    async def main() -> None:
        variable.set("of the parent")
        async with open_nursery() as nursery:
            nursery.start_soon(child)
        log.append(variable.get())

    driven(main)
    assert log == ["of the parent", "of the parent"]


def test_no_task_is_current_between_activations() -> None:
    async def main() -> None:
        await sleep(1)

    driven(main)
    assert current_task_or_none() is None


def test_a_thread_started_by_workflow_code_is_not_in_the_workflow() -> None:
    log: list[object] = []

    async def main() -> None:
        thread = threading.Thread(target=lambda: log.append(current_task_or_none()))
        thread.start()
        thread.join()

    driven(main)
    assert log == [None]


def test_async_generators_do_not_reach_the_hooks_of_the_host() -> None:
    seen: list[object] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            seen.append("cleaned up")

    async def main() -> None:
        async for _ in numbers():
            break
        try:
            await go.receive()
        finally:
            async for _ in numbers():
                break

    hooks = sys.get_asyncgen_hooks()
    note = seen.append
    sys.set_asyncgen_hooks(firstiter=note, finalizer=note)
    try:
        driver = driven(main)
        driver.run.close()
        gc.collect()
        kept = sys.get_asyncgen_hooks().firstiter
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert kept is note
    assert set(seen) <= {"cleaned up"}


def test_time_outside_a_workflow_is_an_error() -> None:
    with pytest.raises(NotInWorkflowError):
        now()
