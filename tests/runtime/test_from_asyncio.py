"""An engine whose calls are awaited on an event loop of asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio

import aion_runtime as aion
from aion_core import events as e
from aion_core.ids import WorkflowId
from aion_runtime import from_asyncio
from aion_store_memory.store import MemoryStore
from tests.runtime.faults import FaultyStore

R = TypeVar("R")

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


def run(main: Coroutine[Any, Any, R]) -> R:
    async def bounded() -> R:
        async with asyncio.timeout(60):
            return await main

    result = asyncio.run(bounded())
    assert not [thread for thread in threading.enumerate() if thread.name == "aion engine"]
    return result


def test_a_workflow_runs_to_its_result() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[empty]) as engine:
            handle = await engine.start(
                empty, workflow_id="w", attributes={"colour": "red"}, memo="a note"
            )
            assert handle.workflow_id == "w"
            assert await handle.result() == "done"
            assert (await handle.describe()).attributes == {"colour": "red"}

    run(main())


def test_messages_are_sent_and_answered() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[counting]) as engine:
            handle = await engine.start(counting, workflow_id="w")
            assert await handle.update(add, 3, update_id="u") == 3
            assert await handle.update(add, 3, update_id="u") == 3
            assert await engine.get("w").query(total) == 3
            await handle.signal(go, 4, signal_id="s")
            assert await handle.result() == 7

    run(main())


def test_what_has_been_recorded_can_be_read() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[empty, waiting]) as engine:
            await (await engine.start(empty, workflow_id="a")).result()
            await engine.start(waiting, workflow_id="b")
            assert [type(event) for event in await engine.get("a").history()] == [
                e.WorkflowStarted,
                e.WorkflowCompleted,
            ]
            assert (await engine.describe("b")).status is aion.WorkflowStatus.RUNNING
            page = await engine.list_runs(limit=1)
            assert [each.workflow_id for each in page.runs] == ["b"]
            rest = await engine.list_runs(cursor=page.cursor)
            assert [each.workflow_id for each in rest.runs] == ["a"]
            nothing = aion.StartupReport(resumed=(), parked=0, stuck={})
            assert engine.recovery_report == nothing

    run(main())


@pytest.mark.parametrize("method", ["cancel", "terminate"])
def test_a_run_is_ended_from_outside(method: str) -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[waiting]) as engine:
            handle = await engine.start(waiting)
            await getattr(handle, method)("enough")
            with pytest.raises(aion.WorkflowFailedError, match="enough"):
                await handle.result()

    run(main())


def test_many_tasks_may_call_at_once() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[counting]) as engine:
            handle = await engine.start(counting)
            answers = await asyncio.gather(*(handle.update(add, 1) for _ in range(40)))
            assert sorted(answers) == list(range(1, 41))

    run(main())


def test_loops_of_other_threads_may_call_too() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[counting]) as engine:
            handle = await engine.start(counting)

            def add_one(_: int) -> int:
                return asyncio.run(handle.update(add, 1))

            loop = asyncio.get_running_loop()
            with ThreadPoolExecutor(4) as pool:
                calls = [loop.run_in_executor(pool, add_one, n) for n in range(8)]
                assert sorted(await asyncio.gather(*calls)) == list(range(1, 9))

    run(main())


def test_a_cancelled_task_ends_its_wait_alone() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[waiting]) as engine:
            handle = await engine.start(waiting)
            task = asyncio.create_task(handle.result())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await handle.result()
            await handle.signal(go, 5)
            assert await handle.result() == 5

    run(main())


def test_what_a_cancelled_task_has_asked_for_is_done() -> None:
    async def main() -> None:
        store = FaultyStore()
        async with from_asyncio.open_engine(store, workflows=[waiting]) as engine:
            handle = await engine.start(waiting)
            gate = store.hold(e.SignalReceived)
            task = asyncio.create_task(handle.signal(go, 5))
            await asyncio.wrap_future(engine._thread.call(gate.reached.wait))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            engine._thread.run_soon(gate.open)
            assert await handle.result() == 5

    run(main())


def test_errors_of_calls_are_those_of_the_engine() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[empty]) as engine:
            with pytest.raises(aion.WorkflowNotFoundError):
                await engine.get("none").result()
            with pytest.raises(aion.UnknownWorkflowTypeError):
                await engine.start(waiting)
            with pytest.raises(aion.InvalidIdError):
                engine.get("")

    run(main())


def test_an_error_of_opening_is_raised_by_entering(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(aion.StoreUnavailableError, match="create it first"):
            async with from_asyncio.open_engine(f"sqlite:///{tmp_path}/none/a.db"):
                pytest.fail("opened without a directory")

    run(main())


def test_an_option_that_cannot_be_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="resident_bytes is -1"):
            async with from_asyncio.open_engine("memory:", resident_bytes=-1):
                pytest.fail("opened")

    run(main())


class UnreadyStore(MemoryStore):
    """Is never open."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def writer(self, *, takeover: bool = False) -> Any:
        return _NeverThere(self.asked)


