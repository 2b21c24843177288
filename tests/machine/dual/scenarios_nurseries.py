"""Nurseries: waiting, failing, starting late, and the order of tasks."""

import contextvars
from typing import Any

from tests.machine.dual.worlds import Log, World, gives, gives_one_of, shape

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@gives("body", "fast", "slow", "after")
async def a_nursery_waits_for_its_tasks(w: World, log: Log) -> None:
    async def child(name: str, seconds: float) -> None:
        await w.sleep(seconds)
        log(name)

    async with w.open_nursery() as nursery:
        nursery.start_soon(child, "slow", 2)
        nursery.start_soon(child, "fast", 1)
        log("body")
    log("after")


@gives("stopped", ["ValueError"])
async def the_first_failure_stops_the_siblings(w: World, log: Log) -> None:
    async def fails() -> None:
        await w.sleep(1)
        raise ValueError

    async def sibling() -> None:
        try:
            await w.sleep(100)
        except w.Cancelled:
            log("stopped")
            raise

    try:
        async with w.open_nursery() as nursery:
            nursery.start_soon(sibling)
            nursery.start_soon(fails)
    except ExceptionGroup as group:
        log(shape(group))


@gives("stopped", ["KeyError"])
async def a_failing_block_stops_its_tasks(w: World, log: Log) -> None:
    async def child() -> None:
        try:
            await w.sleep(100)
        finally:
            log("stopped")

    try:
        async with w.open_nursery() as nursery:
            nursery.start_soon(child)
            await w.sleep(1)
            raise KeyError
    except ExceptionGroup as group:
        log(shape(group))


@gives("shielded to its end", ["ValueError"], 3.0)
async def a_failure_waits_for_a_shielded_sibling(w: World, log: Log) -> None:
    async def fails() -> None:
        await w.sleep(1)
        raise ValueError

    async def shielded() -> None:
        with w.CancelScope(shield=True):
            await w.sleep(3)
        log("shielded to its end")

    try:
        async with w.open_nursery() as nursery:
            nursery.start_soon(shielded)
            nursery.start_soon(fails)
    except ExceptionGroup as group:
        log(shape(group))
    log(w.now())


@gives(["ValueError", "OSError"])
async def what_a_stopped_sibling_raises_is_kept(w: World, log: Log) -> None:
    async def fails() -> None:
        await w.sleep(1)
        raise ValueError

    async def sibling() -> None:
        try:
            await w.sleep(100)
        finally:
            raise OSError

    try:
        async with w.open_nursery() as nursery:
            nursery.start_soon(sibling)
            nursery.start_soon(fails)
    except ExceptionGroup as group:
        log(shape(group))


@gives([["ValueError"]])
async def an_error_of_an_inner_nursery_comes_in_a_group_of_groups(w: World, log: Log) -> None:
    async def fails() -> None:
        raise ValueError

    try:
        async with w.open_nursery(), w.open_nursery() as inner:
            inner.start_soon(fails)
    except ExceptionGroup as group:
        log(shape(group))


@gives_one_of(
    ["a stopped", "b stopped", [["ValueError"]]],
    ["b stopped", "a stopped", [["ValueError"]]],
)
async def a_failure_far_below_stops_what_is_above(w: World, log: Log) -> None:
    async def waits(name: str) -> None:
        try:
            await w.sleep(100)
        finally:
            log(f"{name} stopped")

    async def branch() -> None:
        async with w.open_nursery() as nursery:
            nursery.start_soon(waits, "b")
            await w.sleep(1)
            raise ValueError

    try:
        async with w.open_nursery() as nursery:
            nursery.start_soon(waits, "a")
            nursery.start_soon(branch)
    except ExceptionGroup as group:
        log(shape(group))


@gives(("raised", ["ValueError"]), "never mind")
async def a_group_is_taken_apart_by_except_star(w: World, log: Log) -> None:
    async def fails(error: Exception) -> None:
        raise error

    try:
        try:
            async with w.open_nursery() as nursery:
                nursery.start_soon(fails, ValueError())
        except* KeyError:
            log("never")
    except ExceptionGroup as group:
        log(("raised", shape(group)))
    log("never mind")


@gives(2, 1, 0, "after")
async def a_task_starts_more_in_its_own_nursery(w: World, log: Log) -> None:
    async with w.open_nursery() as nursery:

        async def countdown(number: int) -> None:
            log(number)
            if number:
                nursery.start_soon(countdown, number - 1)

        nursery.start_soon(countdown, 2)
    log("after")


@gives("refused")
async def a_closed_nursery_takes_no_tasks(w: World, log: Log) -> None:
    async with w.open_nursery() as nursery:
        pass
    try:
        nursery.start_soon(w.sleep, 1)
    except RuntimeError:
        log("refused")


