"""Resolutions: what history says of a command. Facts only; how they are found is elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from aion_core.failures import Failure
from aion_core.ids import WorkflowId
from aion_core.payloads import Payload
from aion_core.replay.terminals import ReplayTerminal

__all__ = [
    "ActivityCancelRequested",
    "ActivityCancelled",
    "ActivityCompleted",
    "ActivityFailedTerminal",
    "AttributesUpdated",
    "ChildCancelRequested",
    "ChildCancelled",
    "ChildCompleted",
    "ChildFailed",
    "ChildStarted",
    "MarkerRecorded",
    "Recorded",
    "Resolution",
    "ResumeLive",
    "RunEnded",
    "SignalDelivered",
    "SignalSent",
    "TimerCancelled",
    "TimerFired",
    "TimerStarted",
    "UpdateCompleted",
    "UpdateFailed",
]


@attrs.frozen
class ActivityCompleted:
    """The activity returned."""

    payload: Payload


@attrs.frozen
class ActivityFailedTerminal:
    """The activity failed for good; a failure that is tried again resolves nothing."""

    error: Failure


@attrs.frozen
class ActivityCancelRequested:
    """The activity was asked to stop; its outcome is another matter."""


@attrs.frozen
class ActivityCancelled:
    """The activity stopped because it was asked to."""

    detail: str | None = None


@attrs.frozen
class TimerStarted:
    """The timer runs. The recorded instant holds, whatever the code computes today."""

    fire_at: datetime


@attrs.frozen
class TimerFired:
    """The instant has come."""


@attrs.frozen
class TimerCancelled:
    """The code no longer wanted it."""


@attrs.frozen
class SignalDelivered:
    """A signal was received."""

    payload: Payload


@attrs.frozen
class SignalSent:
    """The signal was sent."""


@attrs.frozen
class ChildStarted:
    """The child was started, under this id."""

    child_workflow_id: WorkflowId


@attrs.frozen
class ChildCompleted:
    """The child returned."""

    payload: Payload


@attrs.frozen
class ChildFailed:
    """The child failed, was ended from outside, or could not be started."""

    error: Failure


@attrs.frozen
class ChildCancelRequested:
    """The child was asked to stop; its outcome is another matter."""


@attrs.frozen
class ChildCancelled:
    """The child ended by cancellation."""

    detail: str | None = None


@attrs.frozen
class MarkerRecorded:
    """A value that was got once and for all, or the failure to get it."""

    payload: Payload | None = None
    failure: Failure | None = None


@attrs.frozen
class AttributesUpdated:
    """The search attributes were changed."""


@attrs.frozen
class UpdateCompleted:
    """The update was answered by a value."""

    payload: Payload


@attrs.frozen
class UpdateFailed:
    """The update was answered by an error."""

    error: Failure


@attrs.frozen
class RunEnded:
    """The run ended as the command says."""

    terminal: ReplayTerminal


Resolution: TypeAlias = (
    ActivityCompleted
    | ActivityFailedTerminal
    | ActivityCancelRequested
    | ActivityCancelled
    | TimerStarted
    | TimerFired
    | TimerCancelled
    | SignalDelivered
    | SignalSent
    | ChildStarted
    | ChildCompleted
    | ChildFailed
    | ChildCancelRequested
    | ChildCancelled
    | MarkerRecorded
    | AttributesUpdated
    | UpdateCompleted
    | UpdateFailed
    | RunEnded
)


@attrs.frozen
class Recorded:
    """History answers the command.

    Attributes:
        seq: the event that answers.
        recorded_at: of the arrival in force there: what ``now()`` is for the code that goes on
            from here.
    """

    resolution: Resolution
    seq: int
    recorded_at: datetime


@attrs.frozen
class ResumeLive:
    """History has no answer yet: from here on it really happens.

    Attributes:
        recorded_at: of the arrival in force at the last event that answered anything: what
            ``now()`` is for the code that goes on from here. None where that is not known.
    """

    recorded_at: datetime | None = None