class _NeverThere:
    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    async def __aenter__(self) -> None:
        self._asked.set()
        await trio.sleep_forever()

    async def __aexit__(self, *details: object) -> None:
        pytest.fail("left without having been entered")


def test_a_task_that_is_cancelled_while_it_opens_gives_that_up() -> None:
    async def open_it(store: UnreadyStore) -> None:
        async with from_asyncio.open_engine(store):
            pytest.fail("opened")

    async def main() -> None:
        store = UnreadyStore()
        task = asyncio.create_task(open_it(store))
        await asyncio.to_thread(store.asked.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


class Worker:
    """An activity that may be finished, and a workflow that awaits it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.finish = trio.Event()

        @aion.activity
        async def work() -> str:
            self.begun.set()
            await self.finish.wait()
            return "done"

        @aion.workflow
        async def worker() -> str:
            return await work()

        self.workflow = worker
        self.store = MemoryStore()

    async def stay(self, grace: float) -> None:
        """Open an engine, have it work, and stay in it until cancelled."""
        opening = from_asyncio.open_engine(
            self.store, workflows=[self.workflow, empty], shutdown_grace=grace
        )
        async with opening as self.engine:
            await self.engine.start(self.workflow, workflow_id="w")
            await asyncio.Event().wait()

    async def stopping(self) -> None:
        """Return when the engine takes nothing new."""
        with pytest.raises(aion.EngineStoppedError):
            while True:
                await self.engine.start(empty, workflow_id="probe")

    def kinds(self) -> list[type[e.HistoryEvent]]:
        return [type(event) for event in trio.run(self.store.read_history, WorkflowId("w"))]


def test_a_cancelled_block_lets_running_activities_finish() -> None:
    async def main() -> None:
        task = asyncio.create_task(worker.stay(grace=60))
        await asyncio.to_thread(worker.begun.wait)
        task.cancel()
        await worker.stopping()
        worker.engine._thread.run_soon(worker.finish.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    worker = Worker()
    run(main())
    assert worker.kinds()[-1] is e.WorkflowCompleted


def test_a_task_that_is_cancelled_again_while_it_leaves_ends_the_grace() -> None:
    async def main() -> None:
        task = asyncio.create_task(worker.stay(grace=3600))
        await asyncio.to_thread(worker.begun.wait)
        task.cancel()
        await worker.stopping()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    worker = Worker()
    run(main())
    assert worker.kinds() == [e.WorkflowStarted, e.ActivityScheduled]


def test_the_callers_error_comes_out_of_the_block() -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with from_asyncio.open_engine("memory:", workflows=[empty]):
                _ = 1 / 0

    run(main())


def test_whoever_waits_while_it_is_left_is_told() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[waiting]) as engine:
            handle = await engine.start(waiting)
            call = asyncio.create_task(handle.result())
            await asyncio.sleep(0)
        with pytest.raises(aion.EngineStoppedError):
            await call
        for late in (handle.result, engine.list_runs):
            with pytest.raises(aion.EngineStoppedError, match="open it again"):
                await late()

    run(main())


async def take_over(store: MemoryStore) -> None:
    async with store.writer(takeover=True):
        pass


def test_an_engine_that_has_lost_its_store_ends_the_block_and_says_why() -> None:
    async def main() -> None:
        store = MemoryStore()
        with pytest.raises(aion.FencedError, match="taken over"):
            async with from_asyncio.open_engine(store, workflows=[waiting]) as engine:
                await asyncio.to_thread(trio.run, take_over, store)
                with pytest.raises(aion.EngineStoppedError, match="FencedError") as caught:
                    await asyncio.create_task(start(engine))
                assert isinstance(caught.value.__cause__, aion.FencedError)
                await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(0)

    async def start(engine: from_asyncio.Engine) -> None:
        await engine.start(waiting)

    run(main())


def test_an_engine_that_fails_as_the_block_ends_cancels_nothing_after_it() -> None:
    async def main() -> None:
        store = MemoryStore()
        with pytest.raises(aion.FencedError):
            async with from_asyncio.open_engine(store, workflows=[waiting]) as engine:
                await asyncio.to_thread(trio.run, take_over, store)
                call = engine._thread.call(engine._engine.start, waiting)
                engine._thread.closed.exception()  # the loop stands still until all is over
                assert isinstance(call.exception(), aion.EngineStoppedError)
        await asyncio.sleep(0)

    run(main())


def calling(engines: list[from_asyncio.Engine]) -> Any:
    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def on_the_event_loop() -> str:
        return await (await engines[0].start(empty)).result()

    @aion.activity
    def in_a_thread() -> str:
        async def start() -> str:
            return await (await engines[0].start(empty)).result()

        return asyncio.run(start())

    @aion.workflow
    async def calls() -> str:
        return await in_a_thread()

    @aion.workflow
    async def calls_wrongly() -> str:
        return await on_the_event_loop()

    @aion.workflow
    async def is_wrong_itself() -> str:
        return await (await engines[0].start(empty)).result()

    return calls, calls_wrongly, is_wrong_itself


def test_under_trio_it_says_what_to_use_there() -> None:
    async def main() -> None:
        for opened in (from_asyncio.open_engine("memory:"), from_asyncio.open_client("memory:")):
            with pytest.raises(
                aion.WorkflowUsageError, match=r"under trio use aion_runtime\.open_"
            ):
                async with opened:
                    raise AssertionError("it was entered")

    trio.run(main)


def test_only_code_that_is_not_on_the_engines_own_loop_may_call() -> None:
    async def main() -> None:
        engines: list[from_asyncio.Engine] = []
        workflows = calling(engines)
        async with from_asyncio.open_engine("memory:", workflows=[*workflows, empty]) as engine:
            engines.append(engine)
            calls, calls_wrongly, is_wrong_itself = workflows
            assert await (await engine.start(calls)).result() == "done"
            with pytest.raises(aion.AionError, match="make the activity a plain function"):
                await (await engine.start(calls_wrongly)).result()
            with pytest.raises(aion.AionError, match="a workflow cannot ask an engine"):
                await (await engine.start(is_wrong_itself)).result()

    run(main())


def test_a_workflow_is_started_by_name_later_and_explained() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[waiting]) as engine:
            handle = await engine.start_named("waiting", {}, workflow_id="w", delay=3600)
            assert await engine.count() == 1
            assert (await engine.explain("w")).workflow_type == "waiting"
            assert (await handle.explain()).workflow_type == "waiting"

    run(main())


def test_events_are_followed_from_any_position() -> None:
    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[empty]) as engine:
            await (await engine.start(empty, workflow_id="a")).result()
            items = engine.events()
            kinds = [type((await anext(items)).event) for _ in range(2)]
            assert kinds == [e.WorkflowStarted, e.WorkflowCompleted]
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(items), 0.01)
            coming = asyncio.create_task(take_one(items))
            await engine.start(empty, workflow_id="b")
            async for item in engine.events(after=2):
                assert await coming == item
                break

    async def take_one(items: AsyncIterator[aion.FeedItem]) -> aion.FeedItem:
        return await anext(items)

    run(main())


def test_a_client_asks_the_engine_that_has_the_store_open(tmp_path: Path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/a.db"
        async with (
            from_asyncio.open_engine(url, workflows=[counting]),
            from_asyncio.open_client(url, workflows=[counting]) as client,
        ):
            handle = await client.start(counting, workflow_id="w")
            assert await handle.update(add, 3) == 3
            assert await client.get("w").query(total) == 3
            await handle.signal(go, 4)
            assert await handle.result() == 7

    run(main())


def test_a_client_without_an_engine_is_told_after_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        url = f"sqlite:///{tmp_path}/a.db"
        async with from_asyncio.open_client(url, answer_timeout=0.05) as client:
            with pytest.raises(aion.NoAnswerError):
                await client.start(empty, workflow_id="w")
        with pytest.raises(aion.EngineStoppedError):
            await client.count()

    run(main())


def test_an_activity_whose_attempts_are_over_is_helped_by_hand() -> None:
    tries: list[int] = []

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1, on_exhausted="pause"))
    def failing() -> str:
        tries.append(1)
        raise OSError("no")

    @aion.workflow
    async def caller() -> str:
        return await failing()

    async def main() -> None:
        async with from_asyncio.open_engine("memory:", workflows=[caller]) as engine:
            handle = await engine.start(caller)
            async for item in engine.events():
                if isinstance(item.event, e.ActivityFailed):
                    if len(tries) == 2:
                        await handle.supply(item.event.activity_id, "by hand", supplied_by="kim")
                        break
                    await handle.retry(item.event.activity_id)
            assert await handle.result() == "by hand"

    run(main())
