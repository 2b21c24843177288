"""Single commands, from history or for real: what is recorded, and who is asked when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

import aion_runtime as aion
from aion_core import commands as c
from aion_core import events as e
from aion_core import replay
from aion_core.contracts import ActivityAttempt, ChildOutcome, LiveExecutor
from aion_core.failures import Failure
from aion_core.ids import ActivityId, ChildKey, RunId, TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.payloads import JSON, Payload
from aion_core.policies import ActivityOptions
from aion_runtime.executor import LocalExecutor
from aion_runtime.recovery import Recorder, WritableStore, resolve_or_execute_live
from aion_runtime.testing import VirtualClock
from tests.runtime.faults import FaultyStore

ID = WorkflowId("w")
AT = VirtualClock().now()
LATER = AT + timedelta(hours=1)
ONE = Payload(JSON, b"1")
EMPTY = Payload(JSON, b"{}")

CALL = c.RunActivity(ActivityId("activity:0"), "work", EMPTY, ActivityOptions())
TIMER = TimerId("timer:0")
CHILD = ChildKey("child:0")
SPAWN = c.SpawnChild(CHILD, WorkflowId("c"), "child", EMPTY)


class Scripted(LiveExecutor):
    """Answers as it is told, and notes what it was asked, and what had been recorded then."""

    def __init__(self, store: FaultyStore, answer: Any = None) -> None:
        self.asked: list[str] = []
        self.recorded_then: list[type] = []
        self._store = store
        self._answer = answer

    async def _ask(self, what: str) -> Any:
        self.asked.append(what)
        self.recorded_then = [type(event) for event in await self._store.inner.read_history(ID)]
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def run_activity(
        self, attempt: ActivityAttempt
    ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
        return await self._ask(f"{attempt.info.activity_type} {attempt.info.attempt}")

    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None:
        await self._ask(f"{timer_id} at {fire_at}")

    async def await_signal(self, name: str, index: int) -> Payload:
        return await self._ask(f"{name} {index}")

    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        return await self._ask(f"{workflow_type} {child_workflow_id}")


class Scene:
    """A run, and what resolves and records its commands."""

    def __init__(self, store: FaultyStore, access: WritableStore) -> None:
        self.store = store
        self.access = access

    async def resolve(
        self, command: c.Command, executor: LiveExecutor, at: datetime = AT, **options: Any
    ) -> replay.Recorded:
        history = await self.store.inner.read_history(ID)
        resolver = replay.Resolver(replay.cut_segment(ID, RunId("r"), history))
        recorder = Recorder(self.access, ID, len(history))
        return await resolve_or_execute_live(resolver, recorder, executor, command, at, **options)

    async def kinds(self) -> Sequence[type[e.HistoryEvent]]:
        return [type(event) for event in await self.store.inner.read_history(ID)]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    store = FaultyStore()
    started = e.WorkflowStarted(
        seq=1,
        recorded_at=AT,
        workflow_id=ID,
        workflow_type="w",
        input=EMPTY,
        run_id=RunId("r"),
        package_version=e.UNVERSIONED,
        random_seed=1,
    )
    async with store.writer() as writer:
        await writer.append(ID, [started], 0)
        yield Scene(store, WritableStore(store, writer))


async def test_an_activity_is_recorded_run_and_recorded_again(scene: Scene) -> None:
    executor = Scripted(scene.store, AttemptCompleted(ONE))
    answer = await scene.resolve(CALL, executor, LATER)
    assert answer == replay.Recorded(replay.ActivityCompleted(ONE), 3, LATER)
    assert executor.asked == ["work 1"]
    assert executor.recorded_then == [e.WorkflowStarted, e.ActivityScheduled]
    assert await scene.kinds() == [
        e.WorkflowStarted,
        e.ActivityScheduled,
        e.ActivityCompleted,
    ]


async def test_what_history_answers_does_not_touch_the_executor(scene: Scene) -> None:
    await scene.resolve(CALL, Scripted(scene.store, AttemptCompleted(ONE)))
    executor = Scripted(scene.store)
    answer = await scene.resolve(CALL, executor)
    assert answer.resolution == replay.ActivityCompleted(ONE)
    assert executor.asked == []
    assert len(await scene.kinds()) == 3


async def test_an_activity_that_was_called_before_is_not_called_again(scene: Scene) -> None:
    with pytest.raises(aion.HistoryShapeError):
        await scene.resolve(CALL, Scripted(scene.store, ConnectionError()))
    await scene.resolve(CALL, Scripted(scene.store, AttemptCompleted(ONE)))
    assert (await scene.kinds()).count(e.ActivityScheduled) == 1


@pytest.mark.parametrize(
    "answer",
    [
        AttemptFailed(Failure(type="E", message="m")),
        AttemptFailed(Failure(type="E", message="m", kind="retryable")),
        ConnectionError("hung up"),
    ],
    ids=["plain", "retryable", "raised"],
)
async def test_a_failure_that_may_be_retried_is_refused_and_not_recorded(
    scene: Scene, answer: object
) -> None:
    with pytest.raises(aion.HistoryShapeError, match="decide about retries"):
        await scene.resolve(CALL, Scripted(scene.store, answer))
    assert await scene.kinds() == [e.WorkflowStarted, e.ActivityScheduled]


@pytest.mark.parametrize(
    "answer",
    [
        AttemptFailed(Failure(type="E", message="m"), non_retryable=True),
        AttemptFailed(Failure(type="E", message="m", kind="terminal")),
        aion.ApplicationError("m", type="E", non_retryable=True),
    ],
    ids=["forbidden", "terminal", "raised"],
)
async def test_a_failure_for_good_is_recorded(scene: Scene, answer: object) -> None:
    found = await scene.resolve(CALL, Scripted(scene.store, answer))
    assert isinstance(found.resolution, replay.ActivityFailedTerminal)
    assert (await scene.kinds())[-1] is e.ActivityFailed


async def test_an_attempt_that_its_executor_gives_up_is_recorded_as_cancelled(
    scene: Scene,
) -> None:
    found = await scene.resolve(CALL, Scripted(scene.store, AttemptCancelled("not wanted")))
    assert found.resolution == replay.ActivityCancelled("not wanted")


async def test_the_local_executor_runs_an_activity_that_it_is_given(scene: Scene) -> None:
    @aion.activity
    def work() -> int:
        return 41 + aion.activity_info().attempt

    found = await scene.resolve(CALL, LocalExecutor(), definitions={"work": work})
    assert found.resolution == replay.ActivityCompleted(Payload(JSON, b"42"))


async def test_a_definition_that_is_not_given_is_named(scene: Scene) -> None:
    with pytest.raises(aion.HistoryShapeError, match="definition of activity 'work'"):
        await scene.resolve(CALL, LocalExecutor())


async def test_a_timer_is_recorded_waited_for_and_recorded_again(scene: Scene) -> None:
    executor = Scripted(scene.store)
    started = await scene.resolve(c.StartTimer(TIMER, LATER), executor)
    assert started.resolution == replay.TimerStarted(LATER)
    assert executor.asked == []
    fired = await scene.resolve(c.AwaitTimer(TIMER), executor)
    assert executor.asked == [f"{TIMER} at {LATER}"]
    assert fired == replay.Recorded(replay.TimerFired(), 3, LATER)


async def test_a_signal_is_awaited_and_recorded(scene: Scene) -> None:
    executor = Scripted(scene.store, ONE)
    found = await scene.resolve(c.AwaitSignal("go", 0), executor)
    assert found.resolution == replay.SignalDelivered(ONE)
    assert executor.asked == ["go 0"]
    assert await scene.kinds() == [e.WorkflowStarted, e.SignalReceived]


@pytest.mark.parametrize(
    ("outcome", "resolution"),
    [
        (AttemptCompleted(ONE), replay.ChildCompleted(ONE)),
        (
            AttemptFailed(Failure(type="E", message="m")),
            replay.ChildFailed(Failure(type="E", message="m")),
        ),
    ],
    ids=["completed", "failed"],
)
async def test_a_child_is_recorded_run_and_recorded_again(
    scene: Scene, outcome: AttemptCompleted | AttemptFailed, resolution: object
) -> None:
    answer = ChildOutcome(child_workflow_id=WorkflowId("c"), version=e.UNVERSIONED, outcome=outcome)
    executor = Scripted(scene.store, answer)
    spawned = await scene.resolve(SPAWN, executor)
    assert spawned.resolution == replay.ChildStarted(WorkflowId("c"))
    ended = await scene.resolve(c.AwaitChild(CHILD), executor)
    assert executor.asked == ["child c"]
    assert ended.resolution == resolution


async def test_another_child_than_the_recorded_one_is_refused(scene: Scene) -> None:
    answer = ChildOutcome(
        child_workflow_id=WorkflowId("x"), version=e.UNVERSIONED, outcome=AttemptCompleted(ONE)
    )
    executor = Scripted(scene.store, answer)
    await scene.resolve(SPAWN, executor)
    with pytest.raises(aion.HistoryShapeError, match="'x' as the child 'c'"):
        await scene.resolve(c.AwaitChild(CHILD), executor)
    assert len(await scene.kinds()) == 2


@pytest.mark.parametrize(
    ("command", "resolution", "kind"),
    [
        (c.RecordMarker("m", "marker:0", ONE), replay.MarkerRecorded(ONE), e.MarkerRecorded),
        (
            c.UpdateSearchAttributes("attributes:0", {}),
            replay.AttributesUpdated(),
            e.SearchAttributesUpdated,
        ),
        (
            c.CompleteWorkflow(ONE),
            replay.RunEnded(replay.Completed(ONE)),
            e.WorkflowCompleted,
        ),
    ],
    ids=["marker", "attributes", "end"],
)
async def test_a_command_that_only_leaves_its_intent_is_recorded(
    scene: Scene, command: c.Command, resolution: object, kind: type
) -> None:
    executor = Scripted(scene.store)
    assert (await scene.resolve(command, executor)).resolution == resolution
    assert executor.asked == []
    assert await scene.kinds() == [e.WorkflowStarted, kind]


@pytest.mark.parametrize(
    "command", [c.Park(), c.SendSignal("signal:0", ID, "go", ONE)], ids=["park", "send"]
)
async def test_what_only_an_engine_can_do_is_refused(scene: Scene, command: c.Command) -> None:
    with pytest.raises(aion.AionError, match="only by an engine"):
        await scene.resolve(command, Scripted(scene.store))
    assert await scene.kinds() == [e.WorkflowStarted]


async def test_a_command_that_does_not_fit_is_refused_before_anything_happens(
    scene: Scene,
) -> None:
    await scene.resolve(CALL, Scripted(scene.store, AttemptCompleted(ONE)))
    executor = Scripted(scene.store)
    with pytest.raises(aion.NonDeterminismError):
        await scene.resolve(c.StartTimer(TIMER, LATER), executor)
    assert executor.asked == []
    assert len(await scene.kinds()) == 3
