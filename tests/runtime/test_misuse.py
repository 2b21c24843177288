"""What workflow code must not do: it fails that run, says what to write, and harms nobody else."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from tests.runtime.conftest import Bench

SHARED_EVENT = trio.Event()
SHARED_LOCK = trio.Lock()


async def sleep() -> None:
    await trio.sleep(1)


async def sleep_until() -> None:
    await trio.sleep_until(1)


async def sleep_forever() -> None:
    await trio.sleep_forever()


async def open_nursery() -> None:
    async with trio.open_nursery():
        pass


async def cancel_scope() -> None:
    with trio.CancelScope():
        await aion.checkpoint()


async def move_on_after() -> None:
    with trio.move_on_after(1):
        await aion.checkpoint()


async def fail_after() -> None:
    with trio.fail_after(1):
        await aion.checkpoint()


async def event() -> None:
    await SHARED_EVENT.wait()


async def lock() -> None:
    async with SHARED_LOCK:
        pass


async def channel() -> None:
    _, receive = trio.open_memory_channel[int](0)
    await receive.receive()


async def thread() -> None:
    await trio.to_thread.run_sync(int)


async def checkpoint() -> None:
    await trio.lowlevel.checkpoint()


async def current_time() -> None:
    trio.current_time()


async def system_task() -> None:
    trio.lowlevel.spawn_system_task(trio.sleep_forever)


async def asyncio_sleep() -> None:
    await asyncio.sleep(1)


async def asyncio_yield() -> None:
    await asyncio.sleep(0)


async def asyncio_gather() -> None:
    await asyncio.gather(asyncio.Event().wait())


async def asyncio_timeout() -> None:
    async with asyncio.timeout(1):
        await aion.checkpoint()


async def asyncio_event() -> None:
    await asyncio.Event().wait()


async def asyncio_thread() -> None:
    await asyncio.to_thread(int)


MISUSES: dict[str, tuple[Callable[[], Awaitable[None]], str]] = {
    "sleep": (sleep, r"trio\.sleep .*use aion_runtime\.sleep "),
    "sleep_until": (sleep_until, r"trio\.sleep_until .*use aion_runtime\.sleep_until "),
    "sleep_forever": (sleep_forever, r"primitives of aion_runtime \(sleep,"),
    "open_nursery": (open_nursery, r"trio\.open_nursery .*use aion_runtime\.open_nursery "),
    "CancelScope": (cancel_scope, r"trio\.CancelScope .*use aion_runtime\.CancelScope "),
    "move_on_after": (move_on_after, r"use aion_runtime\.(CancelScope|move_on_after) "),
    "fail_after": (fail_after, r"trio\.fail_after .*use aion_runtime\.fail_after "),
    "Event": (event, r"trio\.Event\.wait .*do I/O in an activity"),
    "Lock": (lock, r"trio\.Lock .*do I/O in an activity"),
    "channel": (channel, r"trio\.MemoryReceiveChannel\.receive .*do I/O in an activity"),
    "thread": (thread, r"trio\.to_thread\.run_sync .*do I/O in an activity"),
    "checkpoint": (checkpoint, r"primitives of aion_runtime"),
    "current_time": (current_time, r"trio\.current_time .*use aion_runtime\.now\(\)"),
    "system_task": (system_task, r"trio\.spawn_system_task .*do I/O in an activity"),
    "asyncio.sleep": (asyncio_sleep, r"asyncio\.sleep .*use aion_runtime\.sleep "),
    "asyncio.sleep(0)": (asyncio_yield, r"primitives of aion_runtime"),
    "asyncio.gather": (asyncio_gather, r"asyncio\.gather .*use aion_runtime\.gather "),
    "asyncio.timeout": (asyncio_timeout, r"asyncio\.timeout .*use aion_runtime\.fail_after "),
    "asyncio.Event": (asyncio_event, r"asyncio\.Event\.wait .*do I/O in an activity"),
    "asyncio.to_thread": (asyncio_thread, r"asyncio\.to_thread .*do I/O in an activity"),
}


@aion.activity
async def touch(name: str) -> str:
    await trio.lowlevel.checkpoint()
    return name


@aion.workflow
async def misusing(name: str) -> None:
    await MISUSES[name][0]()


@aion.workflow
async def misusing_later(name: str) -> None:
    await touch(name)
    await MISUSES[name][0]()


@aion.workflow
async def good() -> str:
    await aion.sleep(1)
    return await touch("good")


@pytest.mark.parametrize("name", MISUSES)
async def test_a_foreign_primitive_fails_the_run_and_names_ours(bench: Bench, name: str) -> None:
    async with bench.engine(misusing) as engine:
        handle = await engine.start(misusing, name)
        with pytest.raises(aion.WorkflowFailedError) as caught:
            await handle.result()
    failure = caught.value.failure
    assert failure.type == "WorkflowUsageError"
    with pytest.raises(AssertionError, match=MISUSES[name][1]):
        raise AssertionError(failure.message)


@pytest.mark.parametrize("name", MISUSES)
async def test_the_host_is_unharmed_by_a_foreign_primitive(bench: Bench, name: str) -> None:
    """In the first activation, in a later one, and between them those of another run."""
    deadline = trio.current_effective_deadline()
    async with bench.engine(misusing, misusing_later, good) as engine:
        other = await engine.start(good)
        for workflow in (misusing, misusing_later):
            with pytest.raises(aion.WorkflowFailedError):
                await (await engine.start(workflow, name)).result()
        await bench.advance(1)
        assert await other.result() == "good"
        assert trio.current_effective_deadline() == deadline
        with trio.move_on_after(0) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught


async def test_what_hosts_and_workflows_share_is_not_left_held(bench: Bench) -> None:
    async with bench.engine(misusing) as engine:
        for name in ("Event", "Lock"):
            with pytest.raises(aion.WorkflowFailedError):
                await (await engine.start(misusing, name)).result()
    assert SHARED_EVENT.statistics().tasks_waiting == 0
    assert SHARED_LOCK.statistics().tasks_waiting == 0
    assert not SHARED_LOCK.locked()


async def test_a_misuse_can_be_caught_by_the_workflow(bench: Bench) -> None:
    @aion.workflow
    async def careful() -> str:
        try:
            await trio.sleep(1)
        except aion.WorkflowUsageError:
            return "caught"
        return "?"

    async with bench.engine(careful) as engine:
        assert await (await engine.start(careful)).result() == "caught"


async def test_a_workflow_called_outside_an_engine_says_how_to_run_it() -> None:
    with pytest.raises(aion.NotInWorkflowError, match=r"engine\.start\(good, \.\.\.\)"):
        await good()


async def test_a_workflow_called_in_an_activity_says_how_to_run_it(bench: Bench) -> None:
    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def calling() -> None:
        await good()

    @aion.workflow
    async def caller() -> None:
        await calling()

    async with bench.engine(caller) as engine:
        with pytest.raises(aion.WorkflowFailedError, match="NotInWorkflowError"):
            await (await engine.start(caller)).result()


@pytest.mark.parametrize(
    "use",
    [
        lambda: aion.sleep(1),
        aion.gather,
        lambda: aion.Signal("go", int).receive(),
    ],
    ids=["sleep", "gather", "receive"],
)
async def test_a_primitive_outside_workflows_says_so(use: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(aion.NotInWorkflowError):
        await use()


LEFT: dict[str, Any] = {}


@aion.workflow
async def child() -> None:
    await aion.sleep(1000)


@aion.workflow
async def leaving(ends: bool) -> None:
    """Leaves what belongs to it to everybody."""
    async with aion.open_nursery() as nursery:
        pass
    send, receive = aion.open_memory_channel[int](1)
    LEFT.update(
        event=aion.Event(),
        lock=aion.Lock(),
        semaphore=aion.Semaphore(1),
        scope=aion.CancelScope(),
        nursery=nursery,
        send=send,
        receive=receive,
        timer=aion.start_timer("tea", 60),
        child=await child.spawn(),
        context=contextvars.copy_context(),
    )
    if not ends:
        await aion.sleep(1000)


USES: dict[str, tuple[Any, ...]] = {
    "event.set": (),
    "event.wait": (),
    "lock.acquire": (),
    "semaphore.release": (),
    "scope.cancel": (),
    "nursery.start_soon": (touch, "late"),
    "send.send": (1,),
    "send.send_nowait": (1,),
    "receive.receive": (),
    "timer.wait": (),
    "timer.cancel": (),
    "child.result": (),
    "child.cancel": (),
}
"""What can be done with what a run has left, and with what arguments."""


def used(use: str) -> Any:
    thing, method = use.split(".")
    return getattr(LEFT[thing], method)(*USES[use])


async def tried(use: str) -> str:
    """The error that a use gives."""
    try:
        value = used(use)
        if hasattr(value, "__await__"):
            await value
    except aion.AionError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was wrong"


@aion.activity
async def trying(use: str) -> str:
    return await tried(use)


@aion.activity
def trying_in_a_thread(use: str) -> str:
    return trio.from_thread.run(tried, use)


@aion.activity
def trying_without_trio(use: str) -> str:
    """As far as it comes without awaiting."""
    coroutine = tried(use)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return str(stop.value)
    return "it waits"


@aion.workflow
async def using(place: str, use: str) -> str:
    if place == "another run":
        return await tried(use)
    places = {
        "an activity": trying,
        "a thread": trying_without_trio,
        "trio, from a thread": trying_in_a_thread,
    }
    return await places[place](use)


@pytest.mark.parametrize("ends", [True, False], ids=["ended", "waiting"])
@pytest.mark.parametrize("place", ["an activity", "a thread", "trio, from a thread", "another run"])
async def test_what_a_run_leaves_is_of_no_use_elsewhere(
    bench: Bench, place: str, ends: bool
) -> None:
    async with bench.engine(leaving, child, using) as engine:
        left = await engine.start(leaving, ends, workflow_id="left")
        await wait_all_tasks_blocked()
        before = await bench.history("left")
        for use in USES:
            answer = await (await engine.start(using, place, use)).result()
            if place == "another run":
                assert answer.startswith("WorkflowUsageError: this "), use
                assert "belongs to workflow 'left'" in answer, use
            else:
                assert answer.startswith("NotInWorkflowError: "), use
        assert await bench.history("left") == before
        assert (await left.describe()).status.is_closed is ends


@pytest.mark.parametrize("use", USES)
async def test_what_a_run_leaves_is_of_no_use_to_who_runs_the_engine(
    bench: Bench, use: str
) -> None:
    async with bench.engine(leaving, child) as engine:
        await (await engine.start(leaving, True)).result()
        assert (await tried(use)).startswith("NotInWorkflowError: ")
    assert (await tried(use)).startswith("NotInWorkflowError: ")


@pytest.mark.parametrize("use", ["nursery.start_soon", "timer.cancel", "child.cancel"])
async def test_code_in_the_context_of_a_run_that_has_ended_asks_for_nothing(
    bench: Bench, use: str
) -> None:
    async with bench.engine(leaving, child) as engine:
        await (await engine.start(leaving, True, workflow_id="left")).result()
        before = await bench.history("left")
        with pytest.raises(aion.WorkflowUsageError):
            LEFT["context"].run(used, use)
        await wait_all_tasks_blocked()
        assert await bench.history("left") == before


@pytest.mark.parametrize("use", ["event.set", "send.send_nowait", "semaphore.release"])
async def test_code_in_the_context_of_a_run_that_has_ended_moves_nothing(
    bench: Bench, use: str
) -> None:
    async with bench.engine(leaving, child) as engine:
        await (await engine.start(leaving, True, workflow_id="left")).result()
        before = await bench.history("left")
        LEFT["context"].run(used, use)
        await wait_all_tasks_blocked()
        assert await bench.history("left") == before


ASKED: dict[str, Callable[[aion.Engine], Awaitable[object]]] = {
    "start": lambda engine: engine.start(good, workflow_id="made"),
    "list_runs": lambda engine: engine.list_runs(),
    "describe": lambda engine: engine.describe("good"),
    "history": lambda engine: engine.get("good").history(),
    "result": lambda engine: engine.get("good").result(),
    "signal": lambda engine: engine.get("good").signal(aion.Signal("go", int), 1),
    "query": lambda engine: engine.get("good").query(aion.Query("state", int)),
    "update": lambda engine: engine.get("good").update(aion.Update("set", int, int), 1),
    "cancel": lambda engine: engine.get("good").cancel(),
    "terminate": lambda engine: engine.get("good").terminate(),
}


@pytest.mark.parametrize("call", ASKED)
async def test_an_engine_that_a_workflow_asks_does_nothing_and_goes_on(
    bench: Bench, call: str
) -> None:
    engines: list[aion.Engine] = []

    @aion.workflow
    async def asking() -> None:
        await ASKED[call](engines[0])

    async with bench.engine(asking, good) as engine:
        engines.append(engine)
        other = await engine.start(good, workflow_id="good")
        await wait_all_tasks_blocked()
        with pytest.raises(aion.WorkflowFailedError, match="a workflow cannot ask an engine"):
            await (await engine.start(asking)).result()
        assert await bench.history("made") == []
        await bench.advance(1)
        assert await other.result() == "good"


async def test_a_task_of_the_host_that_workflow_code_wakes_goes_on(bench: Bench) -> None:
    event, (send, receive) = trio.Event(), trio.open_memory_channel[int](0)
    awake: list[object] = []

    @aion.workflow
    async def waking() -> None:
        event.set()
        send.send_nowait(1)

    async def wait_for_event() -> None:
        await event.wait()
        awake.append("event")

    async def wait_for_channel() -> None:
        awake.append(await receive.receive())

    async with bench.engine(waking) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_event)
        nursery.start_soon(wait_for_channel)
        await wait_all_tasks_blocked()
        await (await engine.start(waking)).result()
    assert set(awake) == {"event", 1}


async def test_a_coroutine_that_a_run_leaves_is_refused_outside(bench: Bench) -> None:
    left: list[Awaitable[None]] = []

    @aion.workflow
    async def careless() -> None:
        left.append(aion.sleep(1))

    async with bench.engine(careless) as engine:
        await (await engine.start(careless)).result()
        with pytest.raises(aion.NotInWorkflowError):
            await left[0]


async def test_a_loop_that_code_sets_is_gone_when_it_rests(bench: Bench) -> None:
    @aion.workflow
    async def setting() -> None:
        asyncio._set_running_loop(None)
        await aion.sleep(1)

    async with bench.engine(setting) as engine:
        await engine.start(setting)
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()


class Shop:
    async def method(self) -> None: ...

    @staticmethod
    async def static() -> None: ...


async def generator() -> AsyncIterator[int]:
    yield 1


async def unannotated(order) -> None:  # type: ignore[no-untyped-def]
    ...


async def no_result_annotation(order: int):  # type: ignore[no-untyped-def]
    ...


async def variadic(*orders: int) -> None: ...


def plain() -> None: ...


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        (Shop.method, "method Shop.method cannot be a workflow"),
        (Shop().method, "a method cannot be a workflow"),
        (vars(Shop)["static"], "a method cannot be a workflow"),
        (lambda: None, "a lambda cannot be a workflow"),
        (Shop, "the class Shop cannot be a workflow"),
        (generator, "the generator generator cannot be a workflow"),
        (unannotated, "'order' of unannotated needs a type annotation"),
        (no_result_annotation, "needs an annotation of its result"),
        (variadic, "has no name to be stored under"),
        (plain, "must be an 'async def'"),
        (7, "7 cannot be a workflow"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_workflow_is_refused_where_it_is_defined(
    definition: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        aion.workflow(definition)


async def test_a_keyboard_interrupt_in_a_workflow_is_no_failure_of_the_run(bench: Bench) -> None:
    """It stops the engine, comes out bare, and the run goes on when it is opened again."""
    interrupting = [True]

    @aion.workflow
    async def interrupted() -> str:
        await aion.sleep(1)
        if interrupting:
            raise KeyboardInterrupt
        return "done"

    with pytest.raises(KeyboardInterrupt):
        async with bench.engine(interrupted) as engine:
            handle = await engine.start(interrupted, workflow_id="w")
            bench.clock.jump(1)
            await handle.result()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.TimerStarted]
    interrupting.clear()
    async with bench.engine(interrupted) as engine:
        assert await engine.get("w").result() == "done"


async def test_a_keyboard_interrupt_in_a_replay_stops_the_engine_bare(bench: Bench) -> None:
    interrupting: list[bool] = []

    @aion.workflow
    async def interrupted() -> str:
        if interrupting:
            raise KeyboardInterrupt
        await aion.sleep(1)
        return "done"

    async with bench.engine(interrupted) as engine:
        await engine.start(interrupted, workflow_id="w")
    interrupting.append(True)
    bench.clock.jump(1)
    with pytest.raises(KeyboardInterrupt):
        async with bench.engine(interrupted):
            await trio.sleep_forever()
    assert await bench.kinds("w") == [e.WorkflowStarted, e.TimerStarted]


async def test_an_engine_opened_in_a_workflow_is_refused(bench: Bench) -> None:
    @aion.workflow
    async def nested() -> None:
        async with aion.open_engine("memory:", workflows=[]):
            pass

    async with bench.engine(nested, good) as engine:
        with pytest.raises(aion.WorkflowFailedError):
            await (await engine.start(nested)).result()
        other = await engine.start(good)
        await wait_all_tasks_blocked()
        await bench.advance(1)
        assert await other.result() == "good"


async def test_clean_up_code_of_a_dropped_run_harms_nobody(bench: Bench) -> None:
    cleaned: list[str] = []

    @aion.workflow
    async def untidy() -> None:
        try:
            await aion.sleep(1000)
        finally:
            cleaned.append("begun")
            await trio.sleep(1)

    async with bench.engine(untidy) as engine:
        await engine.start(untidy, workflow_id="w")
        await wait_all_tasks_blocked()
    assert cleaned == ["begun"]
    assert await bench.kinds("w") == [e.WorkflowStarted, e.TimerStarted]
