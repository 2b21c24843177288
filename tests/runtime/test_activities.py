"""Activities: where they run, how they fail, are retried, timed and stopped."""

from __future__ import annotations

import contextvars
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_runtime.executor import LocalExecutor
from tests.runtime.conftest import Bench

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


async def outcome_of(bench: Bench, activity: Any, *args: Any) -> Any:
    """What a workflow gets of one activity; time passes until it has it."""

    @aion.workflow
    async def caller() -> Any:
        return await activity(*args)

    async with bench.engine(caller) as engine:
        handle = await engine.start(caller, workflow_id="w")
        return await handle.result()


async def failure_of(bench: Bench, activity: Any) -> aion.ActivityError:
    """The error that a workflow sees of one activity."""
    seen: list[aion.ActivityError] = []

    @aion.workflow
    async def caller() -> None:
        try:
            await activity()
        except aion.ActivityError as error:
            seen.append(error)

    async with bench.engine(caller) as engine:
        handle = await engine.start(caller, workflow_id="w")
        await handle.result()
    (error,) = seen
    return error


async def test_an_async_activity_runs_on_the_event_loop(bench: Bench) -> None:
    @aion.activity
    async def where() -> int:
        await trio.lowlevel.checkpoint()
        return threading.get_ident()

    assert await outcome_of(bench, where) == threading.get_ident()


async def test_a_plain_activity_runs_in_a_thread(bench: Bench) -> None:
    @aion.activity
    def where() -> int:
        return threading.get_ident()

    assert await outcome_of(bench, where) != threading.get_ident()


async def test_the_context_in_which_the_engine_was_opened_is_seen_in_activities(
    bench: Bench,
) -> None:
    TENANT.set("acme")

    @aion.activity
    async def on_the_loop() -> str:
        return TENANT.get()

    @aion.activity
    def in_a_thread() -> str:
        return TENANT.get()

    assert await outcome_of(bench, on_the_loop) == "acme"
    assert await outcome_of(Bench(), in_a_thread) == "acme"


async def test_what_an_activity_sets_in_its_context_stays_there(bench: Bench) -> None:
    TENANT.set("acme")

    @aion.activity
    async def change() -> str:
        before = TENANT.get()
        TENANT.set("other")
        return before

    @aion.workflow
    async def twice() -> tuple[str, str]:
        return await change(), await change()

    async with bench.engine(twice) as engine:
        assert await (await engine.start(twice)).result() == ("acme", "acme")


async def test_activities_of_one_run_work_side_by_side(bench: Bench) -> None:
    meeting: dict[str, trio.Event] = {"a": trio.Event(), "b": trio.Event()}

    @aion.activity
    async def meet(me: str, other: str) -> str:
        meeting[me].set()
        await meeting[other].wait()
        return me

    @aion.workflow
    async def both() -> tuple[str, str]:
        return await aion.gather(meet("a", "b"), meet("b", "a"))

    async with bench.engine(both) as engine:
        assert await (await engine.start(both)).result() == ("a", "b")


async def test_plain_activities_work_side_by_side(bench: Bench) -> None:
    barrier = threading.Barrier(2)

    @aion.activity
    def meet() -> int:
        return barrier.wait()

    @aion.workflow
    async def both() -> list[int]:
        return sorted(await aion.gather(meet(), meet()))

    async with bench.engine(both) as engine:
        assert await (await engine.start(both)).result() == [0, 1]


async def test_a_failed_attempt_is_repeated_when_its_time_has_come(bench: Bench) -> None:
    attempts_made: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=10, backoff=3, max_interval=60))
    async def flaky() -> str:
        attempt = aion.activity_info().attempt
        attempts_made.append(attempt)
        if attempt < 5:
            raise ConnectionError(f"attempt {attempt}")
        return "done"

    @aion.workflow
    async def caller() -> str:
        return await flaky()

    async with bench.engine(caller) as engine:
        handle = await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
        for made, delay in enumerate([10, 30, 60, 60], start=1):
            await bench.advance(delay - 0.001)
            assert attempts_made == list(range(1, made + 1))
            await bench.advance(0.001)
        assert await handle.result() == "done"
    assert attempts_made == [1, 2, 3, 4, 5]


async def test_the_next_attempts_time_is_recorded_with_the_failure(bench: Bench) -> None:
    @aion.activity(retry=aion.RetryPolicy(initial_interval=10))
    async def flaky() -> None:
        raise ConnectionError("hung up")

    @aion.workflow
    async def caller() -> None:
        await flaky()

    async with bench.engine(caller) as engine:
        await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
    (*_, failed) = await bench.history("w")
    assert isinstance(failed, e.ActivityFailed)
    assert failed.next_attempt_at == failed.recorded_at + timedelta(seconds=10)
    assert (failed.error.kind, failed.error.type) == ("retryable", "ConnectionError")


