"""The recorder: what it does when the store refuses, breaks, or says nothing at all.

The cases of the engine's own writing stand at the end: there a run is thrown away and loaded again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from aion_core.contracts import Append, StoreWriter
from aion_core.errors import MessageGoneError, StoreError
from aion_core.ids import RunId, WorkflowId
from aion_core.payloads import JSON, Payload
from aion_runtime.recovery import Recorder, WritableStore
from aion_runtime.testing import VirtualClock
from tests.runtime.conftest import Bench
from tests.runtime.faults import FaultyStore

ID = WorkflowId("w")
AT = VirtualClock().now()


def started(seq: int = 1) -> e.WorkflowStarted:
    return e.WorkflowStarted(
        seq=seq,
        recorded_at=AT,
        workflow_id=ID,
        workflow_type="w",
        input=Payload(JSON, b"{}"),
        run_id=RunId("r"),
        package_version=e.UNVERSIONED,
        random_seed=1,
    )


def signal(seq: int, name: str = "go") -> e.SignalReceived:
    return e.SignalReceived(
        seq=seq, recorded_at=AT, workflow_id=ID, name=name, payload=Payload(JSON, b"1")
    )


def completed(seq: int) -> e.WorkflowCompleted:
    return e.WorkflowCompleted(
        seq=seq, recorded_at=AT, workflow_id=ID, result=Payload(JSON, b"null")
    )


class Scene:
    """A run that has begun, its recorder, and the store between them."""

    def __init__(self, store: FaultyStore, access: WritableStore, clock: VirtualClock) -> None:
        self.store = store
        self.access = access
        self.clock = clock
        self.recorder = Recorder(access, ID, 1, clock=clock)

    async def history(self) -> Sequence[e.HistoryEvent]:
        return await self.store.inner.read_history(ID)

    async def let_time_pass(self) -> None:
        """Whoever pauses goes on, as often as it takes."""
        while True:
            await wait_all_tasks_blocked()
            self.clock.jump(5)

    async def append(self, *events: e.HistoryEvent) -> None:
        error: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.let_time_pass)
            try:
                await self.recorder.append(events)
            except Exception as raised:
                error = raised
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    store = FaultyStore()
    async with store.writer() as writer:
        await writer.append(ID, [started()], 0)
        yield Scene(store, WritableStore(store, writer), VirtualClock())


async def test_what_is_appended_moves_the_head(scene: Scene) -> None:
    await scene.recorder.append([signal(2), signal(3)])
    assert scene.recorder.head == 3
    assert await scene.history() == [started(), signal(2), signal(3)]


async def test_a_commit_whose_answer_is_lost_is_adopted(scene: Scene) -> None:
    scene.store.lose_answer(e.SignalReceived)
    await scene.append(signal(2), signal(3))
    assert scene.recorder.head == 3
    assert await scene.history() == [started(), signal(2), signal(3)]


async def test_an_append_that_fails_and_leaves_nothing_is_made_again(scene: Scene) -> None:
    scene.store.refuse(e.SignalReceived, error=StoreError("broken pipe"))
    await scene.append(signal(2))
    assert scene.recorder.head == 2
    assert await scene.history() == [started(), signal(2)]


async def test_an_append_that_fails_each_time_is_reported_in_the_end(scene: Scene) -> None:
    scene.store.refuse(e.SignalReceived, times=100, error=StoreError("broken pipe"))
    with pytest.raises(StoreError, match="broken pipe"):
        await scene.append(signal(2))
    assert scene.recorder.head == 1


async def test_events_of_ours_that_others_have_followed_are_adopted(scene: Scene) -> None:
    """Somebody took over after our commit and wrote on; the next append shows that."""

    async def follow(writer: StoreWriter) -> None:
        await writer.append(ID, [signal(2)], 1)
        await writer.append(ID, [signal(3, "theirs")], 2)

    scene.store.meddle(e.SignalReceived, follow)
    scene.store.refuse(e.SignalReceived, error=StoreError("broken pipe"))
    await scene.append(signal(2))
    assert scene.recorder.head == 2
    with pytest.raises(aion.SequenceConflictError):
        await scene.recorder.append([signal(3)])


async def test_other_events_in_the_place_of_a_lost_append_are_a_conflict(scene: Scene) -> None:
    async def take_over(writer: StoreWriter) -> None:
        await writer.append(ID, [signal(2, "theirs")], 1)

    scene.store.meddle(e.SignalReceived, take_over)
    scene.store.refuse(e.SignalReceived, error=StoreError("broken pipe"))
    with pytest.raises(aion.SequenceConflictError):
        await scene.append(signal(2))
    assert await scene.history() == [started(), signal(2, "theirs")]


async def test_after_a_conflict_nothing_is_written_before_the_history_is_read(
    scene: Scene,
) -> None:
    await scene.access.writer.append(ID, [signal(2, "theirs")], 1)
    with pytest.raises(aion.SequenceConflictError):
        await scene.recorder.append([signal(2)])
    tries = len(scene.store.tries)
    with pytest.raises(aion.SequenceConflictError):
        await scene.recorder.append([signal(2)])
    assert len(scene.store.tries) == tries
    history = await scene.recorder.reload()
    await scene.recorder.append([signal(len(history) + 1)])
    assert await scene.history() == [started(), signal(2, "theirs"), signal(3)]


async def test_a_store_that_cannot_be_written_now_is_reported_at_once(scene: Scene) -> None:
    scene.store.refuse(e.SignalReceived)
    with pytest.raises(aion.StoreUnavailableError):
        await scene.recorder.append([signal(2)])
    await scene.recorder.append([signal(2)])
    assert await scene.history() == [started(), signal(2)]


async def test_an_end_is_tried_until_the_store_takes_it(scene: Scene) -> None:
    scene.store.refuse(e.WorkflowCompleted, times=20)
    scene.store.refuse(e.WorkflowCompleted, times=20, error=StoreError("broken pipe"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.let_time_pass)
        await scene.recorder.append_terminal([completed(2)])
        nursery.cancel_scope.cancel()
    assert await scene.history() == [started(), completed(2)]
    assert len(scene.store.tries) == 42


async def test_an_end_whose_answer_is_lost_is_recorded_once(scene: Scene) -> None:
    scene.store.lose_answer(e.WorkflowCompleted)
    await scene.recorder.append_terminal([completed(2)])
    assert await scene.history() == [started(), completed(2)]


async def test_an_end_that_cannot_be_written_is_given_up_when_the_engine_stops(
    scene: Scene,
) -> None:
    scene.store.refuse(e.WorkflowCompleted, times=1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.recorder.append_terminal, [completed(2)])
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await scene.history() == [started()]


async def test_a_fenced_recorder_says_so(scene: Scene) -> None:
    async with scene.store.inner.writer(takeover=True):
        with pytest.raises(aion.FencedError):
            await scene.recorder.append_terminal([completed(2)])


async def test_events_that_cannot_be_stored_are_refused_and_nothing_hangs(scene: Scene) -> None:
    with pytest.raises(StoreError):
        await scene.recorder.append_terminal([completed(7)])
    assert scene.recorder.head == 1


async def test_a_message_that_is_gone_is_not_consumed_again(scene: Scene) -> None:
    with pytest.raises(MessageGoneError):
        await scene.recorder.append([signal(2)], consume=["nobody sent this"])
    assert await scene.history() == [started()]


async def test_an_append_of_nothing_still_consumes(scene: Scene) -> None:
    with pytest.raises(MessageGoneError):
        await scene.recorder.append([], consume=["nobody sent this"])


async def test_a_history_that_cannot_be_read_leaves_the_append_in_doubt(scene: Scene) -> None:
    scene.store.lose_answer(e.SignalReceived)
    scene.store.unreadable_ranges += [StoreError("broken pipe")] * 100
    with pytest.raises(StoreError, match="answer was lost"):
        await scene.append(signal(2))
    scene.store.unreadable_ranges.clear()
    with pytest.raises(StoreError, match="answer was lost"):
        await scene.recorder.append([signal(2)])
    assert await scene.recorder.reload() == [started(), signal(2)]
    assert scene.recorder.head == 2


go = aion.Signal("go", int)


@aion.workflow
async def adding() -> int:
    return await go.receive() + await go.receive()


@pytest.mark.parametrize(
    "error", [StoreError("broken pipe"), aion.StoreUnavailableError("not now")], ids=type
)
async def test_an_engine_writes_again_what_was_not_written(bench: Bench, error: Exception) -> None:
    async with bench.engine(adding) as engine:
        await engine.start(adding, workflow_id="w")
        bench.store.refuse(e.SignalReceived, error=error)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.get("w").signal, go, 1)
            await wait_all_tasks_blocked()
            await bench.advance(0.05)
    assert (await bench.kinds("w")).count(e.SignalReceived) == 1


async def test_an_engine_adopts_what_was_written_after_all(bench: Bench) -> None:
    async with bench.engine(adding) as engine:
        await engine.start(adding, workflow_id="w")
        bench.store.lose_answer(e.SignalReceived)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(engine.get("w").signal, go, 1)
            await wait_all_tasks_blocked()
            await bench.advance(0.05)
    assert (await bench.kinds("w")).count(e.SignalReceived) == 1


async def test_an_engine_reads_the_history_again_after_a_conflict(bench: Bench) -> None:
    async def meddle(writer: StoreWriter) -> None:
        (first,) = await bench.history("w")
        received = e.SignalReceived(
            seq=2,
            recorded_at=first.recorded_at,
            workflow_id=first.workflow_id,
            name="go",
            payload=Payload(JSON, b"5"),
        )
        await writer.append_many([Append(first.workflow_id, [received], 1)])

    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, workflow_id="w")
        bench.store.meddle(e.SignalReceived, meddle)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle.signal, go, 1)
            await wait_all_tasks_blocked()
            await bench.advance(0.05)
        assert await handle.result() == 6


async def test_an_engine_tries_an_end_until_the_store_takes_it(bench: Bench) -> None:
    async with bench.engine(adding) as engine:
        handle = await engine.start(adding, workflow_id="w")
        await handle.signal(go, 1)
        bench.store.refuse(e.WorkflowCompleted, times=20)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle.signal, go, 2)
            for _ in range(21):
                await wait_all_tasks_blocked()
                await bench.advance(5)
        assert await handle.result() == 3
    assert (await bench.kinds("w")).count(e.WorkflowCompleted) == 1


async def test_an_engine_that_is_taken_over_after_its_commit_adopts_it_and_then_stops(
    bench: Bench,
) -> None:
    sent: list[int] = []

    async def send(value: int) -> None:
        await engine.get("w").signal(go, value)
        sent.append(value)

    with pytest.raises(aion.FencedError):
        async with bench.engine(adding) as engine, trio.open_nursery() as nursery:
            await engine.start(adding, workflow_id="w")
            bench.store.lose_answer(e.SignalReceived)
            nursery.start_soon(send, 1)
            await wait_all_tasks_blocked()
            async with bench.store.inner.writer(takeover=True):
                await bench.advance(0.05)
                assert sent == [1]
                nursery.start_soon(send, 2)
                await trio.sleep_forever()
    assert (await bench.kinds("w")).count(e.SignalReceived) == 1
