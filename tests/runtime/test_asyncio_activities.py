"""Activities on the engine's asyncio loop: for libraries that need one."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import STILL_RUNNING
from aion_runtime.asyncio_loop import AsyncioLoop
from aion_runtime.testing import test_engine
from aion_store_memory.store import MemoryStore

PATIENCE_S = 20.0

ONCE = aion.RetryPolicy(max_attempts=1)

colour = contextvars.ContextVar("colour", default="none")


def calling(activity: Any) -> aion.Workflow[[], str]:
    """A workflow that says how its only activity has ended."""

    @aion.workflow
    async def caller() -> str:
        try:
            return str(await activity())
        except aion.ActivityError as error:
            return f"{error.kind}: {error.type}: {error.message}"

    return caller


async def outcome(activity: Any) -> str:
    caller = calling(activity)
    async with test_engine(workflows=[caller]) as engine:
        return await (await engine.start(caller)).result()


class Hangs:
    """An activity that never ends by itself.

    Attributes:
        began: set when it works.
        ended: how it was left.
    """

    def __init__(self, **settings: Any) -> None:
        self.began = threading.Event()
        self.ended: list[str] = []

        @aion.activity(loop="asyncio", retry=ONCE, **settings)
        async def hang() -> str:
            try:
                self.began.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            return "never"

        self.caller = calling(hang)

    async def until_it_works(self) -> None:
        assert await trio.to_thread.run_sync(self.began.wait, PATIENCE_S)


def loop_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "aion asyncio"]


async def test_a_library_of_asyncio_works(tmp_path: Path) -> None:
    @aion.activity(loop="asyncio")
    async def count() -> int:
        async with aiosqlite.connect(tmp_path / "other.db") as database:
            await database.execute("CREATE TABLE seen (name TEXT)")
            await database.executemany("INSERT INTO seen VALUES (?)", [("a",), ("b",)])
            async with database.execute("SELECT count(*) FROM seen") as cursor:
                row = await cursor.fetchone()
                assert row is not None
                return int(row[0])

    assert await outcome(count) == "2"


async def test_streams_of_asyncio_speak_with_a_server() -> None:
    @aion.activity(loop="asyncio")
    async def greet(port: int) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello\n")
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return answer.decode().strip()

    @aion.workflow
    async def caller(port: int) -> list[str]:
        return list(await aion.gather(greet(port), greet(port)))

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all((await stream.receive_some(100)).upper())

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        port = listener.socket.getsockname()[1]
        async with test_engine(workflows=[caller]) as engine:
            run = await engine.start(caller, port)
            assert await run.result() == ["HELLO", "HELLO"]
        nursery.cancel_scope.cancel()


async def test_the_loop_begins_with_the_first_of_them_and_ends_with_the_engine() -> None:
    @aion.activity(loop="asyncio")
    async def where() -> int:
        seen.append(asyncio.get_running_loop())
        return threading.get_ident()

    @aion.workflow
    async def caller() -> list[int]:
        return [await where(), await where()]

    seen: list[asyncio.AbstractEventLoop] = []
    async with test_engine(workflows=[caller]) as engine:
        assert loop_threads() == []
        first, second = await (await engine.start(caller)).result()
        (thread,) = loop_threads()
        assert first == second == thread.ident
    assert seen[0] is seen[1]
    assert seen[0].is_closed()
    assert loop_threads() == []


async def test_an_activity_knows_its_call_and_what_former_attempts_have_said() -> None:
    @aion.activity(loop="asyncio", retry=aion.RetryPolicy(initial_interval=1))
    async def work() -> str:
        info = aion.activity_info()
        if info.attempt == 1:
            aion.heartbeat({"row": 5})
            raise ConnectionError
        return f"{info.attempt} {info.activity_type} {aion.last_heartbeat()}"

    assert await outcome(work) == "2 work {'row': 5}"


async def test_the_context_in_which_the_engine_was_opened_is_seen() -> None:
    @aion.activity(loop="asyncio")
    async def work() -> str:
        seen = colour.get()
        colour.set("changed")
        return seen + " " + await asyncio.create_task(deeper())

    async def deeper() -> str:
        return f"{colour.get()} {aion.activity_info().attempt}"

    token = colour.set("green")
    try:
        assert await outcome(work) == "green changed 1"
        assert colour.get() == "green"
    finally:
        colour.reset(token)


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), asyncio.CancelledError("x"), SystemExit("x"), aion.Cancelled("x")],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_it_raises_fails_the_activity_alone(error: BaseException) -> None:
    @aion.activity(loop="asyncio", retry=ONCE)
    async def work() -> None:
        raise error

    @aion.activity(loop="asyncio")
    async def other() -> str:
        return "well"

    failing, fine = calling(work), calling(other)
    fine = aion.workflow(name="fine")(fine.fn)
    async with test_engine(workflows=[failing, fine]) as engine:
        run = await engine.start(failing)
        assert await run.result() == f"terminal: {type(error).__name__}: x"
        assert await (await engine.start(fine)).result() == "well"


async def test_a_task_that_it_leaves_behind_cannot_stop_the_loop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @aion.activity(loop="asyncio")
    async def work() -> str:
        async def exit_() -> None:
            raise SystemExit("of a task")

        tasks.append(asyncio.create_task(exit_()))
        await asyncio.sleep(0.01)
        return "well"

    tasks: list[asyncio.Task[None]] = []
    assert await outcome(work) == "well"
    assert isinstance(tasks[0].exception(), SystemExit)
    assert "raised SystemExit('of a task')" in caplog.text


async def test_an_activity_that_the_workflow_gives_up_is_cancelled() -> None:
    hangs = Hangs()
    async with test_engine(workflows=[hangs.caller]) as engine:
        run = await engine.start(hangs.caller)
        await hangs.until_it_works()
        await run.cancel()
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await run.result()
        assert e.ActivityCancelled in [type(event) for event in await run.history()]
    assert hangs.ended == ["cancelled"]


async def test_what_it_returns_though_it_was_to_stop_is_not_lost() -> None:
    @aion.activity(loop="asyncio")
    async def charge() -> str:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "charged"
        return "never"

    @aion.workflow
    async def caller() -> str:
        with aion.CancelScope() as scope:
            async with aion.open_nursery() as nursery:
                nursery.start_soon(stop, scope)
                results.append(await charge())
        return "cancelled"

    async def stop(scope: aion.CancelScope) -> None:
        await aion.sleep(10)
        scope.cancel()

    results: list[str] = []
    began = threading.Event()
    async with test_engine(workflows=[caller], replay_check=False, dev_mode=False) as engine:
        run = await engine.start(caller)
        assert await trio.to_thread.run_sync(began.wait, PATIENCE_S)
        await engine.clock.advance(10)
        assert await run.result() == "cancelled"
        (completed,) = [x for x in await run.history() if isinstance(x, e.ActivityCompleted)]
    assert completed.result.data == b'"charged"'


async def test_one_that_does_not_stop_is_given_up_after_its_grace() -> None:
    @aion.activity(loop="asyncio", cancel_grace=30)
    async def stubborn() -> str:
        began.set()
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.005)
        return "late"

    caller = calling(stubborn)
    began, over = threading.Event(), threading.Event()
    async with test_engine(workflows=[caller]) as engine:
        run = await engine.start(caller)
        assert await trio.to_thread.run_sync(began.wait, PATIENCE_S)
        await run.cancel()
        await engine.clock.advance(30)
        with pytest.raises(aion.WorkflowFailedError, match="Cancelled"):
            await run.result()
        (cancelled,) = [x for x in await run.history() if isinstance(x, e.ActivityCancelled)]
        over.set()
    assert cancelled.detail == STILL_RUNNING


async def test_one_that_takes_too_long_is_cancelled_and_has_failed() -> None:
    hangs = Hangs(start_to_close=100)
    async with test_engine(workflows=[hangs.caller]) as engine:
        run = await engine.start(hangs.caller)
        await hangs.until_it_works()
        await engine.clock.advance(100)
        assert await run.result() == (
            "timeout: TimeoutError: not finished within 100 s (start_to_close)"
        )
    assert hangs.ended == ["cancelled"]


async def test_one_that_is_silent_for_too_long_has_failed() -> None:
    hangs = Hangs(heartbeat_timeout=30)
    async with test_engine(workflows=[hangs.caller]) as engine:
        run = await engine.start(hangs.caller)
        await hangs.until_it_works()
        await engine.clock.advance(30)
        assert "sent no heartbeat for 30 s" in await run.result()


async def test_an_engine_that_stops_releases_it_and_the_next_one_makes_it_again() -> None:
    hangs, store = Hangs(), MemoryStore()
    history: Sequence[e.HistoryEvent] = ()
    for _ in range(2):
        async with test_engine(store, workflows=[hangs.caller]) as engine:
            run = await engine.start(hangs.caller, workflow_id="w")
            await hangs.until_it_works()
            history = await run.history()
        hangs.began.clear()
    assert hangs.ended == ["cancelled", "cancelled"]
    assert [type(event) for event in history] == [e.WorkflowStarted, e.ActivityScheduled]
    assert loop_threads() == []


async def test_what_is_left_on_the_loop_is_closed_with_the_engine() -> None:
    @aion.activity(loop="asyncio")
    async def work() -> str:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("task")

        async def numbers() -> Any:
            try:
                while True:
                    yield 1
            finally:
                await asyncio.sleep(0)
                ended.append("generator")

        left.append(asyncio.create_task(forever()))
        left.append(numbers())
        await anext(left[1])
        return "well"

    left: list[Any] = []
    ended: list[str] = []
    assert await outcome(work) == "well"
    assert sorted(ended) == ["generator", "task"]


async def test_a_loop_that_stands_still_does_not_hold_up_the_end_for_ever(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aion_runtime.asyncio_loop.PATIENCE_S", 0.1)
    over, began = threading.Event(), threading.Event()

    @aion.activity(loop="asyncio")
    async def blocks() -> str:
        began.set()
        over.wait(PATIENCE_S)
        return "late"

    caller = calling(blocks)
    async with test_engine(workflows=[caller]) as engine:
        await engine.start(caller)
        assert await trio.to_thread.run_sync(began.wait, PATIENCE_S)
    over.set()
    assert "its asyncio loop stands still" in caplog.text
    assert "is left behind" in caplog.text
    for thread in loop_threads():
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("asked_before", [False, True])
async def test_one_that_swallows_its_cancellation_does_not_hold_up_the_end_for_ever(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, asked_before: bool
) -> None:
    for name in ("ASK_AGAIN_S", "PATIENCE_S", "STUBBORN_S"):
        monkeypatch.setattr(f"aion_runtime.asyncio_loop.{name}", 0.1)
    over, began, heard = threading.Event(), threading.Event(), threading.Event()

    @aion.activity(loop="asyncio")
    async def stubborn() -> None:
        began.set()
        while not over.is_set():
            try:
                await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                heard.set()

    caller = calling(stubborn)
    with trio.fail_after(PATIENCE_S):
        async with test_engine(workflows=[caller]) as engine:
            run = await engine.start(caller)
            assert await trio.to_thread.run_sync(began.wait, PATIENCE_S)
            if asked_before:
                await run.cancel()
                assert await trio.to_thread.run_sync(heard.wait, PATIENCE_S)
    over.set()
    assert "is left behind: it goes on although it was cancelled" in caplog.text
    for thread in loop_threads():
        thread.join(PATIENCE_S)


async def test_a_workflow_cannot_reach_the_loop() -> None:
    @aion.workflow
    async def sleeping() -> None:
        await asyncio.sleep(1)

    @aion.workflow
    async def asking() -> None:
        asyncio.get_running_loop().call_soon(seen.append, 1)

    seen: list[int] = []
    async with test_engine(workflows=[sleeping, asking], dev_mode=False) as engine:
        for workflow, said in (
            (sleeping, r"asyncio\.sleep was used in a workflow"),
            (asking, "the event loop was used in a workflow"),
        ):
            run = await engine.start(workflow)
            with pytest.raises(aion.WorkflowFailedError, match=said):
                await run.result()
    assert seen == []


async def test_a_thousand_calls_need_no_thread_each() -> None:
    @aion.activity(loop="asyncio")
    async def work(number: int) -> int:
        threads.add(threading.get_ident())
        await asyncio.sleep(0)
        return number

    @aion.workflow
    async def caller() -> int:
        return sum(await aion.gather(*(work(n) for n in range(300))))

    threads: set[int] = set()
    async with test_engine(workflows=[caller]) as engine:
        assert await (await engine.start(caller)).result() == sum(range(300))
    assert len(threads) == 1


async def test_a_loop_that_nobody_calls_has_no_thread() -> None:
    loop = AsyncioLoop()
    async with loop.open():
        assert (loop.thread, loop.is_busy, loop.attempt_at_work()) == (None, False, None)


def test_ctrl_c_leaves_in_order_while_one_is_under_way() -> None:
    hangs, store = Hangs(), MemoryStore()

    async def main() -> None:
        async with aion.open_engine(store, workflows=[hangs.caller], shutdown_grace=0) as engine:
            await engine.start(hangs.caller, workflow_id="w")
            await hangs.until_it_works()
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert hangs.ended == ["cancelled"]
    history = trio.run(store.read_history, WorkflowId("w"))
    assert [type(event) for event in history] == [e.WorkflowStarted, e.ActivityScheduled]
    assert loop_threads() == []
