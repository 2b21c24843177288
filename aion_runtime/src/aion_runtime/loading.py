"""Loading: from a history to a run in memory, through the seam and the driver of the engine.

Start-up and every later wake go this way. A run that cannot go on is told apart from a store that
cannot be read now; what is done about either is decided by the dispatcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from aion_core.contracts import (
    ActiveWorkflowRecoverySeam,
    EventStore,
    RecoveryDriver,
    RecoveryPlan,
    Resident,
    ScheduleCoordinator,
    SeamContext,
)
from aion_core.errors import (
    ConfigError,
    CorruptHistoryError,
    HistoryShapeError,
    NonDeterminismError,
    StoreError,
)
from aion_core.events import HistoryEvent
from aion_core.history import current_status
from aion_core.ids import PackageVersion, WorkflowId
from aion_core.machine.run import Run
from aion_core.replay import Replay, ResumeLive
from aion_core.replay import Terminal as ReplayEnded
from aion_runtime.clock import WorkSlice
from aion_runtime.recovery.driver import planned
from aion_runtime.recovery.reports import Outcome, ResumeAt, Resumed, Terminal, ended_early
from aion_runtime.recovery.seam import last_start, recorded_version
from aion_runtime.versions import parse_version

__all__ = ["Diverged", "Held", "Loaded", "Loading", "RunLoader", "Unread"]

LONGEST_SLICE_S = 0.005
"""Seconds for which a replay may keep everybody else waiting."""


@attrs.frozen
class Loaded:
    """The run is in memory; ``outcome`` is None when there was nothing to be replayed."""

    run: Run
    outcome: Outcome | None


@attrs.frozen
class Unread:
    """The history could not be read now; to try again makes sense."""

    error: StoreError


@attrs.frozen
class Held:
    """The run cannot go on in this engine."""

    error: Exception | SystemExit


@attrs.frozen
class Diverged:
    """The code does not fit the history.

    Attributes:
        failure_recorded_at: the instant to be recorded if the run is to fail by it.
        head: seq of the last event.
    """

    error: NonDeterminismError
    failure_recorded_at: datetime
    head: int


Loading: TypeAlias = Loaded | Unread | Held | Diverged


class RunLoader:
    """Loads runs.

    Args:
        context: catalog, converter and guard of the engine.
    """

    def __init__(
        self,
        store: EventStore,
        context: SeamContext,
        seam: ActiveWorkflowRecoverySeam,
        driver: RecoveryDriver,
    ) -> None:
        self._store = store
        self._context = context
        self._seam = seam
        self._driver = driver

    async def load(self, workflow_id: WorkflowId) -> Loading:
        """Read a history and bring its newest run to the end of it.

        Whatever is wrong with one run is returned, and the other runs go on.
        """
        try:
            history = await self._store.read_history(workflow_id)
        except CorruptHistoryError as error:
            return Held(error)
        except StoreError as error:
            return Unread(error)
        try:
            status = current_status(history)
            if not history or (status is not None and status.is_closed):
                return Loaded(self._run(workflow_id, history), None)
            adopted = self._ask_seam(workflow_id, history)
            plan = planned(self._driver, workflow_id, history)
        except (Exception, SystemExit) as error:
            return Held(error)
        return await self._carry_out(plan, workflow_id, history, adopted)

    def _ask_seam(
        self, workflow_id: WorkflowId, history: Sequence[HistoryEvent]
    ) -> PackageVersion | None:
        """The version that the run goes on by, if that is another one than is recorded."""
        # Stores list a workflow by the type that its newest start has.
        started = last_start(workflow_id, history)
        decision: object = self._seam.recover_active_workflow(
            workflow_id, started.workflow_type, history, self._context.catalog
        )
        if isinstance(decision, ScheduleCoordinator):
            raise ConfigError(
                f"workflow {workflow_id!r} coordinates schedules, which this engine does not run; "
                "open the store with an engine that does"
            )
        if not isinstance(decision, Resident) or decision.run_id != started.run_id:
            raise HistoryShapeError(
                f"the recovery seam decides {decision!r} for workflow {workflow_id!r}, of which "
                f"the newest run is {started.run_id}; mend the seam"
            )
        # What is no version must not be recorded as one: no engine could read it back.
        parse_version(decision.loaded_version)
        is_recorded = decision.loaded_version == recorded_version(history)
        return None if is_recorded else decision.loaded_version

    async def _carry_out(
        self,
        plan: RecoveryPlan,
        workflow_id: WorkflowId,
        history: Sequence[HistoryEvent],
        adopted: PackageVersion | None,
    ) -> Loading:
        run: Run | None = None
        try:
            replay = Replay(workflow_id, plan.run_id, history)
            outcome = await _follow(plan, replay)
            run = self._run(workflow_id, history, plan, adopted)
            return Loaded(run, outcome)
        except NonDeterminismError as error:
            return Diverged(error, plan.failure_recorded_at, history[-1].seq)
        except (Exception, SystemExit) as error:
            return Held(error)
        finally:
            if run is None and plan.machine is not None:
                plan.machine.close()

    def _run(
        self,
        workflow_id: WorkflowId,
        history: Sequence[HistoryEvent],
        plan: RecoveryPlan | None = None,
        adopted: PackageVersion | None = None,
    ) -> Run:
        if plan is not None and plan.run_id != last_start(workflow_id, history).run_id:
            raise HistoryShapeError(
                f"the recovery driver planned run {plan.run_id} of workflow {workflow_id!r}, which "
                "is not its newest; mend the driver"
            )
        return Run(
            workflow_id,
            history,
            self._context.catalog,
            self._context.converter,
            self._context.guard,
            machine=None if plan is None else plan.machine,
            adopt_version=adopted,
        )


async def _follow(plan: RecoveryPlan, replay: Replay) -> Outcome:
    """Hold all commands against the history: the machine is to stand at the end of it.

    Raises:
        NonDeterminismError: one of them does not fit.
        HistoryShapeError: they end although history does not.
    """
    work = WorkSlice(LONGEST_SLICE_S)
    resume_at: ResumeAt | None = None
    recorded = 0
    for index, command in enumerate(plan.commands):
        answer = replay.step(command)
        if isinstance(answer, ReplayEnded):
            return Terminal(answer.terminal, recorded, replay.head)
        if isinstance(answer, ResumeLive):
            resume_at = resume_at or ResumeAt(index, command, replay.head)
        else:
            recorded += 1
        await work.give_way()
    if resume_at is None:
        raise ended_early(recorded, replay.head)
    return Resumed(resume_at, recorded)