@gives("started", "stopped", "after")
async def a_task_started_in_a_cancelled_nursery_runs_to_a_checkpoint(w: World, log: Log) -> None:
    async def late() -> None:
        log("started")
        try:
            await w.checkpoint()
            log("never")
        finally:
            log("stopped")

    async with w.open_nursery() as nursery:
        nursery.cancel_scope.cancel()
        nursery.start_soon(late)
    log("after")


@gives("late task", "after", 3.0)
async def a_task_is_started_while_the_block_already_waits(w: World, log: Log) -> None:
    async with w.open_nursery() as nursery:

        async def late() -> None:
            await w.sleep(2)
            log("late task")

        async def starter() -> None:
            await w.sleep(1)
            nursery.start_soon(late)

        nursery.start_soon(starter)
    log("after")
    log(w.now())


@gives("outer task", "inner left", "outer left")
async def nurseries_are_left_from_the_inside(w: World, log: Log) -> None:
    async def task() -> None:
        await w.sleep(1)
        log("outer task")

    async with w.open_nursery() as outer:
        async with w.open_nursery() as inner:
            outer.start_soon(task)
            inner.start_soon(w.sleep, 2)
        log("inner left")
    log("outer left")


@gives((True, True), "goes on")
async def cancelling_a_nursery_is_no_error(w: World, log: Log) -> None:
    async with w.open_nursery() as nursery:
        nursery.start_soon(w.sleep, 100)
        nursery.cancel_scope.cancel()
    scope = nursery.cancel_scope
    log((scope.cancel_called, scope.cancelled_caught))
    log("goes on")


@gives((True, False), 2.0)
async def a_nursery_whose_tasks_end_by_themselves_raises_nothing(w: World, log: Log) -> None:
    async def shielded() -> None:
        with w.CancelScope(shield=True):
            await w.sleep(2)

    with w.move_on_after(1) as scope:
        async with w.open_nursery() as nursery:
            nursery.start_soon(shielded)
    log((scope.cancel_called, scope.cancelled_caught))
    log(w.now())


@gives("block left", "after it stopped")
async def an_empty_nursery_is_no_place_to_be_cancelled(w: World, log: Log) -> None:
    with w.CancelScope() as scope:
        scope.cancel()
        async with w.open_nursery():
            pass
        log("block left")
        await w.checkpoint()
        log("never")
    log("after it stopped")


@gives(["ValueError", "ValueError"])
async def two_failures_at_once_are_both_told(w: World, log: Log) -> None:
    async def fails() -> None:
        raise ValueError

    try:
        async with w.open_nursery() as nursery:
            nursery.start_soon(fails)
            nursery.start_soon(fails)
    except ExceptionGroup as group:
        log(shape(group))


@gives(("child", "of the parent"), ("parent", "of the parent"))
async def a_task_inherits_context_variables(w: World, log: Log) -> None:
    async def child() -> None:
        log(("child", variable.get()))
        variable.set("of the child")

    variable.set("of the parent")
    async with w.open_nursery() as nursery:
        nursery.start_soon(child)
    log(("parent", variable.get()))


@gives("first", "second")
async def context_variables_are_those_at_the_start_of_a_task(w: World, log: Log) -> None:
    async def child(seconds: float) -> None:
        await w.sleep(seconds)
        log(variable.get())

    async with w.open_nursery() as nursery:
        variable.set("first")
        nursery.start_soon(child, 1)
        variable.set("second")
        nursery.start_soon(child, 2)
        variable.set("third")


@gives_one_of(
    ["a0", "b0", "a1", "b1", "a2", "b2"],
    *[
        [*first, *second, *third]
        for first in (["a0", "b0"], ["b0", "a0"])
        for second in (["a1", "b1"], ["b1", "a1"])
        for third in (["a2", "b2"], ["b2", "a2"])
    ],
)
async def checkpoints_give_every_task_its_turn(w: World, log: Log) -> None:
    async def task(name: str) -> None:
        for turn in range(3):
            log(f"{name}{turn}")
            await w.checkpoint()

    async with w.open_nursery() as nursery:
        nursery.start_soon(task, "a")
        nursery.start_soon(task, "b")


@gives(("child", 5), "done")
async def a_task_is_started_for_another_nursery(w: World, log: Log) -> None:
    async def child(number: int) -> None:
        await w.sleep(1)
        log(("child", number))

    async def starter(nursery: Any) -> None:
        nursery.start_soon(child, 5)

    async with w.open_nursery() as outer, w.open_nursery() as inner:
        inner.start_soon(starter, outer)
    log("done")


@gives(("raised", ["ValueError"]))
async def an_error_of_a_block_alone_comes_in_a_group(w: World, log: Log) -> None:
    async with w.open_nursery():
        raise ValueError
