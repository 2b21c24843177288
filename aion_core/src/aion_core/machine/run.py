"""A run: judges arrivals, activates the code, and says which events are to be appended.

This is the step of ``docs/architecture.md``: arrival by arrival, judged against the run as it is
then, activated, its intents at once. The caller appends the events of a step in one go, and only
then acts on them. When that append fails the run is thrown away with `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import assert_never

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    AionError,
    HistoryShapeError,
    WorkflowAlreadyStartedError,
    WorkflowClosedError,
    WorkflowNotFoundError,
)
from aion_core.failures import Failure, FailureKind
from aion_core.history import ActivityRow, RunProjection
from aion_core.ids import ActivityId, PackageVersion, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.environment import ActivityDefinition
from aion_core.machine.workflow_machine import (
    ActivationGuard,
    Catalog,
    WorkflowMachine,
)
from aion_core.payloads import Payload, PayloadConverter
from aion_core.replay.matching import intent_of

__all__ = ["MAX_DELIVERIES", "Run", "Step", "judge_start"]

MAX_DELIVERIES = 5
"""How often one attempt is handed out before it counts as crashed: it may be what kills us."""


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
            recorded directly before the first arrival that this code sees.

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
        verdict = self._judge(arrival, now)
        if verdict is None or isinstance(verdict, AionError):
            return verdict
        if self._adopt_version is not None and e.is_arrival(verdict):
            verdict = self._adopt_code(self._adopt_version, verdict, events)
        self._record(verdict, events)
        if e.is_arrival(verdict):
            if isinstance(verdict, e.WorkflowStarted):
                self._machine = self._new_machine(verdict)
            assert self._machine is not None
            self._record_intents(self._machine.activate(verdict), verdict.recorded_at, events)
        return None

    def _adopt_code(
        self, version: PackageVersion, arrival: e.HistoryEvent, events: list[e.HistoryEvent]
    ) -> e.HistoryEvent:
        """Record the version that the run goes on by; returns the arrival, one place later."""
        self._adopt_version = None
        adopted = e.WorkflowVersionAdopted(
            seq=arrival.seq,
            recorded_at=arrival.recorded_at,
            workflow_id=self.workflow_id,
            package_version=version,
        )
        self._record(adopted, events)
        return attrs.evolve(arrival, seq=arrival.seq + 1)

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

    def _judge(self, arrival: a.Arrival, now: datetime) -> e.HistoryEvent | AionError | None:
        """The event that an arrival becomes; None when it is dropped or was taken before."""
        if isinstance(arrival, a.StartRequest):
            return self._judge_start(arrival, now)
        summary = self.projection.summary
        if isinstance(arrival, a.SignalSentToRun):
            if summary is None:
                return WorkflowNotFoundError(self.workflow_id)
            if arrival.signal_id in self.projection.signal_ids:
                return None
            if summary.status.is_closed:
                return WorkflowClosedError(self.workflow_id, summary.status.value)
            return e.SignalReceived(
                seq=self.projection.head + 1,
                recorded_at=self._recorded_at(now),
                workflow_id=self.workflow_id,
                name=arrival.name,
                payload=arrival.payload,
                signal_id=arrival.signal_id,
            )
        if isinstance(arrival, a.TimerDue):
            return self._judge_timer(arrival, now)
        row = self.projection.activities.get(arrival.activity_id)
        if (
            row is None
            or row.scheduled_seq != arrival.scheduled_seq
            or row.attempt != arrival.attempt
        ):
            return None
        if isinstance(arrival, a.Redelivery):
            # Asked for twice, it is still one delivery.
            return self._judge_redelivery(row, now) if arrival.delivery == row.delivery else None
        if summary is None or arrival.run_id != summary.run_id:
            return None
        if isinstance(arrival.outcome, a.AttemptCancelled) and not row.cancel_requested:
            return None
        return self._judge_outcome(arrival, row, now)

    def _judge_start(
        self, arrival: a.StartRequest, now: datetime
    ) -> e.HistoryEvent | AionError | None:
        if self._start is None:
            return e.WorkflowStarted(
                seq=self.projection.head + 1,
                recorded_at=self._recorded_at(now),
                workflow_id=self.workflow_id,
                workflow_type=arrival.workflow_type,
                input=arrival.input,
                run_id=arrival.run_id,
                package_version=arrival.package_version,
                random_seed=arrival.random_seed,
            )
        return judge_start(self._start, arrival, self._converter.same)

    def _judge_timer(self, arrival: a.TimerDue, now: datetime) -> e.HistoryEvent | None:
        timer = self.projection.timers.get(arrival.timer_id)
        if timer is None or timer.started_seq != arrival.started_seq:
            return None
        return e.TimerFired(
            seq=self.projection.head + 1,
            recorded_at=max(self._recorded_at(now), timer.fire_at),
            workflow_id=self.workflow_id,
            timer_id=arrival.timer_id,
            started_seq=arrival.started_seq,
        )

    def _judge_redelivery(self, row: ActivityRow, now: datetime) -> e.HistoryEvent:
        seq, recorded_at = self.projection.head + 1, self._recorded_at(now)
        if row.cancel_requested:
            # Cancelled since somebody wanted to run it again: it is settled, not run.
            return e.ActivityCancelled(
                seq=seq,
                recorded_at=recorded_at,
                workflow_id=self.workflow_id,
                activity_id=row.activity_id,
                attempt=row.attempt,
                detail=a.OUTCOME_UNKNOWN,
            )
        if row.delivery < MAX_DELIVERIES:
            return e.ActivityStarted(
                seq=seq,
                recorded_at=recorded_at,
                workflow_id=self.workflow_id,
                activity_id=row.activity_id,
                attempt=row.attempt,
                delivery=row.delivery + 1,
            )
        return e.ActivityFailed(
            seq=seq,
            recorded_at=recorded_at,
            workflow_id=self.workflow_id,
            activity_id=row.activity_id,
            attempt=row.attempt,
            error=Failure(
                type="Crashed",
                message=f"handed out {row.delivery} times, and no process lived to see it end",
                kind="crashed",
            ),
        )

    def _judge_outcome(
        self, arrival: a.ActivityOutcome, row: ActivityRow, now: datetime
    ) -> e.HistoryEvent:
        seq, recorded_at = self.projection.head + 1, self._recorded_at(now)
        match arrival.outcome:
            case a.AttemptCompleted(result):
                return e.ActivityCompleted(
                    seq=seq,
                    recorded_at=recorded_at,
                    workflow_id=self.workflow_id,
                    activity_id=row.activity_id,
                    result=result,
                    attempt=row.attempt,
                )
            case a.AttemptCancelled(detail, attempt_ran):
                return e.ActivityCancelled(
                    seq=seq,
                    recorded_at=recorded_at,
                    workflow_id=self.workflow_id,
                    activity_id=row.activity_id,
                    attempt=row.attempt if attempt_ran else None,
                    detail=detail,
                )
            case a.AttemptFailed(failure, non_retryable):
                delay = self._delay_before_next(row, failure, non_retryable=non_retryable)
                return e.ActivityFailed(
                    seq=seq,
                    recorded_at=recorded_at,
                    workflow_id=self.workflow_id,
                    activity_id=row.activity_id,
                    attempt=row.attempt,
                    error=attrs.evolve(failure, kind=_kind(failure, delay)),
                    next_attempt_at=None
                    if delay is None
                    else recorded_at + timedelta(seconds=delay),
                )
            case _:
                assert_never(arrival.outcome)

    def _delay_before_next(
        self, row: ActivityRow, failure: Failure, *, non_retryable: bool
    ) -> float | None:
        if row.cancel_requested:
            return None
        policy = self._scheduled[row.activity_id].options.retry
        return policy.delay_after(row.attempt, failure, non_retryable=non_retryable)

    def _recorded_at(self, now: datetime) -> datetime:
        last = self.projection.last_recorded_at
        return now if last is None or now > last else last


def judge_start(
    started: e.WorkflowStarted, request: a.StartRequest, is_same: Callable[[Payload, Payload], bool]
) -> WorkflowAlreadyStartedError | None:
    """What the sender of a start is told of a run that is there already: None for the same one."""
    if started.workflow_type != request.workflow_type:
        difference = f"as {started.workflow_type!r}, not {request.workflow_type!r}"
        return WorkflowAlreadyStartedError(started.workflow_id, difference)
    if not is_same(started.input, request.input):
        return WorkflowAlreadyStartedError(started.workflow_id, "with another input")
    return None


def _kind(failure: Failure, delay: float | None) -> FailureKind:
    if failure.kind is not None:
        return failure.kind
    return "terminal" if delay is None else "retryable"


def _start_of(activity: ActivityRow, history: Sequence[e.HistoryEvent]) -> e.ActivityScheduled:
    seq = activity.scheduled_seq
    scheduled = history[seq - 1] if 0 < seq <= len(history) else None
    if not isinstance(scheduled, e.ActivityScheduled):
        raise HistoryShapeError(f"{activity.activity_id} is open, but event {seq} did not start it")
    return scheduled
