"""The eager pass: holds every open run against its code, and executes nothing.

For tools, tests and shells of another kind; an engine goes by what is due (`startup`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from aion_core.contracts import LiveExecutor, RecoveryDriver, RecoveryPlan
from aion_core.errors import HistoryShapeError, NonDeterminismError
from aion_core.events import HistoryEvent, WorkflowFailed
from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.machine.outgoing import outgoing_of
from aion_core.machine.reading import RunReading
from aion_core.replay import Ended, Replay, ResumePoint
from aion_runtime.letters import outgoing_message
from aion_runtime.recovery.driver import planned
from aion_runtime.recovery.recorder import Recorder, WritableStore
from aion_runtime.recovery.reports import (
    Failed,
    Outcome,
    RecoveryReport,
    ResumeAt,
    Resumed,
    Terminal,
    ended_early,
)

__all__ = ["OnViolation", "fail_on_violation", "recover", "recover_one"]

OnViolation: TypeAlias = Callable[[Recorder, datetime, NonDeterminismError], Awaitable[object]]
"""What is done about a run that its code does not fit: `fail_on_violation`, or your own."""


async def fail_on_violation(
    recorder: Recorder, failure_recorded_at: datetime, violation: NonDeterminismError
) -> WorkflowFailed:
    """End the run: append exactly one WorkflowFailed, and return it.

    As at every end, its parent and the children that it leaves are posted what concerns them.

    Raises:
        StoreError: it could not be recorded. Not tried without end: one workflow must not keep
            the others waiting.
    """
    failed = WorkflowFailed(
        seq=recorder.head + 1,
        recorded_at=failure_recorded_at,
        workflow_id=recorder.workflow_id,
        error=Failure(
            type=type(violation).__name__, message=f"non-determinism violation: {violation}"
        ),
    )
    reading = RunReading(recorder.workflow_id, await recorder.read())
    posts = []
    if reading.facts.started is not None:
        children = reading.facts.children.values()
        posts = [
            outgoing_message(recorder.workflow_id, each, failure_recorded_at)
            for each in outgoing_of(failed, reading.facts.started, children)
        ]
    await recorder.append([failed], post=posts)
    return failed


async def recover(
    writer: WritableStore,
    executor: LiveExecutor,
    driver: RecoveryDriver,
    *,
    on_violation: OnViolation = fail_on_violation,
) -> list[RecoveryReport]:
    """Recover every active workflow, one after the other, in the order of ``list_active()``.

    Args:
        executor: by whom the runs go on afterwards; not touched here.
        on_violation: called when a run's commands do not fit its history.

    Raises:
        StoreError: the active workflows cannot be listed. Nothing else is raised: whatever is
            wrong with one workflow is in its report.
    """
    return [
        await recover_one(writer, executor, driver, workflow_id, on_violation=on_violation)
        for workflow_id in await writer.store.list_active()
    ]


async def recover_one(
    writer: WritableStore,
    executor: LiveExecutor,
    driver: RecoveryDriver,
    workflow_id: WorkflowId,
    *,
    on_violation: OnViolation = fail_on_violation,
) -> RecoveryReport:
    """Recover one workflow: read its history, once, and drive its plan. See `recover`."""
    try:
        history = await writer.store.read_history(workflow_id)
        head = history[-1].seq if history else 0
        recorder = Recorder(writer, workflow_id, head, history=history)
        if not history:
            raise HistoryShapeError(
                f"workflow {workflow_id!r} is listed as active, but has no history; check the store"
            )
        plan = planned(driver, workflow_id, history)
    except (Exception, SystemExit) as error:
        return RecoveryReport(workflow_id, Failed(error))
    try:
        outcome = _drive(plan, workflow_id, history)
    except NonDeterminismError as violation:
        outcome = await _violated(recorder, plan, violation, on_violation)
    except (Exception, SystemExit) as error:
        outcome = Failed(error)
    finally:
        if plan.machine is not None:
            plan.machine.close()
    return RecoveryReport(workflow_id, outcome)


def _drive(plan: RecoveryPlan, workflow_id: WorkflowId, history: Sequence[HistoryEvent]) -> Outcome:
    replay = Replay(workflow_id, plan.run_id, history)
    match replay.drive(plan.commands):
        case ResumePoint(command_index, command, recorded):
            return Resumed(ResumeAt(command_index, command, replay.head), len(recorded))
        case Ended(terminal, recorded):
            return Terminal(terminal, len(recorded), replay.head)
        case awaiting:
            raise ended_early(len(awaiting.recorded), replay.head)


async def _violated(
    recorder: Recorder,
    plan: RecoveryPlan,
    violation: NonDeterminismError,
    on_violation: OnViolation,
) -> Failed:
    head = recorder.head
    try:
        await on_violation(recorder, plan.failure_recorded_at, violation)
    except Exception as error:
        return Failed(violation, recording_error=error)
    return Failed(violation, failure_recorded=recorder.head > head)