async def test_the_last_failure_reaches_the_workflow_with_its_facts(bench: Bench) -> None:
    @aion.activity(retry=aion.RetryPolicy(initial_interval=0, max_attempts=3))
    async def hopeless() -> None:
        raise ConnectionError(f"attempt {aion.activity_info().attempt}") from OSError("no route")

    error = await failure_of(bench, hopeless)
    assert error.activity_id == "activity:0"
    assert error.activity_type == "hopeless"
    assert error.kind == "terminal"
    assert error.type == "ConnectionError"
    assert error.message == "attempt 3"
    assert error.failure.cause is not None
    assert error.failure.cause.type == "OSError"
    kinds = await bench.kinds("w")
    assert kinds.count(e.ActivityFailed) == 3


async def test_a_type_that_the_policy_names_is_not_retried(bench: Bench) -> None:
    @aion.activity(retry=aion.RetryPolicy(non_retryable=("ValueError",)))
    async def wrong() -> None:
        raise ValueError("wrong")

    error = await failure_of(bench, wrong)
    assert (error.type, error.kind) == ("ValueError", "terminal")
    assert (await bench.kinds("w")).count(e.ActivityFailed) == 1


async def test_an_application_error_can_forbid_its_retry(bench: Bench) -> None:
    @aion.activity
    async def declined() -> None:
        raise aion.ApplicationError("no funds", type="Declined", non_retryable=True)

    error = await failure_of(bench, declined)
    assert (error.type, error.message, error.kind) == ("Declined", "no funds", "terminal")
    assert (await bench.kinds("w")).count(e.ActivityFailed) == 1


async def test_an_unhandled_activity_error_fails_the_workflow(bench: Bench) -> None:
    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(aion.WorkflowFailedError, match="ValueError: broken") as caught:
        await outcome_of(bench, broken)
    assert caught.value.failure.type == "ActivityError"


async def test_an_attempt_that_takes_too_long_is_ended(bench: Bench) -> None:
    ended = trio.Event()

    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(max_attempts=1))
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    @aion.workflow
    async def caller() -> str:
        try:
            await endless()
        except aion.ActivityError as error:
            return f"{error.kind}: {error.message}"
        return "?"

    async with bench.engine(caller) as engine:
        handle = await engine.start(caller)
        await wait_all_tasks_blocked()
        await bench.advance(29.9)
        assert not ended.is_set()
        await bench.advance(0.1)
        assert ended.is_set()
        assert await handle.result() == "timeout: not finished within 30 s (start_to_close)"


async def test_a_thread_that_takes_too_long_is_left_behind_and_its_result_dropped(
    bench: Bench,
) -> None:
    running = threading.Event()
    finish = threading.Event()
    over = threading.Event()

    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(initial_interval=1))
    def slow() -> str:
        if aion.activity_info().attempt == 1:
            running.set()
            finish.wait()
            over.set()
            return "late"
        return "second"

    @aion.workflow
    async def caller() -> str:
        return await slow()

    async with bench.engine(caller) as engine:
        handle = await engine.start(caller, workflow_id="w")
        await trio.to_thread.run_sync(running.wait)
        await wait_all_tasks_blocked()
        await bench.advance(30)
        finish.set()
        await trio.to_thread.run_sync(over.wait)
        await bench.advance(1)
        assert await handle.result() == "second"
    (failed,) = [each for each in await bench.history("w") if isinstance(each, e.ActivityFailed)]
    assert failed.error.type == "TimeoutError"


async def test_the_time_of_an_attempt_begins_when_it_has_a_thread(bench: Bench) -> None:
    """An attempt that waits for its turn has not taken too long."""
    begun = threading.Semaphore(0)
    finish = threading.Semaphore(0)

    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(max_attempts=1))
    def work() -> int:
        begun.release()
        finish.acquire()
        return aion.activity_info().attempt

    @aion.workflow
    async def both() -> tuple[int, int]:
        return await aion.gather(work(), work())

    async with bench.engine(both, executor=LocalExecutor(threads=1)) as engine:
        handle = await engine.start(both)
        for _ in range(2):
            await trio.to_thread.run_sync(begun.acquire)
            await wait_all_tasks_blocked()
            await bench.advance(20)
            finish.release()
        assert await handle.result() == (1, 1)


