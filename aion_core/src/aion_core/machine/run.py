"""A run: takes arrivals, activates the code, and says which events are to be appended.

This is the step of ``docs/architecture.md``: arrival by arrival, judged against the run as it is
then, activated, its intents at once. The caller appends the events of a step in one go, and only
then acts on them. When that append fails the run is thrown away with `close`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    AionError,
    HistoryShapeError,
)
from aion_core.history import ActivityRow, RunProjection
from aion_core.ids import ActivityId, PackageVersion, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.environment import ActivityDefinition
from aion_core.machine.judging import Judge
from aion_core.machine.workflow_machine import (
    ActivationGuard,
    Catalog,
    WorkflowMachine,
)
from aion_core.payloads import PayloadConverter
from aion_core.replay.matching import intent_of

__all__ = ["Run", "Step"]


@attrs.frozen
class Step:
    """What one step decided.

    Attributes:
        events: to be appended after ``expected_seq``; none when every arrival was dropped.
        refusals: for each arrival None, or the error that its sender is to be told.
    """

    events: list[e.HistoryEvent]
    expected_seq: int
    refusals: list[AionError | None]


class Run:
    """The newest run of one workflow, resident in memory.

    Args:
        history: everything recorded so far.
        catalog: where the workflow's code is found; not asked when the run is closed.
        machine: stands at the end of the history already; the run's own from now on. Without it
            one is made and the history replayed on it.
        adopt_version: of the code by which the run goes on, if another one is recorded: it is
            recorded directly before the first that this code sees or asks for.

    Attributes:
        projection: the run's state, at the last event recorded or decided.
        terminal: the event that ended it.

    Raises:
        UnknownWorkflowTypeError: the catalog does not have the code.
        NonDeterminismError: the code does not fit the history.
        HistoryShapeError: the history is not one that an engine wrote, or the machine stands
            elsewhere.
    """

    def __init__(
        self,
        workflow_id: WorkflowId,
        history: Sequence[e.HistoryEvent],
        catalog: Catalog,
        converter: PayloadConverter,
        guard: ActivationGuard,
        machine: WorkflowMachine | None = None,
        *,
        adopt_version: PackageVersion | None = None,
    ) -> None:
        self.workflow_id = workflow_id
        self.projection = RunProjection(workflow_id, history)
        self._catalog = catalog
        self._converter = converter
        self._guard = guard
        self._machine: WorkflowMachine | None = None
        self._adopt_version = adopt_version
        self._ahead: list[c.AnchoredCommand] = []
        self._start: e.WorkflowStarted | None = None
        self._scheduled: dict[ActivityId, e.ActivityScheduled] = {}
        self.terminal: e.HistoryEvent | None = None
        for event in history:
            self._remember(event)
        # Rows name their start, so that what a reopening took back is not found here.
        self._scheduled = {
            each.activity_id: _start_of(each, history)
            for each in self.projection.activities.values()
        }
        self._judge = Judge(self.projection, self._scheduled, converter.same)
        if machine is None:
            self._replay(history)
        else:
            self._adopt(machine)

    @property
    def is_open(self) -> bool:
        """True while the run takes arrivals."""
        return self.projection.is_open

    @property
    def is_ahead(self) -> bool:
        """True when the code has commands that no event records: a step without arrivals is due."""
        return bool(self._ahead)

    def call_of(self, activity: ActivityRow) -> tuple[e.ActivityScheduled, ActivityDefinition]:
        """The event and the definition behind an open activity of an open run."""
        assert self._machine is not None
        definition = self._machine.environment.definitions[activity.activity_id]
        return self._scheduled[activity.activity_id], definition

    def take_dropped_signals(self) -> list[tuple[str, AionError]]:
        """Signals that fitted no receiver since the last call, to be logged."""
        if self._machine is None:
            return []
        dropped = list(self._machine.environment.dropped_signals)
        self._machine.environment.dropped_signals.clear()
        return [(name, error) for name, error in dropped]

    def step(self, arrivals: Iterable[a.Arrival], now: datetime) -> Step:
        """Take arrivals, one by one.

        Args:
            now: the wall clock; what is recorded never goes back behind the last event.
        """
        events: list[e.HistoryEvent] = []
        expected_seq = self.projection.head
        if self._ahead and self.projection.last_recorded_at is not None:
            ahead, self._ahead = self._ahead, []
            self._adopt_code(self.projection.last_recorded_at, events)
            self._record_intents(ahead, self.projection.last_recorded_at, events)
        refusals = [self._take(arrival, now, events) for arrival in arrivals]
        return Step(events, expected_seq, refusals)

    def close(self) -> None:
        """Throw the code away."""
        if self._machine is not None:
            self._machine.close()

    def _replay(self, history: Sequence[e.HistoryEvent]) -> None:
        if self._start is not None and self.is_open:
            machine = self._new_machine(self._start)
            try:
                machine.replay(history)
                self._adopt(machine)
            except BaseException:
                machine.close()
                raise

    def _adopt(self, machine: WorkflowMachine) -> None:
        """Make a machine the run's own that has gone through all of its history."""
        start = self._start
        if start is None or (machine.run_id, machine.head) != (start.run_id, self.projection.head):
            raise HistoryShapeError(
                f"the machine of run {machine.run_id} stands at event {machine.head}, but the "
                f"history of workflow {self.workflow_id!r} ends at event {self.projection.head}"
            )
        self._machine = machine
        if self.is_open:
            self._ahead = machine.ahead
        # Those were logged when they came.
        machine.environment.dropped_signals.clear()

    def _new_machine(self, started: e.WorkflowStarted) -> WorkflowMachine:
        definition = self._catalog(started.workflow_type)
        return WorkflowMachine(started, definition, self._converter, self._guard)

    def _take(
        self, arrival: a.Arrival, now: datetime, events: list[e.HistoryEvent]
    ) -> AionError | None:
        verdict = self._judge(arrival, self._start, now)
        if verdict is None or isinstance(verdict, AionError):
            return verdict
        if e.is_arrival(verdict) and self._adopt_code(verdict.recorded_at, events):
            verdict = attrs.evolve(verdict, seq=self.projection.head + 1)
        self._record(verdict, events)
        if e.is_arrival(verdict):
            if isinstance(verdict, e.WorkflowStarted):
                self._machine = self._new_machine(verdict)
            assert self._machine is not None
            self._record_intents(self._machine.activate(verdict), verdict.recorded_at, events)
        return None

    def _adopt_code(self, recorded_at: datetime, events: list[e.HistoryEvent]) -> bool:
        """Record the version that the run goes on by, once; True when that was due."""
        version, self._adopt_version = self._adopt_version, None
        if version is None:
            return False
        adopted = e.WorkflowVersionAdopted(
            seq=self.projection.head + 1,
            recorded_at=recorded_at,
            workflow_id=self.workflow_id,
            package_version=version,
        )
        self._record(adopted, events)
        return True

    def _record_intents(
        self, commands: list[c.AnchoredCommand], recorded_at: datetime, events: list[e.HistoryEvent]
    ) -> None:
        for command in commands:
            self._record(
                intent_of(command, self.projection.head + 1, recorded_at, self.workflow_id), events
            )

    def _record(self, event: e.HistoryEvent, events: list[e.HistoryEvent]) -> None:
        self.projection.apply(event)
        self._remember(event)
        events.append(event)

    def _remember(self, event: e.HistoryEvent) -> None:
        match event:
            case e.WorkflowStarted():
                self._start, self.terminal = event, None
            case e.WorkflowReopened():
                self.terminal = None
            case e.ActivityScheduled():
                self._scheduled[event.activity_id] = event
            case e.ActivityCompleted() | e.ActivityCancelled():
                self._scheduled.pop(event.activity_id, None)
            case e.ActivityFailed() if e.is_arrival(event):
                self._scheduled.pop(event.activity_id, None)
            case _ if e.is_terminal(event):
                self.terminal = event


def _start_of(activity: ActivityRow, history: Sequence[e.HistoryEvent]) -> e.ActivityScheduled:
    seq = activity.scheduled_seq
    scheduled = history[seq - 1] if 0 < seq <= len(history) else None
    if not isinstance(scheduled, e.ActivityScheduled):
        raise HistoryShapeError(f"{activity.activity_id} is open, but event {seq} did not start it")
    return scheduled
