"""The eager pass of recovery: what it promises of each workflow, and of one beside the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime

import pytest

import aion_runtime as aion
from aion_core import commands as c
from aion_core import events as e
from aion_core import replay
from aion_core.contracts import (
    ActivityAttempt,
    ChildOutcome,
    LiveExecutor,
    RecoveryDriver,
    RecoveryPlan,
    SeamContext,
)
from aion_core.errors import StoreError
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCompleted
from aion_core.payloads import JSON, Payload, PayloadConverter
from aion_core.policies import ActivityOptions
from aion_runtime.catalog import WorkflowCatalog
from aion_runtime.guard import activation_guard
from aion_runtime.recovery import (
    Failed,
    MachineDriver,
    Recorder,
    RecoveryReport,
    Resumed,
    Terminal,
    WritableStore,
    recover,
    recover_one,
)
from aion_runtime.testing import VirtualClock
from tests.runtime.faults import FaultyStore

AT = VirtualClock().now()
NULL = Payload(JSON, b"null")
EMPTY = Payload(JSON, b"{}")


class Untouchable(LiveExecutor):
    """An executor that nobody may call."""

    async def run_activity(self, attempt: ActivityAttempt) -> AttemptCompleted:
        raise AssertionError("executed")

    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None:
        raise AssertionError("executed")

    async def await_signal(self, name: str, index: int) -> Payload:
        raise AssertionError("executed")

    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        raise AssertionError("executed")


Planner = Callable[[Sequence[e.HistoryEvent]], Iterable[c.Command]]


class Table(RecoveryDriver):
    """Plans by a table, without a machine."""

    def __init__(self, **planners: Planner) -> None:
        self._planners = planners
        self.failure_recorded_at: datetime | None = None
        self.run_id = RunId("r")

    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
    ) -> RecoveryPlan:
        return RecoveryPlan(
            run_id=self.run_id,
            commands=self._planners[workflow_id](history),
            failure_recorded_at=self.failure_recorded_at or history[-1].recorded_at,
        )


def call(name: str = "work", ordinal: int = 0) -> c.RunActivity:
    return c.RunActivity(ActivityId(f"activity:{ordinal}"), name, EMPTY, ActivityOptions())


def a_call(_: object) -> list[c.Command]:
    return [call()]


def another_call(_: object) -> list[c.Command]:
    return [call("play")]


class Scene:
    """A store with runs that each have called one activity, and a writer."""

    def __init__(self, store: FaultyStore, access: WritableStore) -> None:
        self.store = store
        self.access = access

    async def begin(self, *workflow_ids: str, scheduled: bool = True) -> None:
        for workflow_id in map(WorkflowId, workflow_ids):
            events: list[e.HistoryEvent] = [
                e.WorkflowStarted(
                    seq=1,
                    recorded_at=AT,
                    workflow_id=workflow_id,
                    workflow_type="w",
                    input=EMPTY,
                    run_id=RunId("r"),
                    package_version=e.UNVERSIONED,
                    random_seed=1,
                )
            ]
            if scheduled:
                events.append(
                    e.ActivityScheduled(
                        seq=2,
                        recorded_at=AT,
                        workflow_id=workflow_id,
                        activity_id=ActivityId("activity:0"),
                        activity_type="work",
                        input=EMPTY,
                        options=ActivityOptions(),
                    )
                )
            await self.access.writer.append(workflow_id, events, 0)
        self.store.tries.clear()

    async def complete(self, workflow_id: str) -> None:
        completed = e.ActivityCompleted(
            seq=3,
            recorded_at=AT,
            workflow_id=WorkflowId(workflow_id),
            activity_id=ActivityId("activity:0"),
            result=NULL,
            attempt=1,
        )
        await self.access.writer.append(WorkflowId(workflow_id), [completed], 2)
        self.store.tries.clear()

    async def recover(self, driver: RecoveryDriver, **options: object) -> list[RecoveryReport]:
        self.store.reads.clear()
        return await recover(self.access, Untouchable(), driver, **options)  # type: ignore[arg-type]

    async def history(self, workflow_id: str) -> Sequence[e.HistoryEvent]:
        return await self.store.inner.read_history(WorkflowId(workflow_id))


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    store = FaultyStore()
    async with store.writer() as writer:
        yield Scene(store, WritableStore(store, writer))


def outcomes(reports: Sequence[RecoveryReport]) -> dict[str, type]:
    return {report.workflow_id: type(report.outcome) for report in reports}


async def test_the_reports_are_in_the_order_of_the_active_workflows(scene: Scene) -> None:
    await scene.begin("c", "a", "b")
    reports = await scene.recover(Table(a=a_call, b=a_call, c=a_call))
    assert [report.workflow_id for report in reports] == await scene.store.list_active()
    assert len(reports) == 3


async def test_the_history_of_each_listed_workflow_is_read_once(scene: Scene) -> None:
    await scene.begin("a", "b")
    await scene.recover(Table(a=a_call, b=another_call))
    assert scene.store.reads == ["a", "b"]


async def test_a_run_that_waits_is_resumed_at_the_first_command_without_an_answer(
    scene: Scene,
) -> None:
    await scene.begin("a")
    await scene.complete("a")
    (report,) = await scene.recover(Table(a=lambda _: [call(), call("next", 1)]))
    assert isinstance(report.outcome, Resumed)
    point = report.outcome.resume_at
    assert (point.command_index, point.command, point.head) == (1, call("next", 1), 3)
    assert report.outcome.recorded == 1


async def test_the_command_to_go_on_with_is_reported_and_not_executed(scene: Scene) -> None:
    await scene.begin("a")
    before = await scene.history("a")
    assert outcomes(await scene.recover(Table(a=a_call))) == {"a": Resumed}
    assert await scene.history("a") == before
    assert scene.store.tries == []


async def test_a_run_that_ended_meanwhile_is_terminal(scene: Scene) -> None:
    await scene.begin("a")
    completed = e.WorkflowCompleted(seq=3, recorded_at=AT, workflow_id=WorkflowId("a"), result=NULL)
    await scene.access.writer.append(WorkflowId("a"), [completed], 2)
    report = await recover_one(
        scene.access,
        Untouchable(),
        Table(a=lambda _: [call(), c.CompleteWorkflow(NULL)]),
        WorkflowId("a"),
    )
    assert report.outcome == Terminal(replay.Completed(NULL), 0, 3)


async def test_one_workflow_that_fails_leaves_the_others_as_they_are(scene: Scene) -> None:
    await scene.begin("a", "b", "c")

    def broken(_: object) -> list[c.Command]:
        raise ZeroDivisionError

    reports = await scene.recover(Table(a=a_call, b=broken, c=a_call))
    assert outcomes(reports) == {"a": Resumed, "b": Failed, "c": Resumed}


async def test_a_history_that_cannot_be_read_fails_that_workflow_alone(scene: Scene) -> None:
    await scene.begin("a", "b")
    scene.store.unreadable.append(StoreError("broken pipe"))
    reports = await scene.recover(Table(a=a_call, b=a_call))
    assert outcomes(reports) == {"a": Failed, "b": Resumed}
    assert isinstance(reports[0].outcome, Failed)
    assert str(reports[0].outcome.error) == "broken pipe"


async def test_only_a_list_that_cannot_be_had_is_raised(scene: Scene) -> None:
    class Unlisted(FaultyStore):
        async def list_active(self) -> Sequence[WorkflowId]:
            raise StoreError("broken pipe")

    access = WritableStore(Unlisted(scene.store), scene.access.writer)
    with pytest.raises(StoreError, match="broken pipe"):
        await recover(access, Untouchable(), Table())


async def test_a_violation_records_exactly_one_failure(scene: Scene) -> None:
    await scene.begin("a")
    (report,) = await scene.recover(Table(a=another_call))
    assert isinstance(report.outcome, Failed)
    assert isinstance(report.outcome.error, aion.NonDeterminismError)
    assert report.outcome.failure_recorded
    (failed,) = (await scene.history("a"))[2:]
    assert isinstance(failed, e.WorkflowFailed)
    assert failed.error.message.startswith("non-determinism violation")


async def test_a_violation_is_recorded_at_the_instant_of_the_plan(scene: Scene) -> None:
    await scene.begin("a")
    driver = Table(a=another_call)
    driver.failure_recorded_at = AT.replace(year=2077)
    await scene.recover(driver)
    assert (await scene.history("a"))[-1].recorded_at == AT.replace(year=2077)


async def test_a_violation_raised_by_the_commands_themselves_is_recorded_too(
    scene: Scene,
) -> None:
    await scene.begin("a")

    def diverging(_: object) -> Iterable[c.Command]:
        yield call()
        raise aion.NonDeterminismError("a", 2, "this", "that")

    (report,) = await scene.recover(Table(a=diverging))
    assert isinstance(report.outcome, Failed)
    assert report.outcome.failure_recorded


async def test_a_failure_that_cannot_be_recorded_keeps_both_errors(scene: Scene) -> None:
    await scene.begin("a", "b")
    scene.store.refuse(e.WorkflowFailed, error=aion.StoreUnavailableError("the disk is full"))
    reports = await scene.recover(Table(a=another_call, b=a_call))
    assert outcomes(reports) == {"a": Failed, "b": Resumed}
    failed = reports[0].outcome
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, aion.NonDeterminismError)
    assert isinstance(failed.recording_error, aion.StoreUnavailableError)
    assert not failed.failure_recorded
    assert len(await scene.history("a")) == 2


async def test_what_is_done_about_a_violation_can_be_chosen(scene: Scene) -> None:
    await scene.begin("a")
    held: list[tuple[str, int, datetime, str]] = []

    async def hold(
        recorder: Recorder, failure_recorded_at: datetime, violation: aion.NonDeterminismError
    ) -> None:
        held.append(
            (recorder.workflow_id, recorder.head, failure_recorded_at, violation.workflow_id)
        )

    (report,) = await scene.recover(Table(a=another_call), on_violation=hold)
    assert held == [("a", 2, AT, "a")]
    assert isinstance(report.outcome, Failed)
    assert not report.outcome.failure_recorded
    assert len(await scene.history("a")) == 2


async def test_an_error_of_the_plan_is_reported_and_recorded_nowhere(scene: Scene) -> None:
    await scene.begin("a")

    def refusing(_: object) -> Iterable[c.Command]:
        raise aion.NonDeterminismError("a", 1, "this", "that")

    (report,) = await scene.recover(Table(a=refusing))
    assert isinstance(report.outcome, Failed)
    assert isinstance(report.outcome.error, aion.NonDeterminismError)
    assert not report.outcome.failure_recorded
    assert scene.store.tries == []


async def test_what_is_no_plan_is_reported(scene: Scene) -> None:
    class Idle(RecoveryDriver):
        def recovery_plan(self, *_: object) -> RecoveryPlan:
            return None  # type: ignore[return-value]

    await scene.begin("a")
    (report,) = await scene.recover(Idle())
    assert isinstance(report.outcome, Failed)
    assert isinstance(report.outcome.error, aion.HistoryShapeError)


async def test_commands_that_end_early_are_no_history_of_ours(scene: Scene) -> None:
    await scene.begin("a")
    await scene.complete("a")
    (report,) = await scene.recover(Table(a=a_call))
    assert isinstance(report.outcome, Failed)
    assert isinstance(report.outcome.error, aion.HistoryShapeError)
    assert "history answered 1 of them and goes up to event 3" in str(report.outcome.error)
    assert scene.store.tries == []


async def test_an_active_workflow_without_a_history_is_reported(scene: Scene) -> None:
    report = await recover_one(scene.access, Untouchable(), Table(x=a_call), WorkflowId("x"))
    assert isinstance(report.outcome, Failed)
    assert isinstance(report.outcome.error, aion.HistoryShapeError)


async def test_a_plan_for_a_run_without_a_start_is_reported(scene: Scene) -> None:
    await scene.begin("a", "b")
    driver = Table(a=a_call, b=a_call)
    driver.run_id = RunId("another")
    (first, second) = await scene.recover(driver)
    for report in (first, second):
        assert isinstance(report.outcome, Failed)
        assert isinstance(report.outcome.error, aion.HistoryShapeError)


go = aion.Signal("go", int)


@aion.workflow
async def waiting() -> int:
    return await go.receive()


async def test_the_machine_driver_runs_the_code_of_the_catalog() -> None:
    store = FaultyStore()
    async with aion.open_engine(store, workflows=[waiting], clock=VirtualClock()) as engine:
        await engine.start(waiting, workflow_id="w")
    converter = PayloadConverter()
    context = SeamContext(
        settings={},
        catalog=WorkflowCatalog([waiting], converter),
        converter=converter,
        guard=activation_guard,
    )
    async with store.writer() as writer:
        (report,) = await recover(
            WritableStore(store, writer), Untouchable(), MachineDriver(context)
        )
    assert isinstance(report.outcome, Resumed)
    assert report.outcome.resume_at.command == c.AwaitSignal("go", 0)