async def test_an_activity_that_the_workflow_gives_up_is_cancelled(bench: Bench) -> None:
    @aion.activity
    async def endless() -> None:
        await trio.sleep_forever()

    @aion.workflow
    async def impatient() -> bool:
        with aion.move_on_after(10) as scope:
            await endless()
        return scope.cancelled_caught

    async with bench.engine(impatient) as engine:
        handle = await engine.start(impatient, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(10)
        assert await handle.result() is True
    (cancelled,) = [
        each for each in await bench.history("w") if isinstance(each, e.ActivityCancelled)
    ]
    assert (cancelled.attempt, cancelled.detail) == (1, None)


async def test_an_activity_that_swallows_its_cancellation_has_its_result_kept(
    bench: Bench,
) -> None:
    @aion.activity
    async def stubborn() -> str:
        with suppress(trio.Cancelled):
            await trio.sleep_forever()
        return "anyway"

    @aion.workflow
    async def impatient() -> str:
        with aion.move_on_after(10):
            return await stubborn()
        return "?"

    async with bench.engine(impatient) as engine:
        handle = await engine.start(impatient, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(10)
        assert await handle.result() == "anyway"


async def test_a_plain_activity_that_is_given_up_is_waited_for(bench: Bench) -> None:
    """A thread cannot be stopped: what it did must not be lost on who may have to undo it."""
    running = threading.Event()
    finish = threading.Event()

    @aion.activity
    def charge() -> str:
        running.set()
        finish.wait()
        return "charged"

    @aion.workflow
    async def impatient() -> str:
        with aion.move_on_after(10):
            return await charge()
        return "?"

    async with bench.engine(impatient) as engine:
        handle = await engine.start(impatient)
        await trio.to_thread.run_sync(running.wait)
        await wait_all_tasks_blocked()
        await bench.advance(10)
        finish.set()
        assert await handle.result() == "charged"


async def test_a_planned_retry_is_not_begun_when_the_workflow_gives_up(bench: Bench) -> None:
    begun: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=60))
    async def flaky() -> None:
        begun.append(aion.activity_info().attempt)
        raise ConnectionError

    @aion.workflow
    async def impatient() -> bool:
        with aion.move_on_after(10) as scope:
            await flaky()
        return scope.cancelled_caught

    async with bench.engine(impatient) as engine:
        handle = await engine.start(impatient, workflow_id="w")
        await wait_all_tasks_blocked()
        await bench.advance(10)
        assert await handle.result() is True
        await bench.advance(60)
    assert begun == [1]
    (cancelled,) = [
        each for each in await bench.history("w") if isinstance(each, e.ActivityCancelled)
    ]
    assert cancelled.attempt is None


async def test_an_activity_beside_one_that_failed_is_cancelled(bench: Bench) -> None:
    stopped = trio.Event()

    @aion.activity
    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            stopped.set()

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def broken() -> None:
        raise ValueError("broken")

    @aion.workflow
    async def both() -> None:
        await aion.gather(endless(), broken())

    async with bench.engine(both) as engine:
        handle = await engine.start(both)
        with pytest.raises(aion.WorkflowFailedError, match="ExceptionGroup"):
            await handle.result()
        await wait_all_tasks_blocked()
        assert stopped.is_set()


async def test_a_result_that_cannot_be_stored_names_its_path_and_is_not_retried(
    bench: Bench,
) -> None:
    @aion.activity
    async def lying() -> dict[str, list[int]]:
        return {"a": [1, "two"]}  # type: ignore[list-item]

    error = await failure_of(bench, lying)
    assert error.type == "PayloadError"
    assert "['a'][1]" in error.message or "$.a[1]" in error.message
    assert error.kind == "terminal"
    assert (await bench.kinds("w")).count(e.ActivityFailed) == 1


async def test_an_argument_that_cannot_be_stored_is_an_error_of_the_workflow(
    bench: Bench,
) -> None:
    @aion.activity
    async def takes(numbers: list[int]) -> None: ...

    with pytest.raises(aion.WorkflowFailedError, match=r"\$\.numbers\[0\]"):
        await outcome_of(bench, takes, ["one"])
    assert e.ActivityScheduled not in await bench.kinds("w")


class OwnBaseError(BaseException):
    pass


def exit_program() -> None:
    sys.exit("bye")


def raise_own_base_error() -> None:
    raise OwnBaseError("bye")


def raise_group() -> None:
    raise BaseExceptionGroup("bye", [SystemExit(1), ValueError("x")])


def generator_exit() -> None:
    raise GeneratorExit("bye")


