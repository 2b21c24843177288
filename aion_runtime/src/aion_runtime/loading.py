"""Loading: from a history to a run in memory, through the seam and the driver of the engine.

Start-up and every later wake go this way. A run that cannot go on is told apart from a store that
cannot be read now; what is done about either is decided by the dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs
import trio

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
from aion_core.events import (
    UNVERSIONED,
    HistoryEvent,
    WorkflowStarted,
    WorkflowVersionAdopted,
)
from aion_core.history.statuses import DECIDES
from aion_core.ids import PackageVersion, WorkflowId
from aion_core.machine.reading import RunReading
from aion_core.machine.run import Run
from aion_core.replay import Replay, ResumeLive
from aion_core.replay import Terminal as ReplayEnded
from aion_core.status import WorkflowStatus
from aion_runtime.clock import WorkSlice
from aion_runtime.collecting import FullCollections
from aion_runtime.recovery.driver import planned
from aion_runtime.recovery.reports import Outcome, ResumeAt, Resumed, Terminal, ended_early
from aion_runtime.versions import parse_version

__all__ = ["Diverged", "Held", "Loaded", "Loading", "RunLoader", "Unread"]

LONGEST_SLICE_S = 0.001
"""Seconds for which a replay may keep everybody else waiting. A timer fires in a dozen turns, of
reading, stepping and writing, and each of them waits for so long.
"""

EVENTS_PER_PAGE = 500
"""A long history is read in pieces: whatever a store does with one, others wait no longer."""

PAGED_AT_ONCE = 4
"""So many histories of more than one page are in memory at a time, before they are forgotten."""

LONG_HISTORY = 10_000
"""Events from which on a full garbage collection would be noticed by others."""


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


class _Reading:
    """A history and what follows from it; what is wrong with it shows when a run is made of it.

    Seams and drivers come first, and may say it better, or end it.

    Attributes:
        history: nobody else's, because it is emptied at the end.
        started: the start of the newest run.
        status: of the newest run.
        version: by which the newest run goes, as far as it is recorded.
        is_paged: it is one of few in memory that have more than one page.
        is_long: full garbage collections are put off for it.
    """

    def __init__(self, workflow_id: WorkflowId) -> None:
        self.workflow_id = workflow_id
        self.history: list[HistoryEvent] = []
        self.started: WorkflowStarted | None = None
        self.status: WorkflowStatus | None = None
        self.version = UNVERSIONED
        self.is_paged = False
        self.is_long = False
        self._reading = RunReading(workflow_id)
        self._error: HistoryShapeError | None = None

    def take(self, event: HistoryEvent) -> None:
        self.history.append(event)
        # Noted on the way, because to look for it in a long history takes long.
        status = DECIDES.get(type(event))
        if status is not None:
            self.status = status
            if isinstance(event, WorkflowStarted):
                self.started, self.version = event, event.package_version
        elif isinstance(event, WorkflowVersionAdopted):
            self.version = event.package_version
        if self._error is None:
            try:
                self._reading.take(event)
            except HistoryShapeError as error:
                self._error = error

    def result(self) -> RunReading:
        """Raises `HistoryShapeError`."""
        if self._error is not None:
            raise self._error
        return self._reading

    def newest_start(self) -> WorkflowStarted:
        """Raises `HistoryShapeError`: there is none."""
        if self.started is None:
            raise HistoryShapeError(
                f"workflow {self.workflow_id!r} has no WorkflowStarted in its history; check the "
                "store"
            )
        return self.started

    async def forget(self, work: WorkSlice) -> None:
        """Free the events, which takes as long as to make them, piece by piece."""
        while self.history:
            del self.history[-EVENTS_PER_PAGE:]
            await work.give_way()


class RunLoader:
    """Loads runs.

    Args:
        context: catalog, converter and guard of the engine.
        version_of: the version of the code that is loaded for a workflow type.
    """

    def __init__(
        self,
        store: EventStore,
        context: SeamContext,
        seam: ActiveWorkflowRecoverySeam,
        driver: RecoveryDriver,
        version_of: Callable[[str], PackageVersion],
    ) -> None:
        self._store = store
        self._context = context
        self._seam = seam
        self._driver = driver
        self._version_of = version_of
        self._full_collections = FullCollections()
        self._paged = trio.Semaphore(PAGED_AT_ONCE)

    async def load(self, workflow_id: WorkflowId) -> Loading:
        """Read a history and bring its newest run to the end of it.

        Whatever is wrong with one run is returned, and the other runs go on.
        """
        work = WorkSlice(LONGEST_SLICE_S)
        reading = _Reading(workflow_id)
        try:
            loading = await self._load(reading, work)
            # Nobody else holds the events any more, unless something was wrong with them.
            await reading.forget(work)
            return loading
        finally:
            if reading.is_paged:
                self._paged.release()
            if reading.is_long:
                self._full_collections.allow()

    async def _load(self, reading: _Reading, work: WorkSlice) -> Loading:
        try:
            await self._read(reading, work)
        except CorruptHistoryError as error:
            return Held(error)
        except StoreError as error:
            return Unread(error)
        # A list of their own for seams and drivers, who may keep it.
        history = list(reading.history)
        try:
            status = reading.status
            if not history or (status is not None and status.is_closed):
                return Loaded(self._run(history, reading), None)
            await work.give_way()
            adopted = self._ask_seam(reading, history)
            await work.give_way()
            plan = planned(self._driver, reading.workflow_id, history)
        except (Exception, SystemExit) as error:
            return Held(error)
        return await self._carry_out(plan, history, reading, adopted, work)

    async def _read(self, reading: _Reading, work: WorkSlice) -> None:
        while True:
            page = await self._store.read_history_from(
                reading.workflow_id, len(reading.history) + 1, EVENTS_PER_PAGE
            )
            work.renew()
            for event in page:
                reading.take(event)
                await work.give_way()
            if not reading.is_long and len(reading.history) >= LONG_HISTORY:
                reading.is_long = True
                self._full_collections.put_off()
            self._full_collections.look()
            if len(page) < EVENTS_PER_PAGE:
                return
            if not reading.is_paged:
                await self._paged.acquire()
                reading.is_paged = True

    def _ask_seam(
        self, reading: _Reading, history: Sequence[HistoryEvent]
    ) -> PackageVersion | None:
        """The version that the run goes on by, if that is another one than is recorded."""
        # Stores list a workflow by the type that its newest start has.
        workflow_id, started = reading.workflow_id, reading.newest_start()
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
        is_recorded = decision.loaded_version == reading.version
        return None if is_recorded else decision.loaded_version

    async def _carry_out(
        self,
        plan: RecoveryPlan,
        history: Sequence[HistoryEvent],
        reading: _Reading,
        adopted: PackageVersion | None,
        work: WorkSlice,
    ) -> Loading:
        run: Run | None = None
        try:
            await work.give_way()
            replay = Replay(reading.workflow_id, plan.run_id, history)
            await work.give_way()
            outcome = await self._follow(plan, replay, work)
            run = self._run(history, reading, plan, adopted)
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
        history: Sequence[HistoryEvent],
        reading: _Reading,
        plan: RecoveryPlan | None = None,
        adopted: PackageVersion | None = None,
    ) -> Run:
        workflow_id = reading.workflow_id
        if plan is not None and plan.run_id != reading.newest_start().run_id:
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
            version_of=self._version_of,
            adopt_version=adopted,
            reading=reading.result(),
        )

    async def _follow(self, plan: RecoveryPlan, replay: Replay, work: WorkSlice) -> Outcome:
        """Hold all commands against the history: the machine is to stand at the end of it.

        Raises:
            NonDeterminismError: one of them does not fit.
            HistoryShapeError: they end although history does not.
        """
        resume_at: ResumeAt | None = None
        index = recorded = 0
        for command in plan.commands:
            if command is not None:
                answer = replay.step(command)
                if isinstance(answer, ReplayEnded):
                    return Terminal(answer.terminal, recorded, replay.head)
                if isinstance(answer, ResumeLive):
                    resume_at = resume_at or ResumeAt(index, command, replay.head)
                else:
                    recorded += 1
                index += 1
            if await work.give_way():
                self._full_collections.look()
        if resume_at is None:
            raise ended_early(recorded, replay.head)
        return Resumed(resume_at, recorded)
