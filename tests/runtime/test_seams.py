"""The seams of an engine: an executor, a driver, a seam of one's own, and what the defaults do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

import aion_runtime as aion
from aion_core import commands as c
from aion_core import events as e
from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    ActivityAttempt,
    ActivityAttempted,
    ChildOutcome,
    EngineView,
    LiveExecutor,
    Observer,
    RecoveryDriver,
    RecoveryPlan,
    Resident,
    ScheduleCoordinator,
    SeamContext,
    VersionedCatalog,
)
from aion_core.failures import Failure
from aion_core.hookspecs import hookimpl
from aion_core.ids import PackageVersion, RunId, TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.payloads import JSON, Payload, PayloadConverter
from aion_runtime.catalog import WorkflowCatalog
from aion_runtime.executor import LocalExecutor
from aion_runtime.guard import activation_guard
from aion_runtime.recovery import (
    CatalogSeam,
    Failed,
    MachineDriver,
    RecoveryReport,
    Resumed,
)
from aion_runtime.testing import VirtualClock
from aion_runtime.waking import LOADS_AT_ONCE
from tests.runtime.conftest import Bench

go = aion.Signal("go", int)


@aion.activity
async def greet(name: str) -> str:
    return f"hello {name}"


@aion.activity
def shout(text: str) -> str:
    return text.upper()


@aion.workflow
async def greeting() -> str:
    return await shout(await greet("ada"))


@aion.workflow
async def waiting() -> int:
    return await go.receive()


class Counting(LiveExecutor):
    """Counts what it is asked for, and has another one do it."""

    def __init__(self, inner: LiveExecutor) -> None:
        self.inner = inner
        self.attempts: list[ActivityAttempt] = []
        self.others = 0

    async def run_activity(
        self, attempt: ActivityAttempt
    ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
        self.attempts.append(attempt)
        return await self.inner.run_activity(attempt)

    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None:
        self.others += 1

    async def await_signal(self, name: str, index: int) -> Payload:
        self.others += 1
        return Payload(JSON, b"null")

    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        raise AssertionError("no child is spawned here")


class Answering(Counting):
    """Answers every attempt by itself."""

    def __init__(self, answer: Any) -> None:
        super().__init__(LocalExecutor())
        self.answer = answer

    async def run_activity(
        self, attempt: ActivityAttempt
    ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
        self.attempts.append(attempt)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@aion.workflow
async def once() -> str:
    return await greet("ada")


@attrs.frozen
class Plugin:
    """A plugin with what a test gives it."""

    parts: dict[str, Any] = attrs.Factory(dict)
    observers: list[Observer] = attrs.Factory(list)
    views: list[tuple[str, EngineView]] = attrs.Factory(list)

    @hookimpl
    def aion_live_executors(self) -> dict[str, Any]:
        return {name: part for name, part in self.parts.items() if name == "counting"}

    @hookimpl
    def aion_observers(self) -> list[Observer]:
        return self.observers

    @hookimpl
    def aion_engine_starting(self, engine: EngineView) -> None:
        self.views.append(("starting", engine))

    @hookimpl
    def aion_engine_stopped(self, engine: EngineView) -> None:
        self.views.append(("stopped", engine))


def with_plugin(plugin: object) -> aion.PluginManager:
    plugins = aion.PluginManager.installed()
    plugins.register(plugin, name="mine")
    return plugins


async def test_an_executor_sees_each_attempt_once_and_nothing_else(bench: Bench) -> None:
    executor = Counting(LocalExecutor())

    @aion.workflow
    async def timed() -> str:
        await aion.sleep(1)
        return await shout(await greet("ada")) + str(await go.receive())

    async with bench.engine(timed, executor=executor) as engine:
        handle = await engine.start(timed)
        await bench.advance(1)
        await handle.signal(go, 1)
        assert await handle.result() == "HELLO ADA1"
    types = [(each.info.activity_type, each.info.attempt) for each in executor.attempts]
    assert types == [("greet", 1), ("shout", 1)]
    assert executor.others == 0


async def test_an_executor_is_given_all_that_an_attempt_needs(bench: Bench) -> None:
    executor = Counting(LocalExecutor())
    async with bench.engine(once, executor=executor) as engine:
        await (await engine.start(once, workflow_id="w")).result()
    (attempt,) = executor.attempts
    assert attempt.info.workflow_id == "w"
    assert attempt.definition is greet
    assert attempt.input == Payload(JSON, b'{"name":"ada"}')
    assert attempt.options == greet.settings
    assert attempt.last_heartbeat is None


async def test_an_attempt_is_run_after_the_commit_that_begins_it(bench: Bench) -> None:
    executor = Counting(LocalExecutor())
    gate = bench.store.hold(e.ActivityScheduled)
    async with bench.engine(once, executor=executor) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(engine.start, once)
        await gate.reached.wait()
        await wait_all_tasks_blocked()
        assert executor.attempts == []
        gate.open()
        await wait_all_tasks_blocked()
        assert len(executor.attempts) == 1


async def test_an_executor_is_chosen_by_its_name(bench: Bench) -> None:
    made: list[SeamContext] = []

    def factory(context: SeamContext) -> LiveExecutor:
        made.append(context)
        return Counting(LocalExecutor(context))

    plugins = with_plugin(Plugin({"counting": factory}))
    async with bench.engine(
        once, plugins=plugins, executor="counting", settings={"mine": {"speed": 3}}
    ) as engine:
        assert await (await engine.start(once)).result() == "hello ada"
    (context,) = made
    assert context.settings == {"speed": 3}
    assert context.catalog("once") is once


async def test_an_executor_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    with pytest.raises(aion.ConfigError, match="local"):
        async with aion.open_engine("memory:", executor="lokal"):
            pytest.fail("opened")


async def test_an_exception_out_of_an_executor_is_a_failed_attempt(bench: Bench) -> None:
    executor = Answering(ConnectionError("no worker"))
    async with bench.engine(once, executor=executor) as engine:
        handle = await engine.start(once, workflow_id="w")
        for _ in range(10):
            await bench.advance(1000)
        with pytest.raises(aion.WorkflowFailedError, match="no worker"):
            await handle.result()
    assert [each.info.attempt for each in executor.attempts] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "done",
        AttemptCancelled(),
        AttemptCompleted("done"),  # type: ignore[arg-type]
        AttemptCompleted(Payload(JSON, "1")),  # type: ignore[arg-type]
        AttemptFailed("no failure"),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_what_an_executor_may_not_answer_is_a_failed_attempt(
    bench: Bench, answer: object
) -> None:
    async with bench.engine(once, executor=Answering(answer)) as engine:
        await engine.start(once, workflow_id="w")
        await wait_all_tasks_blocked()
    (failed,) = [each for each in await bench.history("w") if isinstance(each, e.ActivityFailed)]
    assert failed.error.type == "ExecutorError"


async def test_an_attempt_that_its_executor_stops_by_itself_is_a_failed_one(bench: Bench) -> None:
    class Stopping(Counting):
        async def run_activity(
            self, attempt: ActivityAttempt
        ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
            attempt.cancel_scope.cancel()
            await trio.sleep_forever()
            raise AssertionError

    async with bench.engine(once, executor=Stopping(LocalExecutor())) as engine:
        await engine.start(once, workflow_id="w")
        await wait_all_tasks_blocked()
    assert (await bench.kinds("w"))[-1] is e.ActivityFailed


async def test_a_failure_whose_text_is_no_unicode_is_recorded(bench: Bench) -> None:
    failure = Failure(type="\udc80", message="\ud800", notes=("\ud800",), stack="\ud800")
    async with bench.engine(once, executor=Answering(AttemptFailed(failure))) as engine:
        await engine.start(once, workflow_id="w")
        await wait_all_tasks_blocked()
    (failed,) = [each for each in await bench.history("w") if isinstance(each, e.ActivityFailed)]
    assert failed.error.message == "\\ud800"


async def test_an_executor_that_never_says_that_it_began_has_its_time_from_the_call(
    bench: Bench,
) -> None:
    class Silent(Counting):
        async def run_activity(
            self, attempt: ActivityAttempt
        ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
            await trio.sleep_forever()
            raise AssertionError

    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(max_attempts=1))
    async def slow() -> None: ...

    @aion.workflow
    async def calling() -> None:
        await slow()

    async with bench.engine(calling, executor=Silent(LocalExecutor())) as engine:
        handle = await engine.start(calling)
        await wait_all_tasks_blocked()
        await bench.advance(29)
        assert not (await handle.describe()).status.is_closed
        await bench.advance(1)
        with pytest.raises(aion.WorkflowFailedError, match="not finished within 30 s"):
            await handle.result()


async def test_an_attempt_that_waits_for_its_turn_has_its_time_from_its_beginning(
    bench: Bench,
) -> None:
    class Queueing(Counting):
        async def run_activity(
            self, attempt: ActivityAttempt
        ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
            attempt.waits()
            await turn.wait()
            attempt.began()
            await trio.sleep_forever()
            raise AssertionError

    turn = trio.Event()

    @aion.activity(start_to_close=30, retry=aion.RetryPolicy(max_attempts=1))
    async def slow() -> None: ...

    @aion.workflow
    async def calling() -> None:
        await slow()

    async with bench.engine(calling, executor=Queueing(LocalExecutor())) as engine:
        handle = await engine.start(calling)
        await wait_all_tasks_blocked()
        await bench.advance(3600)
        turn.set()
        await wait_all_tasks_blocked()
        await bench.advance(29)
        assert not (await handle.describe()).status.is_closed
        await bench.advance(1)
        with pytest.raises(aion.WorkflowFailedError, match="not finished within 30 s"):
            await handle.result()


async def test_the_next_attempt_gets_the_last_heartbeat_of_the_one_before(bench: Bench) -> None:
    class Beating(Counting):
        async def run_activity(
            self, attempt: ActivityAttempt
        ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
            self.attempts.append(attempt)
            number = str(attempt.info.attempt)
            attempt.heartbeat(Payload(JSON, b'"first"'))
            await trio.to_thread.run_sync(attempt.heartbeat, Payload(JSON, number.encode()))
            await trio.lowlevel.checkpoint()
            if attempt.info.attempt < 3:
                raise ConnectionError
            return AttemptCompleted(Payload(JSON, b'"done"'))

    executor = Beating(LocalExecutor())
    async with bench.engine(once, executor=executor) as engine:
        handle = await engine.start(once)
        while not (await handle.describe()).status.is_closed:
            await bench.advance(100)
    assert [each.last_heartbeat and each.last_heartbeat.data for each in executor.attempts] == [
        None,
        b"1",
        b"2",
    ]


async def test_what_an_attempt_says_after_its_end_is_not_for_the_next_one(bench: Bench) -> None:
    class Late(Counting):
        async def run_activity(
            self, attempt: ActivityAttempt
        ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
            for former in self.attempts:
                former.heartbeat(Payload(JSON, b'"late"'))
            self.attempts.append(attempt)
            attempt.heartbeat(Payload(JSON, b'"%d"' % attempt.info.attempt))
            if attempt.info.attempt == 1:
                raise ConnectionError
            if attempt.info.attempt == 2:
                self.attempts[0].heartbeat(Payload(JSON, b'"later"'))
                raise ConnectionError
            return AttemptCompleted(Payload(JSON, b'"done"'))

    executor = Late(LocalExecutor())
    async with bench.engine(once, executor=executor) as engine:
        handle = await engine.start(once)
        while not (await handle.describe()).status.is_closed:
            await bench.advance(100)
    assert executor.attempts[2].last_heartbeat == Payload(JSON, b'"2"')


async def test_after_a_restart_an_attempt_gets_the_last_heartbeat_from_the_store(
    bench: Bench,
) -> None:
    class Beating(Counting):
        async def run_activity(
            self, attempt: ActivityAttempt
        ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
            self.attempts.append(attempt)
            attempt.heartbeat(Payload(JSON, b"77"))
            await trio.sleep_forever()
            raise AssertionError

    executor = Beating(LocalExecutor())
    for _ in range(2):
        async with bench.engine(once, executor=executor) as engine:
            await engine.start(once, workflow_id="w")
            await wait_all_tasks_blocked()
    assert [each.last_heartbeat for each in executor.attempts] == [None, Payload(JSON, b"77")]


async def test_the_local_executor_waits_for_a_timer_by_its_clock() -> None:
    clock = VirtualClock()
    fired: list[str] = []

    async def wait() -> None:
        await LocalExecutor(clock=clock).start_timer(TimerId("timer:0"), at)
        fired.append("fired")

    at = clock.now().replace(year=clock.now().year + 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert fired == []
        clock.jump((at - clock.now()).total_seconds())
    assert fired == ["fired"]


async def test_the_local_executor_says_that_signals_and_children_are_an_engines() -> None:
    executor = LocalExecutor()
    with pytest.raises(aion.AionError, match="an engine delivers signals"):
        await executor.await_signal("go", 0)
    with pytest.raises(aion.AionError, match="an engine runs workflows"):
        await executor.spawn_child("w", Payload(JSON, b"{}"), WorkflowId("c"))


class Recounting(MachineDriver):
    """The default driver, counted, and with the machine withheld if that is asked for."""

    def __init__(self, context: SeamContext, *, gives_machine: bool = True) -> None:
        super().__init__(context)
        self.planned: list[str] = []
        self.gives_machine = gives_machine

    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
    ) -> RecoveryPlan:
        self.planned.append(workflow_id)
        plan = super().recovery_plan(workflow_id, history)
        if self.gives_machine:
            return plan
        assert plan.machine is not None
        commands = list(plan.commands)
        plan.machine.close()
        return attrs.evolve(plan, commands=commands, machine=None)


def context_of(*workflows: aion.Workflow[..., Any], **options: Any) -> SeamContext:
    converter = PayloadConverter()
    return SeamContext(
        settings={},
        catalog=WorkflowCatalog(workflows, converter, **options),
        converter=converter,
        guard=activation_guard,
    )


@pytest.mark.parametrize("gives_machine", [True, False])
async def test_a_driver_plans_every_run_that_is_loaded(bench: Bench, gives_machine: bool) -> None:
    driver = Recounting(context_of(waiting), gives_machine=gives_machine)
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(waiting, recovery_driver=driver) as engine:
        await wait_all_tasks_blocked()
        assert driver.planned == []
        await engine.get("w").signal(go, 3)
        assert await engine.get("w").result() == 3
    assert driver.planned == ["w"]


async def test_a_driver_takes_part_in_start_up(bench: Bench) -> None:
    @aion.workflow
    async def sleeping() -> None:
        await aion.sleep(10)

    driver = Recounting(context_of(sleeping))
    async with bench.engine(sleeping) as engine:
        await engine.start(sleeping, workflow_id="w")
    bench.clock.jump(10)
    async with bench.engine(sleeping, recovery_driver=driver) as engine:
        (report,) = engine.recovery_report.runs
        assert isinstance(report.outcome, Resumed)
        assert isinstance(report.outcome.resume_at.command, c.AwaitTimer)
    assert driver.planned == ["w"]


async def test_commands_of_a_driver_that_do_not_fit_hold_the_run(bench: Bench) -> None:
    class Table(RecoveryDriver):
        def recovery_plan(
            self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
        ) -> RecoveryPlan:
            started = history[0]
            assert isinstance(started, e.WorkflowStarted)
            commands = [c.StartTimer(TimerId("timer:7"), started.recorded_at)]
            return RecoveryPlan(started.run_id, commands, started.recorded_at)

    @aion.workflow
    async def calling() -> str:
        return await greet("ada") + str(await go.receive())

    async with bench.engine(calling) as engine:
        await engine.start(calling, workflow_id="w")
        await wait_all_tasks_blocked()
    async with bench.engine(calling, recovery_driver=Table()) as engine:
        await engine.get("w").signal(go, 1)
        assert "timer:7" in ((await engine.get("w").describe()).stuck or "")


async def test_a_plan_for_another_run_holds_the_run(bench: Bench) -> None:
    class Confused(MachineDriver):
        def recovery_plan(
            self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
        ) -> RecoveryPlan:
            return attrs.evolve(super().recovery_plan(workflow_id, history), run_id=RunId("x"))

    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(waiting, recovery_driver=Confused(context_of(waiting))) as engine:
        await engine.get("w").signal(go, 1)
        assert (await engine.get("w").describe()).stuck


async def test_a_driver_that_gives_no_plan_holds_the_run(bench: Bench) -> None:
    class Idle(RecoveryDriver):
        def recovery_plan(self, *_: object) -> RecoveryPlan:
            return None  # type: ignore[return-value]

    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(waiting, recovery_driver=Idle()) as engine:
        await engine.get("w").signal(go, 1)
        assert "no plan" in ((await engine.get("w").describe()).stuck or "")


class Deciding(ActiveWorkflowRecoverySeam):
    """Decides as it is told, and keeps what it was asked."""

    def __init__(self, decision: Any) -> None:
        self.decision = decision
        self.asked: list[tuple[str, str]] = []

    def recover_active_workflow(
        self,
        workflow_id: WorkflowId,
        workflow_type: str,
        history: Sequence[e.HistoryEvent],
        catalog: VersionedCatalog,
    ) -> Resident | ScheduleCoordinator:
        self.asked.append((workflow_id, workflow_type))
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision


async def test_a_seam_is_asked_for_every_run_that_is_loaded(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    (started,) = await bench.history("w")
    assert isinstance(started, e.WorkflowStarted)
    seam = Deciding(Resident(started.run_id, started.package_version, "w"))
    async with bench.engine(waiting, recovery_seam=seam) as engine:
        await engine.get("w").signal(go, 3)
        assert await engine.get("w").result() == 3
    assert seam.asked == [("w", "waiting")]


@pytest.mark.parametrize("changes", [None, {"run_id": "x"}, {"loaded_version": "x"}], ids=repr)
async def test_a_decision_of_a_seam_that_cannot_be_holds_the_run(
    bench: Bench, changes: dict[str, Any] | None
) -> None:
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    (started,) = await bench.history("w")
    assert isinstance(started, e.WorkflowStarted)
    right = Resident(started.run_id, started.package_version, "w")
    decision = None if changes is None else attrs.evolve(right, **changes)
    async with bench.engine(waiting, recovery_seam=Deciding(decision)) as engine:
        await engine.get("w").signal(go, 1)
        assert (await engine.get("w").describe()).stuck
    assert await bench.history("w") == [started]


async def test_a_seam_that_raises_holds_the_run_with_its_reason(bench: Bench) -> None:
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(waiting, recovery_seam=Deciding(KeyError("no code"))) as engine:
        await engine.get("w").signal(go, 1)
        assert (await engine.get("w").describe()).stuck == "KeyError: 'no code'"


async def test_the_coordinator_of_schedules_is_never_given_to_a_driver(bench: Bench) -> None:
    driver = Recounting(context_of(waiting))
    seam = Deciding(ScheduleCoordinator(RunId("r")))
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(waiting, recovery_driver=driver, recovery_seam=seam) as engine:
        await engine.get("w").signal(go, 1)
        assert "coordinates schedules" in ((await engine.get("w").describe()).stuck or "")
    assert driver.planned == []


AT = VirtualClock().now()


def start(**changes: Any) -> e.WorkflowStarted:
    fields: dict[str, Any] = {
        "seq": 1,
        "recorded_at": AT,
        "workflow_id": WorkflowId("w"),
        "workflow_type": "parsing",
        "input": Payload(JSON, b'{"number":"x"}'),
        "run_id": RunId("r"),
        "package_version": PackageVersion("h9:" + "0" * 32),
        "random_seed": 1,
    }
    return e.WorkflowStarted(**fields | changes)


@aion.workflow
async def parsing(number: int) -> int:
    return number


SIGNAL = e.SignalReceived(
    seq=1, recorded_at=AT, workflow_id=WorkflowId("w"), name="go", payload=Payload(JSON, b"1")
)


@pytest.mark.parametrize(
    ("history", "expected", "known", "error", "message"),
    [
        ([SIGNAL], "other", (), aion.HistoryShapeError, "no WorkflowStarted"),
        (
            [start(package_version="?")],
            "other",
            (),
            aion.HistoryShapeError,
            "is of type 'parsing' by its history, but is listed as 'other'",
        ),
        ([start(package_version="?")], "parsing", (), aion.HistoryShapeError, "is no version"),
        ([start()], "parsing", (), aion.UnknownWorkflowTypeError, "'parsing'"),
        (
            [start()],
            "parsing",
            (parsing,),
            aion.VersionNotLoadedError,
            "h9:0+, but version h1:[0-9a-f]+ is loaded",
        ),
    ],
    ids=["no start", "another type", "no version", "no code", "another version"],
)
def test_the_default_seam_checks_one_after_the_other(
    history: list[e.HistoryEvent],
    expected: str,
    known: tuple[Any, ...],
    error: type[Exception],
    message: str,
) -> None:
    """Each case has the faults of all that follow it, too."""
    context = context_of(*known, on_version_mismatch="strict")
    with pytest.raises(error, match=message):
        CatalogSeam(context).recover_active_workflow(
            WorkflowId("w"), expected, history, context.catalog
        )


def test_the_default_seam_refuses_an_input_that_the_code_does_not_take() -> None:
    context = context_of(parsing)
    with pytest.raises(aion.PayloadError, match="recorded input of workflow 'w' does not fit"):
        CatalogSeam(context).recover_active_workflow(
            WorkflowId("w"), "parsing", [start()], context.catalog
        )


def test_the_default_seam_answers_with_the_loaded_version() -> None:
    context = context_of(parsing)
    found = CatalogSeam(context).recover_active_workflow(
        WorkflowId("w"),
        "parsing",
        [start(input=Payload(JSON, b'{"number":1}'))],
        context.catalog,
    )
    assert isinstance(found, Resident)
    assert found == Resident(RunId("r"), found.loaded_version, "w/r")
    assert found.loaded_version.startswith("h1:")


async def test_a_long_replay_gives_the_others_their_turn(bench: Bench) -> None:
    class Slow(MachineDriver):
        def recovery_plan(
            self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
        ) -> RecoveryPlan:
            plan = super().recovery_plan(workflow_id, history)
            return attrs.evolve(plan, commands=slowly(plan.commands))

    turns: list[int] = []

    def slowly(commands: Any) -> Iterator[c.Command]:
        for command in commands:
            end = time.perf_counter() + 0.006
            while time.perf_counter() < end:
                pass
            taken.append(len(turns))
            yield command

    taken: list[int] = []

    @aion.workflow
    async def long() -> int:
        return sum([await go.receive() for _ in range(20)])

    async def other() -> None:
        while True:
            turns.append(1)
            await trio.lowlevel.checkpoint()

    async with bench.engine(long) as engine:
        handle = await engine.start(long, workflow_id="w")
        for _ in range(19):
            await handle.signal(go, 1)
    async with (
        bench.engine(long, recovery_driver=Slow(context_of(long))) as engine,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(other)
        await engine.get("w").signal(go, 1)
        nursery.cancel_scope.cancel()
    # Two that are ready take turns, but either may come first.
    assert taken[-1] - taken[0] >= len(taken) - 2 >= 18


class Watching(Observer):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.attempts: list[tuple[str, str]] = []
        self.stuck_runs: list[tuple[str, str]] = []

    def committed(self, events: Sequence[e.HistoryEvent]) -> None:
        self.events += [type(event).__name__ for event in events]

    def attempted(self, attempt: ActivityAttempted) -> None:
        self.attempts.append((attempt.info.activity_type, attempt.outcome))

    def stuck(self, workflow_id: WorkflowId, reason: str) -> None:
        self.stuck_runs.append((workflow_id, reason))


class Raising(Observer):
    def committed(self, events: Sequence[e.HistoryEvent]) -> None:
        raise ZeroDivisionError

    def attempted(self, attempt: ActivityAttempted) -> None:
        raise SystemExit

    def stuck(self, workflow_id: WorkflowId, reason: str) -> None:
        raise ZeroDivisionError


async def test_observers_are_told_of_events_and_attempts(bench: Bench) -> None:
    watching = Watching()
    plugins = with_plugin(Plugin(observers=[watching]))
    async with bench.engine(once, plugins=plugins) as engine:
        await (await engine.start(once, workflow_id="w")).result()
    assert watching.events == [kind.__name__ for kind in await bench.kinds("w")]
    assert watching.attempts == [("greet", "completed")]


async def test_an_attempt_is_not_charged_for_those_that_were_made_before_it(bench: Bench) -> None:
    @aion.activity
    async def work() -> None:
        bench.clock.jump(1)  # it computes, and nobody else has a turn

    @aion.workflow
    async def working() -> None:
        await aion.gather(*(work() for _ in range(3)))

    class Timing(Watching):
        def attempted(self, attempt: ActivityAttempted) -> None:
            took.append(attempt.seconds)

    took: list[float] = []
    plugins = with_plugin(Plugin(observers=[Timing()]))
    async with bench.engine(working, plugins=plugins) as engine:
        await (await engine.start(working)).result()
    assert took == [1, 1, 1]


async def test_observers_are_told_what_is_durable_only(bench: Bench) -> None:
    watching = Watching()
    plugins = with_plugin(Plugin(observers=[watching]))
    gate = bench.store.hold(e.WorkflowStarted)
    async with bench.engine(once, plugins=plugins) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(engine.start, once)
        await gate.reached.wait()
        await wait_all_tasks_blocked()
        assert watching.events == []
        gate.open()


async def test_observers_are_told_of_runs_that_are_stuck(bench: Bench) -> None:
    watching = Watching()
    plugins = with_plugin(Plugin(observers=[watching]))
    async with bench.engine(waiting) as engine:
        await engine.start(waiting, workflow_id="w")
    async with bench.engine(once, plugins=plugins) as engine:
        await engine.get("w").signal(go, 1)
    ((workflow_id, reason),) = watching.stuck_runs
    assert workflow_id == "w"
    assert "no workflow 'waiting'" in reason


@pytest.mark.parametrize(
    ("ends", "word"), [("failed", "failed"), ("unwanted", "cancelled")], ids=str
)
async def test_observers_are_told_how_an_attempt_ended(bench: Bench, ends: str, word: str) -> None:
    watching = Watching()
    plugins = with_plugin(Plugin(observers=[watching]))

    @aion.activity(retry=aion.RetryPolicy(max_attempts=1))
    async def work() -> None:
        if ends == "failed":
            raise ConnectionError
        await trio.sleep_forever()

    @aion.workflow
    async def calling() -> None:
        with aion.move_on_after(10):
            await work()

    async with bench.engine(calling, plugins=plugins) as engine:
        await engine.start(calling)
        await bench.advance(10)
    assert watching.attempts == [("work", word)]


async def test_an_observer_that_raises_is_logged_with_its_plugin_and_harms_nobody(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    watching = Watching()
    plugins = with_plugin(Plugin(observers=[Raising(), watching]))
    async with bench.engine(once, plugins=plugins) as engine:
        assert await (await engine.start(once)).result() == "hello ada"
    assert watching.attempts == [("greet", "completed")]
    assert "an observer of plugin 'mine' raised in attempted (" in caplog.text


async def test_plugins_are_told_of_the_engine_while_its_store_is_open(bench: Bench) -> None:
    plugin = Plugin()
    async with bench.engine(once, plugins=with_plugin(plugin)) as engine:
        assert plugin.views == [("starting", engine)]
        await engine.start(once, workflow_id="w")
        assert (await plugin.views[0][1].describe("w")).workflow_type == "once"
    assert [word for word, _ in plugin.views] == ["starting", "stopped"]


async def test_a_plugin_that_fails_at_the_start_keeps_the_engine_from_starting(
    bench: Bench,
) -> None:
    class Failing:
        @hookimpl
        def aion_engine_starting(self, engine: EngineView) -> None:
            raise ZeroDivisionError

    with pytest.raises(aion.PluginError, match="mine"):
        async with bench.engine(once, plugins=with_plugin(Failing())):
            pytest.fail("started")


async def test_workflows_that_plugins_bring_are_run(bench: Bench) -> None:
    class Bringing:
        @hookimpl
        def aion_workflows(self) -> list[Any]:
            return [once]

    async with bench.engine(plugins=with_plugin(Bringing())) as engine:
        assert await (await engine.start(once)).result() == "hello ada"


async def test_open_runs_without_work_due_are_counted_as_parked(bench: Bench) -> None:
    @aion.workflow
    async def sleeping() -> None:
        await aion.sleep(10)

    async with bench.engine(waiting, sleeping) as engine:
        for number in range(3):
            await engine.start(waiting, workflow_id=f"w{number}")
        await engine.start(sleeping, workflow_id="s")
    bench.clock.jump(10)
    async with bench.engine(waiting, sleeping) as engine:
        assert engine.recovery_report.parked == 3
        assert engine.recovery_report.resumed == ("s",)


async def test_a_history_that_cannot_be_read_now_is_in_the_report_and_not_parked(
    bench: Bench,
) -> None:
    @aion.workflow
    async def sleeping() -> None:
        await aion.sleep(10)

    async with bench.engine(sleeping) as engine:
        for workflow_id in ("v", "w"):
            await engine.start(sleeping, workflow_id=workflow_id)
    bench.clock.jump(10)
    down = aion.StoreUnavailableError("the disk is on fire")
    bench.store.unreadable.append(down)
    async with bench.engine(sleeping) as engine:
        report = engine.recovery_report
        (resumed,) = report.resumed
        (failed,) = {"v", "w"} - {resumed}  # both are loaded at once
        assert report.parked == 0
        assert RecoveryReport(WorkflowId(failed), Failed(down)) in report.runs
        await bench.advance(1)
        await engine.get(failed).result()


async def test_an_opening_that_is_cancelled_loads_nothing_more(bench: Bench) -> None:
    @aion.workflow
    async def sleeper() -> None:
        await aion.sleep(10)

    class Cancelling(MachineDriver):
        planned = 0

        def recovery_plan(
            self, workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]
        ) -> RecoveryPlan:
            self.planned += 1
            scope.cancel()
            return super().recovery_plan(workflow_id, history)

    async with bench.engine(sleeper) as engine:
        for number in range(100):
            await engine.start(sleeper, workflow_id=f"w{number}")
    bench.clock.jump(3600)
    driver = Cancelling(context_of(sleeper))
    with trio.CancelScope() as scope:
        async with bench.engine(sleeper, recovery_driver=driver, shutdown_grace=60):
            pytest.fail("opened")
    assert driver.planned < 5 * LOADS_AT_ONCE
