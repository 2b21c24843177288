"""Judging: which event an arrival becomes, by what is recorded of its run, or why it becomes none.

Nothing is changed here, and no code of a workflow is run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import assert_never

import attrs

from aion_core import events as e
from aion_core.errors import (
    AionError,
    WorkflowAlreadyStartedError,
    WorkflowClosedError,
    WorkflowNotFoundError,
)
from aion_core.failures import Failure, FailureKind, timeout_failure
from aion_core.history import ActivityRow, RunProjection
from aion_core.machine import arrivals as a
from aion_core.machine.attempt_events import (
    attempt_cancelled,
    attempt_completed,
    attempt_failed,
    attempt_started,
)
from aion_core.machine.facts import RunFacts
from aion_core.machine.operating import judge_retry, judge_supply
from aion_core.payloads import Payload

__all__ = ["MAX_DELIVERIES", "Judge", "judge_start"]

MAX_DELIVERIES = 5
"""How often one attempt is handed out before it counts as crashed: it may be what kills us."""


class Judge:
    """Judges what arrives at one workflow.

    Args:
        projection: the state of its newest run, kept up to date by the caller.
        facts: what else is recorded of it, likewise.
        same: whether two inputs of a workflow are the same.
    """

    __slots__ = ("_facts", "_projection", "_same", "_workflow_id")

    def __init__(
        self,
        projection: RunProjection,
        facts: RunFacts,
        same: Callable[[Payload, Payload], bool],
    ) -> None:
        self._workflow_id = projection.workflow_id
        self._projection = projection
        self._facts = facts
        self._same = same

    def __call__(self, arrival: a.Arrival, now: datetime) -> e.HistoryEvent | AionError | None:
        """The event that an arrival becomes; None when it is dropped or was taken before."""
        match arrival:
            case a.ActivityOutcome() | a.Redelivery() | a.AttemptStart():
                return self._judge_activity(arrival, now)
            case a.TimerDue():
                return self._judge_timer(arrival, now)
            case a.SignalSentToRun() | a.UpdateSentToRun():
                return self._judge_sending(arrival, now)
            case a.StartRequest():
                return self._judge_start(arrival, now)
            case a.CancelRequest() | a.TerminateRequest():
                return self._judge_stop(arrival, now)
            case a.ChildEnded():
                return self._judge_child(arrival, now)
            case a.RetryRequest():
                return judge_retry(self._projection, arrival, now, self._recorded_at(now))
            case a.SupplyRequest():
                return judge_supply(self._projection, arrival, self._recorded_at(now))
            case _:
                assert_never(arrival)

    def _judge_sending(
        self, arrival: a.SignalSentToRun | a.UpdateSentToRun, now: datetime
    ) -> e.HistoryEvent | AionError | None:
        summary = self._projection.summary
        if summary is None:
            return WorkflowNotFoundError(self._workflow_id)
        if isinstance(arrival, a.SignalSentToRun):
            is_known = arrival.signal_id in self._projection.signal_ids
        else:
            is_known = arrival.update_id in self._projection.update_ids
        if is_known:
            return None
        if summary.status.is_closed:
            return WorkflowClosedError(self._workflow_id, summary.status.value)
        if isinstance(arrival, a.SignalSentToRun):
            return e.SignalReceived(
                seq=self._projection.head + 1,
                recorded_at=self._recorded_at(now),
                workflow_id=self._workflow_id,
                name=arrival.name,
                payload=arrival.payload,
                signal_id=arrival.signal_id,
            )
        return e.UpdateAccepted(
            seq=self._projection.head + 1,
            recorded_at=self._recorded_at(now),
            workflow_id=self._workflow_id,
            update_id=arrival.update_id,
            name=arrival.name,
            arg=arrival.arg,
        )

    def _judge_stop(
        self, arrival: a.CancelRequest | a.TerminateRequest, now: datetime
    ) -> e.HistoryEvent | AionError | None:
        summary, started = self._projection.summary, self._facts.started
        if summary is None or started is None:
            # What a parent wants of a child that is no more concerns nobody.
            return WorkflowNotFoundError(self._workflow_id) if arrival.parent is None else None
        if arrival.parent is not None and arrival.parent != started.parent:
            return None
        if summary.status.is_closed:
            return WorkflowClosedError(self._workflow_id, summary.status.value)
        if isinstance(arrival, a.TerminateRequest):
            return e.WorkflowTerminated(
                seq=self._projection.head + 1,
                recorded_at=self._recorded_at(now),
                workflow_id=self._workflow_id,
                reason=arrival.reason,
            )
        if self._facts.cancel_seq is not None:
            return None
        return e.WorkflowCancelRequested(
            seq=self._projection.head + 1,
            recorded_at=self._recorded_at(now),
            workflow_id=self._workflow_id,
            reason=arrival.reason,
        )

    def _judge_child(self, arrival: a.ChildEnded, now: datetime) -> e.HistoryEvent | None:
        summary = self._projection.summary
        if summary is None or summary.status.is_closed or summary.run_id != arrival.run_id:
            return None
        if arrival.child_key not in self._facts.children:
            return None
        seq, recorded_at = self._projection.head + 1, self._recorded_at(now)
        match arrival.outcome:
            case a.ChildCompleted(result):
                return e.ChildWorkflowCompleted(
                    seq=seq,
                    recorded_at=recorded_at,
                    workflow_id=self._workflow_id,
                    child_key=arrival.child_key,
                    result=result,
                )
            case a.ChildFailed(failure):
                return e.ChildWorkflowFailed(
                    seq=seq,
                    recorded_at=recorded_at,
                    workflow_id=self._workflow_id,
                    child_key=arrival.child_key,
                    error=failure,
                )
            case a.ChildCancelled(detail):
                return e.ChildWorkflowCancelled(
                    seq=seq,
                    recorded_at=recorded_at,
                    workflow_id=self._workflow_id,
                    child_key=arrival.child_key,
                    detail=detail,
                )
            case _:
                assert_never(arrival.outcome)

    def _judge_activity(
        self, arrival: a.ActivityOutcome | a.Redelivery | a.AttemptStart, now: datetime
    ) -> e.HistoryEvent | None:
        row = self._projection.activities.get(arrival.activity_id)
        if (
            row is None
            or row.scheduled_seq != arrival.scheduled_seq
            or row.attempt != arrival.attempt
        ):
            return None
        match arrival:
            case a.ActivityOutcome():
                return self._judge_outcome(arrival, row, now)
            # Asked for twice, it is still one delivery.
            case _ if arrival.delivery != row.delivery:
                return None
            case a.Redelivery():
                return self._judge_redelivery(row, now)
            case a.AttemptStart():
                is_wanted = not (row.cancel_requested or row.held)
                return self._started(row, row.delivery, now) if is_wanted else None
            case _:
                assert_never(arrival)

    def _judge_start(
        self, arrival: a.StartRequest, now: datetime
    ) -> e.HistoryEvent | AionError | None:
        # What goes on as another run is still what was started once.
        started = self._facts.origin
        if started is None:
            assert arrival.package_version is not None  # the run has filled it in
            return e.WorkflowStarted(
                seq=self._projection.head + 1,
                recorded_at=self._recorded_at(now),
                workflow_id=self._workflow_id,
                workflow_type=arrival.workflow_type,
                input=arrival.input,
                run_id=arrival.run_id,
                package_version=arrival.package_version,
                random_seed=arrival.random_seed,
                parent=arrival.parent,
                attributes=arrival.attributes,
                not_before=arrival.not_before,
                memo=arrival.memo,
            )
        return judge_start(started, arrival, self._same)

    def _judge_timer(self, arrival: a.TimerDue, now: datetime) -> e.HistoryEvent | None:
        timer = self._projection.timers.get(arrival.timer_id)
        if timer is None or timer.started_seq != arrival.started_seq:
            return None
        return e.TimerFired(
            seq=self._projection.head + 1,
            recorded_at=max(self._recorded_at(now), timer.fire_at),
            workflow_id=self._workflow_id,
            timer_id=arrival.timer_id,
            started_seq=arrival.started_seq,
        )

    def _judge_redelivery(self, row: ActivityRow, now: datetime) -> e.HistoryEvent:
        recorded_at = self._recorded_at(now)
        if row.cancel_requested:
            # Cancelled since somebody wanted to run it again: it is settled, not run.
            return attempt_cancelled(
                self._projection, row, recorded_at, row.attempt, a.OUTCOME_UNKNOWN
            )
        if row.delivery < MAX_DELIVERIES:
            return self._started(row, row.delivery + 1, now)
        failure = Failure(
            type="Crashed",
            message=f"handed out {row.delivery} times, and no process lived to see it end",
            kind="crashed",
        )
        held = self._holds(row, recorded_at)
        return attempt_failed(self._projection, row, recorded_at, failure, held=held)

    def _started(self, row: ActivityRow, delivery: int, now: datetime) -> e.ActivityStarted:
        recorded_at = self._recorded_at(now)
        return attempt_started(self._projection, row, recorded_at, row.attempt, delivery)

    def _judge_outcome(
        self, arrival: a.ActivityOutcome, row: ActivityRow, now: datetime
    ) -> e.HistoryEvent | None:
        projection, outcome = self._projection, arrival.outcome
        summary = projection.summary
        if summary is None or arrival.run_id != summary.run_id:
            return None
        recorded_at = self._recorded_at(now)
        match outcome:
            case a.AttemptCompleted():
                return attempt_completed(projection, row, recorded_at, outcome.result)
            case a.AttemptCancelled(detail, attempt_ran):
                if not row.cancel_requested:
                    return None
                attempt = row.attempt if attempt_ran else None
                return attempt_cancelled(projection, row, recorded_at, attempt, detail)
            case a.AttemptFailed():
                return self._judge_failure(arrival, outcome, row, recorded_at)
            case _:
                assert_never(outcome)

    def _judge_failure(
        self,
        arrival: a.ActivityOutcome,
        outcome: a.AttemptFailed,
        row: ActivityRow,
        recorded_at: datetime,
    ) -> e.ActivityFailed:
        failure = outcome.failure
        delay = self._delay_before_next(row, failure, non_retryable=outcome.non_retryable)
        failure = attrs.evolve(failure, kind=_kind(failure, delay))
        held = delay is None and self._holds(row, recorded_at)
        at = None if delay is None else recorded_at + timedelta(seconds=delay)
        if at is not None and row.deadline is not None and at >= row.deadline:
            # To wait for an attempt that may not begin would help nobody.
            failure, at = self._out_of_time(row, failure), None
        return attempt_failed(
            self._projection,
            row,
            recorded_at,
            failure,
            next_attempt_at=at,
            held=held,
            heartbeat=arrival.heartbeat,
        )

    def _delay_before_next(
        self, row: ActivityRow, failure: Failure, *, non_retryable: bool
    ) -> float | None:
        if row.cancel_requested:
            return None
        policy = self._facts.scheduled[row.activity_id].options.retry
        return policy.delay_after(row.attempt, failure, non_retryable=non_retryable)

    def _holds(self, row: ActivityRow, at: datetime) -> bool:
        """Is an operator asked, when there is no further attempt?"""
        if row.cancel_requested or (row.deadline is not None and at >= row.deadline):
            # Its caller wants it no more, or was promised to have waited no longer.
            return False
        return self._facts.scheduled[row.activity_id].options.retry.on_exhausted == "pause"

    def _out_of_time(self, row: ActivityRow, failure: Failure) -> Failure:
        limit = self._facts.scheduled[row.activity_id].options.schedule_to_close
        assert limit is not None
        return timeout_failure(limit, "schedule_to_close", failure)

    def _recorded_at(self, now: datetime) -> datetime:
        last = self._projection.last_recorded_at
        return now if last is None or now > last else last


def judge_start(
    started: e.WorkflowStarted, request: a.StartRequest, is_same: Callable[[Payload, Payload], bool]
) -> WorkflowAlreadyStartedError | None:
    """What the sender of a start is told of a run that is there already: None for the same one."""
    if request.parent is not None and started.parent != request.parent:
        return WorkflowAlreadyStartedError(started.workflow_id, "by somebody else")
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
