"""What the attempt manager reports to a run of an attempt: that it begins, and how it ended."""

from __future__ import annotations

from aion_core.failures import timeout_failure
from aion_core.history import ActivityRow
from aion_core.ids import RunId
from aion_core.machine.arrivals import ActivityOutcome, AttemptFailed, AttemptStart, Redelivery
from aion_core.machine.run import Run
from aion_core.making import maker
from aion_runtime.attempt import Attempt
from aion_runtime.executing import AttemptOutcome

__all__ = ["ending_of", "out_of_time", "outcome_of", "redelivery_of", "run_id_of", "start_of"]


_activity_outcome = maker(ActivityOutcome)


def run_id_of(run: Run) -> RunId:
    """Which run of its workflow it is."""
    assert run.projection.summary is not None
    return run.projection.summary.run_id


def redelivery_of(row: ActivityRow) -> Redelivery:
    """A former process may have begun the current attempt, and it is to be made again."""
    return Redelivery(
        activity_id=row.activity_id,
        scheduled_seq=row.scheduled_seq,
        attempt=row.attempt,
        delivery=row.delivery,
    )


def start_of(row: ActivityRow) -> AttemptStart:
    """The current attempt is about to begin, under a rate limit."""
    return AttemptStart(
        activity_id=row.activity_id,
        scheduled_seq=row.scheduled_seq,
        attempt=row.attempt,
        delivery=row.delivery,
    )


def ending_of(attempt: Attempt, outcome: AttemptOutcome) -> ActivityOutcome:
    """How an attempt has ended."""
    return _activity_outcome(
        run_id=attempt.info.run_id,
        activity_id=attempt.info.activity_id,
        scheduled_seq=attempt.scheduled.seq,
        attempt=attempt.number,
        outcome=outcome,
        heartbeat=attempt.details,
    )


def out_of_time(run: Run, row: ActivityRow) -> AttemptFailed:
    """How an activity fails of which no attempt is under way when the time for all is over."""
    scheduled, _ = run.call_of(row)
    limit, former = scheduled.options.schedule_to_close, run.former_of(row)
    assert limit is not None
    cause = None if former is None else former.error
    return AttemptFailed(timeout_failure(limit, "schedule_to_close", cause), non_retryable=True)


def outcome_of(run: Run, row: ActivityRow, outcome: AttemptOutcome) -> ActivityOutcome:
    """How the current attempt of an activity has ended that is not under way."""
    return ActivityOutcome(
        run_id=run_id_of(run),
        activity_id=row.activity_id,
        scheduled_seq=row.scheduled_seq,
        attempt=row.attempt,
        outcome=outcome,
    )
