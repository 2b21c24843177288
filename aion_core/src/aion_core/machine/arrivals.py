"""Arrivals before they are judged: what the outside world reports to a run.

They become events only if the run, as it is then, still has a use for them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from aion_core.errors import InvalidIdError
from aion_core.failures import Failure
from aion_core.ids import ActivityId, PackageVersion, RunId, TimerId
from aion_core.payloads import Payload

__all__ = [
    "OUTCOME_UNKNOWN",
    "ActivityOutcome",
    "Arrival",
    "AttemptCancelled",
    "AttemptCompleted",
    "AttemptFailed",
    "Redelivery",
    "SignalSentToRun",
    "StartRequest",
    "TimerDue",
]


OUTCOME_UNKNOWN = "outcome unknown"
"""Detail of a cancelled activity of which a former process may have run an attempt."""


@attrs.frozen(kw_only=True)
class StartRequest:
    """Somebody wants the workflow to run. Ids and seed are drawn by the shell."""

    workflow_type: str
    input: Payload
    run_id: RunId
    package_version: PackageVersion
    random_seed: int


@attrs.frozen
class AttemptCompleted:
    """The attempt returned."""

    result: Payload


@attrs.frozen
class AttemptFailed:
    """The attempt raised, or was too slow; ``non_retryable`` forbids another."""

    failure: Failure
    non_retryable: bool = False


@attrs.frozen
class AttemptCancelled:
    """The attempt was stopped by request; ``attempt_ran`` is False when none was under way."""

    detail: str | None = None
    attempt_ran: bool = True


@attrs.frozen(kw_only=True)
class ActivityOutcome:
    """An attempt has ended. It names run, activity start and attempt, so that a late one shows."""

    run_id: RunId
    activity_id: ActivityId
    scheduled_seq: int
    attempt: int
    outcome: AttemptCompleted | AttemptFailed | AttemptCancelled


@attrs.frozen(kw_only=True)
class Redelivery:
    """Recovery wants to run an unfinished attempt again, which had ``delivery`` deliveries."""

    activity_id: ActivityId
    scheduled_seq: int
    attempt: int
    delivery: int


@attrs.frozen(kw_only=True)
class TimerDue:
    """A timer's instant has come. The timer is named by the seq of its start."""

    timer_id: TimerId
    started_seq: int
    fire_at: datetime


def _printable(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not value or not value.isprintable():
        raise InvalidIdError(f"{attribute.name} {value!r} must be non-empty printable text")


@attrs.frozen(kw_only=True)
class SignalSentToRun:
    """Somebody sends a value. The id makes the sending idempotent.

    Raises:
        InvalidIdError: the signal id cannot be one.
    """

    name: str
    payload: Payload
    signal_id: str = attrs.field(validator=_printable)


Arrival: TypeAlias = StartRequest | ActivityOutcome | Redelivery | TimerDue | SignalSentToRun
