"""An engine in a thread of its own, whose calls block."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_store_memory.store import MemoryStore
from tests.runtime.faults import FaultyStore

go = aion.Signal("go", int)
total = aion.Query("total", int)
add = aion.Update("add", int, int)


@aion.workflow
async def empty() -> str:
    return "done"


@aion.workflow
async def waiting() -> int:
    return await go.receive()


@aion.workflow
async def counting() -> int:
    count = 0

    async def change(more: int) -> int:
        nonlocal count
        count += more
        return count

    total.answer(lambda: count)
    add.handle(change)
    more = await go.receive()
    return count + more


def press_ctrl_c() -> None:
    """In the main thread, wherever this is called: a wait there ends."""
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGINT)


def test_a_workflow_runs_to_its_result() -> None:
    with aion.EngineThread("memory:", workflows=[empty]) as engine:
        run = engine.start(empty, workflow_id="w", attributes={"colour": "red"}, memo="a note")
        assert run.workflow_id == "w"
        assert run.result() == "done"
        assert run.describe().attributes == {"colour": "red"}


def test_messages_are_sent_and_answered() -> None:
    with aion.EngineThread("memory:", workflows=[counting]) as engine:
        run = engine.start(counting, workflow_id="w")
        assert run.update(add, 3, update_id="u") == 3
        assert run.update(add, 3, update_id="u") == 3
        assert engine.get("w").query(total) == 3
        run.signal(go, 4, signal_id="s")
        assert run.result() == 7


def test_what_has_been_recorded_can_be_read() -> None:
    with aion.EngineThread("memory:", workflows=[empty, waiting]) as engine:
        engine.start(empty, workflow_id="a").result()
        engine.start(waiting, workflow_id="b")
        assert [type(event) for event in engine.get("a").history()] == [
            e.WorkflowStarted,
            e.WorkflowCompleted,
        ]
        assert engine.describe("b").status is aion.WorkflowStatus.RUNNING
        page = engine.list_runs(limit=1)
        assert [each.workflow_id for each in page.runs] == ["b"]
        rest = engine.list_runs(cursor=page.cursor)
        assert [each.workflow_id for each in rest.runs] == ["a"]
        assert engine.recovery_report == aion.StartupReport(resumed=(), parked=0, stuck={})


@pytest.mark.parametrize("method", ["cancel", "terminate"])
def test_a_run_is_ended_from_outside(method: str) -> None:
    with aion.EngineThread("memory:", workflows=[waiting]) as engine:
        run = engine.start(waiting)
        getattr(run, method)("enough")
        with pytest.raises(aion.WorkflowFailedError, match="enough"):
            run.result()


def test_any_thread_may_call() -> None:
    with (
        aion.EngineThread("memory:", workflows=[counting]) as engine,
        ThreadPoolExecutor(8) as pool,
    ):
        run = engine.start(counting)
        answers = pool.map(lambda _: run.update(add, 1), range(40))
        assert sorted(answers) == list(range(1, 41))


def test_a_result_is_waited_for_no_longer_than_asked() -> None:
    with aion.EngineThread("memory:", workflows=[waiting]) as engine:
        run = engine.start(waiting, workflow_id="w")
        for timeout in (0, 0.01, timedelta(milliseconds=10)):
            with pytest.raises(TimeoutError, match="workflow 'w' has not ended within"):
                run.result(timeout=timeout)
        run.signal(go, 5)
        assert run.result(timeout=60) == 5


def test_errors_of_calls_are_those_of_the_engine() -> None:
    with aion.EngineThread("memory:", workflows=[empty]) as engine:
        with pytest.raises(aion.WorkflowNotFoundError):
            engine.get("none").result()
        with pytest.raises(aion.UnknownWorkflowTypeError):
            engine.start(waiting)
        with pytest.raises(aion.InvalidIdError):
            engine.get("")


def test_an_error_of_opening_is_raised_by_entering(tmp_path: Path) -> None:
    thread = aion.EngineThread(f"sqlite:///{tmp_path}/none/a.db", workflows=[empty])
    with pytest.raises(aion.StoreUnavailableError, match="create it first"), thread:
        pytest.fail("opened without a directory")
    assert not threads_of_engines()


def test_an_option_that_cannot_be_is_refused_as_by_open_engine() -> None:
    with pytest.raises(ValueError, match="resident_bytes is -1"):
        aion.EngineThread("memory:", resident_bytes=-1)


def threads_of_engines() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "aion engine"]


def test_leaving_lets_running_activities_finish() -> None:
    @aion.activity
    def work() -> str:
        begun.set()
        finish.wait()
        return "done"

    @aion.workflow
    async def worker() -> str:
        return await work()

    begun, finish = threading.Event(), threading.Event()
    store = MemoryStore()
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        engine = aion.EngineThread(store, workflows=[worker, empty], shutdown_grace=60)
        stack.enter_context(engine)
        engine.start(worker, workflow_id="w")
        begun.wait()
        pool.submit(when_stopping, engine, finish.set)
        stack.close()
    assert not threads_of_engines()
    assert isinstance(trio.run(store.read_history, WorkflowId("w"))[-1], e.WorkflowCompleted)


def when_stopping(engine: aion.EngineThread, action: Callable[[], object]) -> None:
    try:
        while True:
            engine.start(empty, workflow_id="probe")
    except aion.EngineStoppedError:
        action()


def test_the_callers_error_comes_out_of_the_with() -> None:
    with pytest.raises(ZeroDivisionError), aion.EngineThread("memory:", workflows=[empty]):
        _ = 1 / 0
    assert not threads_of_engines()


def test_whoever_waits_while_it_is_left_is_told() -> None:
    with ThreadPoolExecutor(4) as pool:
        with aion.EngineThread("memory:", workflows=[waiting]) as engine:
            run = engine.start(waiting)
            calls = [pool.submit(run.result) for _ in range(4)]
        for call in calls:
            assert isinstance(call.exception(), aion.EngineStoppedError)


def test_a_call_after_the_end_is_refused() -> None:
    with aion.EngineThread("memory:", workflows=[empty]) as engine:
        run = engine.start(empty)
        run.result()
    for call in (run.result, run.describe, engine.list_runs, lambda: engine.start(empty)):
        with pytest.raises(aion.EngineStoppedError, match="open it again"):
            call()


def test_a_call_before_the_beginning_is_refused() -> None:
    engine = aion.EngineThread("memory:", workflows=[empty])
    with pytest.raises(aion.EngineStoppedError, match="use it by 'with"):
        engine.start(empty)


def test_it_is_entered_only_once() -> None:
    with aion.EngineThread("memory:", workflows=[empty]) as engine:
        with pytest.raises(RuntimeError, match="make a new one"), engine:
            pytest.fail("entered twice")
        assert engine.start(empty).result() == "done"


def test_ctrl_c_ends_the_wait_alone() -> None:
    pressed: list[int] = []

    @aion.activity
    def press() -> None:
        if not pressed:
            pressed.append(1)
            press_ctrl_c()

    @aion.workflow
    async def interrupting() -> int:
        await press()
        return await go.receive()

    with aion.EngineThread("memory:", workflows=[interrupting]) as engine:
        with pytest.raises(KeyboardInterrupt):
            engine.start(interrupting, workflow_id="w").result()
        engine.get("w").signal(go, 7)
        assert engine.get("w").result() == 7


class UnreadyStore(MemoryStore):
    """Is never open, and has Ctrl-C pressed meanwhile."""

    def writer(self, *, takeover: bool = False) -> Any:
        return _NeverThere()


class _NeverThere:
    async def __aenter__(self) -> None:
        press_ctrl_c()
        await trio.sleep_forever()

    async def __aexit__(self, *details: object) -> None:
        pytest.fail("left without having been entered")


def test_ctrl_c_while_it_is_opened_gives_that_up() -> None:
    with pytest.raises(KeyboardInterrupt), aion.EngineThread(UnreadyStore()):
        pytest.fail("opened")
    assert not threads_of_engines()


def test_ctrl_c_while_it_is_left_ends_the_grace() -> None:
    @aion.activity
    async def endless() -> None:
        begun.set()
        await trio.sleep_forever()

    @aion.workflow
    async def worker() -> None:
        await endless()

    begun = threading.Event()
    store = MemoryStore()
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        engine = aion.EngineThread(store, workflows=[worker, empty], shutdown_grace=3600)
        stack.enter_context(engine)
        engine.start(worker, workflow_id="w")
        begun.wait()
        pool.submit(when_stopping, engine, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            stack.close()
    assert not threads_of_engines()
    assert len(trio.run(store.read_history, WorkflowId("w"))) == 2


async def take_over(store: MemoryStore) -> None:
    async with store.writer(takeover=True):
        pass


def test_an_engine_that_has_lost_its_store_says_so_to_callers_and_at_the_end() -> None:
    store = MemoryStore()
    with (
        pytest.raises(aion.FencedError, match="taken over"),
        aion.EngineThread(store, workflows=[waiting]) as engine,
    ):
        trio.run(take_over, store)
        for _ in range(3):
            with pytest.raises(aion.EngineStoppedError, match="FencedError") as caught:
                engine.start(waiting)
            assert isinstance(caught.value.__cause__, aion.FencedError)


def test_a_failing_engine_tells_those_who_wait_already() -> None:
    class OwnError(Exception):
        pass

    store = FaultyStore()
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(OwnError, match="a bug in a store"),
        aion.EngineThread(store, workflows=[waiting]) as engine,
    ):
        run = engine.start(waiting)
        call = pool.submit(run.result)
        store.refuse(e.SignalReceived, error=OwnError("a bug in a store"))
        with pytest.raises(aion.EngineStoppedError, match="OwnError: a bug in a store"):
            run.signal(go, 1)
        with pytest.raises(aion.EngineStoppedError, match="OwnError: a bug in a store") as caught:
            call.result()
        assert isinstance(caught.value.__cause__, OwnError)


def calling(engine: Callable[[], aion.EngineThread]) -> Any:
    @aion.activity
    def in_a_thread() -> str:
        return engine().start(empty).result()

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def on_the_event_loop() -> str:
        return engine().start(empty).result()

    @aion.workflow
    async def calls() -> str:
        return await in_a_thread()

    @aion.workflow
    async def calls_wrongly() -> str:
        return await on_the_event_loop()

    @aion.workflow
    async def is_wrong_itself() -> str:
        return engine().start(empty).result()

    return calls, calls_wrongly, is_wrong_itself


def test_a_plain_activity_may_call_its_own_engine() -> None:
    calls, *_ = calling(lambda: engine)
    with aion.EngineThread("memory:", workflows=[calls, empty]) as engine:
        assert engine.start(calls).result() == "done"


def test_an_async_activity_may_not_wait_for_its_own_engine() -> None:
    _, calls_wrongly, _ = calling(lambda: engine)
    with aion.EngineThread("memory:", workflows=[calls_wrongly, empty]) as engine:
        with pytest.raises(aion.WorkflowFailedError, match="make the activity a plain function"):
            engine.start(calls_wrongly).result()
        assert engine.start(empty).result() == "done"


def test_an_activity_on_the_asyncio_loop_may_wait_only_in_another_thread() -> None:
    @aion.activity(loop="asyncio", retry=aion.RetryPolicy(max_attempts=1))
    async def child(how: str) -> None:
        def start() -> None:
            engine.start(asks_nothing, workflow_id="child").result()

        if how == "in a thread":
            await asyncio.to_thread(start)
        else:
            start()

    @aion.activity(loop="asyncio")
    async def well() -> str:
        return "well"

    @aion.workflow
    async def asks_nothing() -> str:
        return await well()

    @aion.workflow
    async def caller(how: str) -> None:
        await child(how)

    with aion.EngineThread("memory:", workflows=[caller, asks_nothing]) as engine:
        with pytest.raises(aion.WorkflowFailedError, match=r"call made by asyncio\.to_thread"):
            engine.start(caller, "at once").result(timeout=10)
        engine.start(caller, "in a thread").result(timeout=10)


def test_a_workflow_may_not_wait_for_an_engine() -> None:
    *_, is_wrong_itself = calling(lambda: engine)
    with aion.EngineThread("memory:", workflows=[is_wrong_itself, empty]) as engine:
        with pytest.raises(aion.AionError, match="a workflow cannot ask an engine"):
            engine.start(is_wrong_itself).result()
        assert engine.start(empty).result() == "done"


def test_a_workflow_is_started_by_name_later_and_explained() -> None:
    with aion.EngineThread("memory:", workflows=[waiting]) as engine:
        run = engine.start_named("waiting", {}, workflow_id="w", delay=3600)
        assert (engine.count(), engine.count(aion.RunFilter(workflow_type="empty"))) == (1, 0)
        assert engine.explain("w").workflow_type == run.explain().workflow_type == "waiting"


def test_events_are_followed_from_any_position() -> None:
    with aion.EngineThread("memory:", workflows=[empty]) as engine:
        engine.start(empty, workflow_id="a").result()
        items = engine.events()
        assert [type(next(items).event) for _ in range(2)] == [
            e.WorkflowStarted,
            e.WorkflowCompleted,
        ]
        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(next, items)
            engine.start(empty, workflow_id="b").result()
            assert coming.result() == next(engine.events(after=2))
        with pytest.raises(ValueError, match="after is the position"):
            engine.events(after=-1)


def test_an_activity_whose_attempts_are_over_is_helped_by_hand() -> None:
    tries: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1, on_exhausted="pause"))
    def failing() -> str:
        tries.append(1)
        raise OSError("no")

    @aion.workflow
    async def caller() -> str:
        return await failing()

    with aion.EngineThread("memory:", workflows=[caller]) as engine:
        run = engine.start(caller)
        for item in engine.events():
            if isinstance(item.event, e.ActivityFailed):
                if len(tries) == 2:
                    run.supply(item.event.activity_id, "by hand", supplied_by="kim")
                    break
                run.retry(item.event.activity_id)
        assert run.result() == "by hand"