@pytest.mark.parametrize("where", ["loop", "thread"])
@pytest.mark.parametrize(
    ("end", "type_"),
    [
        (exit_program, "SystemExit"),
        (raise_own_base_error, "OwnBaseError"),
        (raise_group, "BaseExceptionGroup"),
        (generator_exit, "GeneratorExit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whatever_an_activity_raises_fails_the_activity_alone(
    bench: Bench, where: str, end: Any, type_: str
) -> None:
    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def on_the_loop() -> None:
        end()

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    def in_a_thread() -> None:
        end()

    error = await failure_of(bench, on_the_loop if where == "loop" else in_a_thread)
    assert error.type == type_


async def test_an_error_that_an_activity_raises_while_it_is_released_stops_nobody(
    bench: Bench,
) -> None:
    """A nursery in an activity joins it to the engine's own cancellation in one group."""

    @aion.activity
    async def untidy() -> None:
        async def child() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("in the clean-up")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(child)

    @aion.workflow
    async def caller() -> None:
        await untidy()

    async with bench.engine(caller, shutdown_grace=0) as engine:
        await engine.start(caller, workflow_id="w")
        await wait_all_tasks_blocked()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.ActivityScheduled]


async def test_an_activity_knows_which_call_it_is(bench: Bench) -> None:
    infos: list[aion.ActivityInfo] = []

    @aion.activity
    async def noting() -> None:
        infos.append(aion.activity_info())

    await outcome_of(bench, noting)
    (started, *_) = await bench.history("w")
    assert isinstance(started, e.WorkflowStarted)
    assert infos == [
        aion.ActivityInfo(
            workflow_id=started.workflow_id,
            run_id=started.run_id,
            activity_id=infos[0].activity_id,
            activity_type="noting",
            attempt=1,
        )
    ]
    assert infos[0].activity_id == "activity:0"


async def test_a_plain_activity_knows_which_call_it_is(bench: Bench) -> None:
    @aion.activity
    def noting() -> str:
        return aion.activity_info().activity_id

    assert await outcome_of(bench, noting) == "activity:0"


async def test_the_idempotency_key_is_the_same_for_all_attempts_and_for_no_other_call(
    bench: Bench,
) -> None:
    keys: list[tuple[str, str]] = []

    @aion.activity(retry=aion.RetryPolicy(initial_interval=0))
    async def charge(name: str) -> None:
        info = aion.activity_info()
        keys.append((name, info.idempotency_key))
        if info.attempt < 3:
            raise ConnectionError

    @aion.workflow
    async def caller() -> None:
        await charge("a")
        await charge("b")

    async with bench.engine(caller) as engine:
        for _ in range(2):
            await (await engine.start(caller)).result()
    assert len(keys) == 12
    assert len(set(keys)) == 4
    assert len({key for _, key in keys}) == 4


async def test_the_info_is_there_only_inside_activities(bench: Bench) -> None:
    with pytest.raises(aion.AionError, match="only inside an activity"):
        aion.activity_info()


async def test_an_activity_called_inside_an_activity_is_a_plain_call(bench: Bench) -> None:
    @aion.activity
    async def inner() -> str:
        return aion.activity_info().activity_type

    @aion.activity
    async def outer() -> str:
        return await inner()

    assert await outcome_of(bench, outer) == "outer"
    assert (await bench.kinds("w")).count(e.ActivityScheduled) == 1


async def test_an_activity_called_outside_of_workflows_is_a_plain_call() -> None:
    @aion.activity
    async def on_the_loop(number: int) -> int:
        return number + 1

    @aion.activity
    def plain(number: int) -> int:
        return number + 1

    assert await on_the_loop(1) == 2
    assert await plain(1) == 2


async def test_a_key_names_a_call_instead_of_its_position(bench: Bench) -> None:
    @aion.activity
    async def where() -> str:
        return aion.activity_info().activity_id

    @aion.workflow
    async def caller() -> str:
        return await where.options(key="main")()

    async with bench.engine(caller) as engine:
        assert await (await engine.start(caller)).result() == "activity:key:main"


async def test_a_keyboard_interrupt_in_an_activity_stops_the_engine_and_comes_out_bare(
    bench: Bench,
) -> None:
    @aion.activity
    async def interrupted() -> None:
        raise KeyboardInterrupt

    @aion.workflow
    async def caller() -> None:
        await interrupted()

    with pytest.raises(KeyboardInterrupt):
        async with bench.engine(caller) as engine:
            await (await engine.start(caller, workflow_id="w")).result()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.ActivityScheduled]
