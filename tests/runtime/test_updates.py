"""Updates through an engine: accepted or refused, handled, and answered once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import events as e
from tests.runtime.conftest import Fault
from tests.runtime.messaging import STORES, MailBench, opened, settled

go = aion.Signal("go", int)
end = aion.Signal("end", int)
add = aion.Update("add", int, int)
unknown = aion.Update("ad", int, int)


@pytest.fixture(params=STORES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MailBench]:
    async with opened(request.param, tmp_path) as inner:
        yield MailBench(inner)


@aion.activity
async def double(value: int) -> int:
    return 2 * value


def positive(value: int) -> None:
    if value < 0:
        raise ValueError(f"{value} is less than 0")


@aion.workflow
async def counting() -> int:
    """Counts what it is told; ends by a signal."""
    total = 0

    def change(value: int) -> int:
        nonlocal total
        if value == 13:
            raise aion.ApplicationError("it is unlucky", type="Superstition")
        total += value
        return total

    add.handle(change, validator=positive)
    await go.receive()
    return total


@aion.workflow
async def patient() -> int:
    """Its handler takes as long as an activity and a signal."""
    total = 0

    async def change(value: int) -> int:
        nonlocal total
        total += await double(value)
        total += await go.receive()
        return total

    add.handle(change)
    await end.receive()
    return total


class Asked:
    """An update that is waited for beside the test."""

    def __init__(self) -> None:
        self.answer: Any = None
        self.done = trio.Event()

    async def ask(
        self, handle: aion.WorkflowHandle[Any], value: int, update_id: str | None = None
    ) -> None:
        try:
            self.answer = await handle.update(add, value, update_id=update_id)
        except aion.AionError as error:
            self.answer = error
        self.done.set()


async def accepted(bench: MailBench, workflow_id: str) -> None:
    """Return when the store has an update of a workflow."""
    while e.UpdateAccepted not in await bench.kinds(workflow_id):
        await trio.lowlevel.checkpoint()


async def test_an_update_changes_the_state_and_is_answered(bench: MailBench) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        assert [await handle.update(add, 2), await handle.update(add, 3)] == [2, 5]
        await handle.signal(go, 0)
        assert await handle.result() == 5
    assert await bench.kinds("w") == [
        e.WorkflowStarted,
        e.UpdateAccepted,
        e.UpdateCompleted,
        e.UpdateAccepted,
        e.UpdateCompleted,
        e.SignalReceived,
        e.WorkflowCompleted,
    ]


async def test_a_handler_may_await_activities_and_signals(bench: MailBench) -> None:
    asked = Asked()
    async with bench.engine(patient) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(patient, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 5)
        await accepted(bench, "w")
        await handle.signal(go, 1)
        await asked.done.wait()
        assert asked.answer == 11
        await handle.signal(end, 0)
        assert await handle.result() == 11


async def test_what_the_validator_refuses_leaves_no_trace(bench: MailBench) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        with pytest.raises(aion.UpdateRejectedError, match="ValueError: -1 is less than 0"):
            await handle.update(add, -1)
        assert await handle.update(add, 1) == 1
    assert (await bench.kinds("w")).count(e.UpdateAccepted) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: SystemExit("no"),
        aion.Cancelled,
        lambda: BaseExceptionGroup("no", [aion.Cancelled()]),
    ],
    ids=["exit", "cancelled", "group"],
)
async def test_whatever_a_validator_does_only_its_update_is_refused(
    make: Callable[[], BaseException],
) -> None:
    bench = MailBench()

    @aion.workflow
    async def odd() -> int:
        def check(value: int) -> None:
            raise make()

        add.handle(lambda value: value, validator=check)
        return await go.receive()

    async with bench.engine(odd) as engine:
        handle = await engine.start(odd, workflow_id="w")
        with pytest.raises(aion.UpdateRejectedError):
            await handle.update(add, 1)
        await handle.signal(go, 3)
        assert await handle.result() == 3


async def test_a_validator_that_continues_as_new_is_a_refusal() -> None:
    bench = MailBench()

    @aion.workflow
    async def odd() -> int:
        def check(value: int) -> None:
            odd.continue_as_new()

        add.handle(lambda value: value, validator=check)
        return await go.receive()

    async with bench.engine(odd) as engine:
        handle = await engine.start(odd, workflow_id="w")
        with pytest.raises(aion.UpdateRejectedError):
            await handle.update(add, 1)
        await handle.signal(go, 3)
        assert await handle.result() == 3


async def test_an_update_without_a_handler_is_refused_with_the_nearest_name(
    bench: MailBench,
) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        with pytest.raises(aion.UpdateRejectedError, match=r"handles no update 'ad'.*'add'"):
            await handle.update(unknown, 1)
    assert await bench.kinds("w") == [e.WorkflowStarted]


async def test_a_handler_that_raises_fails_its_update_and_not_the_run(bench: MailBench) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        with pytest.raises(aion.UpdateFailedError) as caught:
            await handle.update(add, 13)
        assert caught.value.failure.type == "Superstition"
        assert caught.value.update == "add"
        assert await handle.update(add, 1) == 1


async def test_the_same_update_sent_again_is_done_once(bench: MailBench) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        answers = [await handle.update(add, 4, update_id="u") for _ in range(3)]
    assert answers == [4, 4, 4]
    assert (await bench.kinds("w")).count(e.UpdateAccepted) == 1


async def test_a_failed_update_sent_again_has_failed(bench: MailBench) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        for _ in range(2):
            with pytest.raises(aion.UpdateFailedError, match="it is unlucky"):
                await handle.update(add, 13, update_id="u")


async def test_the_same_update_sent_meanwhile_has_the_same_answer(bench: MailBench) -> None:
    first, second = Asked(), Asked()
    async with bench.engine(patient) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(patient, workflow_id="w")
        nursery.start_soon(first.ask, handle, 5, "u")
        await accepted(bench, "w")
        nursery.start_soon(second.ask, handle, 5, "u")
        await handle.signal(go, 1)
        await first.done.wait()
        await second.done.wait()
    assert (first.answer, second.answer) == (11, 11)
    assert (await bench.kinds("w")).count(e.UpdateAccepted) == 1


@pytest.mark.parametrize("is_evicted", [False, True])
async def test_an_update_is_asked_for_again_of_the_next_engine(
    bench: MailBench, is_evicted: bool
) -> None:
    asked = Asked()
    options = {"resident_bytes": 0} if is_evicted else {}
    async with trio.open_nursery() as nursery:
        async with bench.engine(patient, **options) as engine:
            handle = await engine.start(patient, workflow_id="w")
            nursery.start_soon(asked.ask, handle, 5, "u")
            await accepted(bench, "w")
        await asked.done.wait()
        assert isinstance(asked.answer, aion.EngineStoppedError)
    again, later = Asked(), Asked()
    async with bench.engine(patient, **options) as engine, trio.open_nursery() as nursery:
        handle = engine.get("w")
        nursery.start_soon(again.ask, handle, 5, "u")
        await handle.signal(go, 1)
        await again.done.wait()
        await handle.signal(end, 0)
        await handle.result()
        await later.ask(handle, 5, "u")
    async with bench.engine(patient, **options) as engine:
        assert await engine.get("w").update(add, 5, update_id="u") == 11
    assert (again.answer, later.answer) == (11, 11)


async def test_an_update_at_work_when_the_run_returns_is_recorded_as_unanswered(
    bench: MailBench,
) -> None:
    asked = Asked()
    async with bench.engine(patient) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(patient, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 5, "u")
        await accepted(bench, "w")
        await handle.signal(end, 0)
        await asked.done.wait()
        assert isinstance(asked.answer, aion.WorkflowClosedError)
        with pytest.raises(aion.WorkflowClosedError, match="the update has no answer"):
            await handle.update(add, 5, update_id="u")
        await handle.result()
    *_, failed, completed = await bench.history("w")
    assert isinstance(failed, e.UpdateFailed)
    assert "(Completed)" in failed.error.message
    assert isinstance(completed, e.WorkflowCompleted)


async def test_an_update_at_work_when_the_run_continues_as_new_is_told_so(
    bench: MailBench,
) -> None:
    @aion.workflow
    async def going_on(run: int) -> int:
        async def wait(value: int) -> int:
            return await end.receive()

        add.handle(wait)
        received = await go.receive()
        if not run:
            going_on.continue_as_new(1)
        return received

    asked = Asked()
    async with bench.engine(going_on) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(going_on, 0, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 5)
        await accepted(bench, "w")
        await handle.signal(go, 1)
        await asked.done.wait()
    assert isinstance(asked.answer, aion.WorkflowClosedError)
    assert asked.answer.status == "ContinuedAsNew"


async def test_an_update_while_the_run_is_closing_is_refused() -> None:
    bench = MailBench()

    @aion.workflow
    async def closing() -> int:
        add.handle(slow)
        await go.receive()
        return 1

    async def slow(value: int) -> int:
        with aion.CancelScope(shield=True):
            value += await end.receive()
        return value

    asked = Asked()
    async with bench.engine(closing) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(closing, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 5)
        await accepted(bench, "w")
        await handle.signal(go, 0)
        # Its result is certain, but a handler at work is waited for that does not stop.
        with pytest.raises(aion.WorkflowClosedError, match="its result is certain"):
            await handle.update(add, 1)
        with pytest.raises(aion.WorkflowClosedError):
            await handle.signal(end, 1)
        with pytest.raises(aion.WorkflowClosedError):
            await handle.cancel()
        await handle.terminate()
        await asked.done.wait()
    assert isinstance(asked.answer, aion.WorkflowClosedError)


async def test_an_update_to_a_run_that_has_ended_is_refused(bench: MailBench) -> None:
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting, workflow_id="w")
        await handle.signal(go, 0)
        await handle.result()
        with pytest.raises(aion.WorkflowClosedError, match="Completed"):
            await handle.update(add, 1)
        with pytest.raises(aion.WorkflowNotFoundError):
            await engine.get("nobody").update(add, 1)


@pytest.mark.parametrize("update_id", [None, "u"])
async def test_termination_answers_the_updates_at_work(
    bench: MailBench, update_id: str | None
) -> None:
    asked = Asked()
    async with bench.engine(patient) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(patient, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 5, update_id)
        await accepted(bench, "w")
        await handle.terminate()
        await asked.done.wait()
        assert isinstance(asked.answer, aion.WorkflowClosedError)
        if update_id is not None:
            with pytest.raises(aion.WorkflowClosedError):
                await handle.update(add, 5, update_id=update_id)


async def test_an_update_to_a_stuck_run_is_refused_and_nothing_is_kept(bench: MailBench) -> None:
    @aion.workflow
    async def defective() -> int:
        add.handle(lambda value: value)
        await go.receive()
        raise SystemExit("a defect")

    async with bench.engine(defective) as engine:
        handle = await engine.start(defective, workflow_id="w")
        await handle.signal(go, 1)
        await settled(engine)
        with pytest.raises(aion.WorkflowStuckError):
            await handle.update(add, 1)
        assert [message.kind for message in await bench.pending()] == ["signal"]


async def test_who_waits_for_an_answer_hears_that_the_run_is_stuck(bench: MailBench) -> None:
    asked = Asked()

    @aion.workflow
    async def defective() -> int:
        async def never(value: int) -> int:
            return await end.receive()

        add.handle(never)
        await go.receive()
        raise SystemExit("a defect")

    async with bench.engine(defective) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(defective, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 1)
        await accepted(bench, "w")
        await handle.signal(go, 1)
        await asked.done.wait()
    assert isinstance(asked.answer, aion.WorkflowStuckError)


async def test_an_update_at_work_when_the_run_continues_has_no_answer(bench: MailBench) -> None:
    asked = Asked()

    @aion.workflow
    async def renewing(generation: int) -> int:
        async def slow(value: int) -> int:
            return await end.receive()

        add.handle(slow if generation == 0 else lambda value: value)
        if generation == 0:
            await go.receive()
            renewing.continue_as_new(1)
        return await go.receive()

    async with bench.engine(renewing) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(renewing, 0, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 1)
        await accepted(bench, "w")
        await handle.signal(go, 1)
        await asked.done.wait()
        assert isinstance(asked.answer, aion.WorkflowClosedError)
        assert await handle.update(add, 6) == 6
    failed = [event for event in await bench.history("w") if isinstance(event, e.UpdateFailed)]
    assert "(ContinuedAsNew)" in failed[0].error.message


async def test_an_argument_that_does_not_fit_is_refused_where_the_workflow_declares_it(
    bench: MailBench,
) -> None:
    words = aion.Update("add", str, int)
    untyped: aion.Update[Any, int] = aion.Update("add", int, int)

    @aion.workflow(accepts=[add])
    async def declaring() -> int:
        add.handle(lambda value: value)
        return await go.receive()

    async with bench.engine(declaring, counting) as engine:
        declared = await engine.start(declaring, workflow_id="w")
        with pytest.raises(aion.PayloadError):
            await declared.update(words, "seven")
        undeclared = await engine.start(counting, workflow_id="v")
        with pytest.raises(aion.PayloadError):
            await undeclared.update(words, "seven")
        with pytest.raises(aion.PayloadError):
            await undeclared.update(untyped, "seven")
    assert await bench.kinds("w") == await bench.kinds("v") == [e.WorkflowStarted]


async def test_an_answer_that_does_not_fit_fails_the_update(bench: MailBench) -> None:
    @aion.workflow
    async def odd() -> int:
        add.handle(lambda value: "seven")  # type: ignore[arg-type]
        return await go.receive()

    async with bench.engine(odd) as engine:
        handle = await engine.start(odd, workflow_id="w")
        with pytest.raises(aion.UpdateFailedError, match="PayloadError"):
            await handle.update(add, 1)
        await handle.signal(go, 2)
        assert await handle.result() == 2


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
@pytest.mark.parametrize("kind", [e.UpdateAccepted, e.UpdateCompleted])
@pytest.mark.parametrize("update_id", [None, "u"])
async def test_whatever_goes_wrong_an_update_is_done_once(
    name: str, kind: type[e.HistoryEvent], update_id: str | None
) -> None:
    bench = MailBench()
    fault = Fault(name, bench)
    async with bench.engine(counting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(counting, workflow_id="w")
        fault.arm(kind)
        nursery.start_soon(fault.heal_when_struck)
        assert await handle.update(add, 4, update_id=update_id) == 4
        assert await handle.update(add, 4) == 8
    assert (await bench.kinds("w")).count(e.UpdateAccepted) == 2


@pytest.mark.parametrize("name", ["held", "refused", "lost"])
async def test_whatever_goes_wrong_a_late_answer_is_given(name: str) -> None:
    bench, asked = MailBench(), Asked()
    fault = Fault(name, bench)
    async with bench.engine(patient) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(patient, workflow_id="w")
        nursery.start_soon(asked.ask, handle, 5)
        await accepted(bench, "w")
        await wait_all_tasks_blocked()
        fault.arm(e.UpdateCompleted)
        nursery.start_soon(fault.heal_when_struck)
        await handle.signal(go, 1)
        await asked.done.wait()
    assert asked.answer == 11


async def test_nobody_is_answered_before_the_answer_is_durable() -> None:
    bench = MailBench()
    asked = Asked()
    async with bench.engine(counting) as engine, trio.open_nursery() as nursery:
        handle = await engine.start(counting, workflow_id="w")
        gate = bench.store.hold(e.UpdateCompleted)
        nursery.start_soon(asked.ask, handle, 4)
        await gate.reached.wait()
        await wait_all_tasks_blocked()
        assert not asked.done.is_set()
        gate.open()
        await asked.done.wait()
    assert asked.answer == 4


async def test_who_does_not_wait_any_longer_leaves_nothing_behind() -> None:
    bench = MailBench()
    async with bench.engine(patient) as engine:
        handle = await engine.start(patient, workflow_id="w")
        with trio.move_on_after(0.01):
            await handle.update(add, 5)
        assert engine._dispatcher.answers._pending == {}
        await handle.signal(go, 1)
        await handle.signal(end, 1)
        assert await handle.result() == 11


@pytest.mark.parametrize(
    "update", ["add", go, aion.Query("add", int)], ids=["text", "signal", "query"]
)
async def test_something_else_than_an_update_is_refused(update: Any) -> None:
    bench = MailBench()
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting)
        with pytest.raises(aion.WorkflowUsageError, match="update takes an Update, not"):
            await handle.update(update, 1)


@pytest.mark.parametrize("update_id", ["", "a\nb", 5])
async def test_an_id_that_cannot_be_one_is_refused(update_id: Any) -> None:
    bench = MailBench()
    async with bench.engine(counting) as engine:
        handle = await engine.start(counting)
        with pytest.raises(aion.InvalidIdError, match="non-empty printable text"):
            await handle.update(add, 1, update_id=update_id)
