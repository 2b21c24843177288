"""Arrivals before they are judged: what the outside world reports to a run.

They become events only if the run, as it is then, still has a use for them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from aion_core.errors import InvalidIdError
from aion_core.events import ParentRef
from aion_core.failures import Failure
from aion_core.ids import ActivityId, ChildKey, PackageVersion, RunId, TimerId
from aion_core.payloads import Payload
from aion_core.values import Attributes

__all__ = [
    "OUTCOME_UNKNOWN",
    "STILL_RUNNING",
    "ActivityOutcome",
    "Arrival",
    "AttemptCancelled",
    "AttemptCompleted",
    "AttemptFailed",
    "AttemptStart",
    "CancelRequest",
    "ChildCancelled",
    "ChildCompleted",
    "ChildEnded",
    "ChildFailed",
    "Redelivery",
    "RetryRequest",
    "SignalSentToRun",
    "StartRequest",
    "SupplyRequest",
    "TerminateRequest",
    "TimerDue",
    "UpdateSentToRun",
]


OUTCOME_UNKNOWN = "outcome unknown"
"""Detail of a cancelled activity of which a former process may have run an attempt."""

STILL_RUNNING = "still running"
"""Detail of a cancelled activity whose attempt did not stop in the time it was given."""


@attrs.frozen(kw_only=True)
class StartRequest:
    """Somebody wants the workflow to run. Ids and seed are drawn by the shell, or by a parent.

    Attributes:
        package_version: of the code that is to run; None for what this engine has loaded.
        parent: who starts it as a child.
        attributes: to be searched for.
        memo: a note of the starter's.
        not_before: when its code may first run; None for at once. The shell may hold it longer.
    """

    workflow_type: str
    input: Payload
    run_id: RunId
    package_version: PackageVersion | None
    random_seed: int
    parent: ParentRef | None = None
    attributes: Attributes | None = None
    memo: Payload | None = None
    not_before: datetime | None = None


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
    """An attempt has ended. It names run, activity start and attempt, so that a late one shows.

    Attributes:
        heartbeat: details of its last heartbeat, which a failure keeps.
    """

    run_id: RunId
    activity_id: ActivityId
    scheduled_seq: int
    attempt: int
    outcome: AttemptCompleted | AttemptFailed | AttemptCancelled
    heartbeat: Payload | None = None


@attrs.frozen(kw_only=True)
class Redelivery:
    """Recovery wants to run an unfinished attempt again, which had ``delivery`` deliveries."""

    activity_id: ActivityId
    scheduled_seq: int
    attempt: int
    delivery: int


@attrs.frozen(kw_only=True)
class AttemptStart:
    """An attempt under a rate limit is about to begin, which is recorded first: it counts."""

    activity_id: ActivityId
    scheduled_seq: int
    attempt: int
    delivery: int


@attrs.frozen(kw_only=True)
class RetryRequest:
    """An operator has activities tried again that are held.

    Attributes:
        activity_id: which one; None for all of the run.
    """

    activity_id: ActivityId | None = None


@attrs.frozen(kw_only=True)
class SupplyRequest:
    """An operator says how an open activity ended, instead of another attempt.

    Attributes:
        supplied_by: the operator.
    """

    activity_id: ActivityId
    outcome: AttemptCompleted | AttemptFailed
    supplied_by: str


@attrs.frozen(kw_only=True)
class TimerDue:
    """A timer's instant has come. The timer is named by the seq of its start."""

    timer_id: TimerId
    started_seq: int
    fire_at: datetime


def _printable(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable():
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


@attrs.frozen(kw_only=True)
class UpdateSentToRun:
    """Somebody asks for a change and an answer. The id makes the asking idempotent.

    Raises:
        InvalidIdError: the update id cannot be one.
    """

    name: str
    arg: Payload
    update_id: str = attrs.field(validator=_printable)


@attrs.frozen(kw_only=True)
class CancelRequest:
    """Somebody asks the code to stop.

    Attributes:
        parent: the parent that asks; only its own children obey. None for anybody else.
    """

    reason: str
    parent: ParentRef | None = None


@attrs.frozen(kw_only=True)
class TerminateRequest:
    """Somebody ends the run, without asking its code; ``parent`` as for `CancelRequest`."""

    reason: str
    parent: ParentRef | None = None


@attrs.frozen
class ChildCompleted:
    """The child returned."""

    result: Payload


@attrs.frozen
class ChildFailed:
    """The child failed, was ended from outside, or could not be started."""

    failure: Failure


@attrs.frozen
class ChildCancelled:
    """The child ended by cancellation."""

    detail: str | None = None


@attrs.frozen(kw_only=True)
class ChildEnded:
    """A child of the run ``run_id`` has ended."""

    run_id: RunId
    child_key: ChildKey
    outcome: ChildCompleted | ChildFailed | ChildCancelled


Arrival: TypeAlias = (
    StartRequest
    | ActivityOutcome
    | Redelivery
    | AttemptStart
    | RetryRequest
    | SupplyRequest
    | TimerDue
    | SignalSentToRun
    | UpdateSentToRun
    | CancelRequest
    | TerminateRequest
    | ChildEnded
)
