"""Commands: what workflow code asks of the world. Each leaves one intent event."""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

import attrs

from aion_core.failures import Failure
from aion_core.ids import ActivityId, TimerId
from aion_core.payloads import Payload
from aion_core.policies import ActivityOptions

__all__ = [
    "CancelActivity",
    "CancelTimer",
    "Command",
    "CompleteWorkflow",
    "FailWorkflow",
    "RunActivity",
    "StartTimer",
]


@attrs.frozen
class RunActivity:
    """Run an activity with a stored input."""

    activity_id: ActivityId
    activity_type: str
    input: Payload
    options: ActivityOptions


@attrs.frozen
class CancelActivity:
    """Stop an activity; its outcome is still awaited."""

    activity_id: ActivityId


@attrs.frozen
class StartTimer:
    """Wake the code at an instant."""

    timer_id: TimerId
    fire_at: datetime


@attrs.frozen
class CancelTimer:
    """Forget a timer."""

    timer_id: TimerId


@attrs.frozen
class CompleteWorkflow:
    """The code returned."""

    result: Payload


@attrs.frozen
class FailWorkflow:
    """The code raised."""

    error: Failure


Command: TypeAlias = (
    RunActivity | CancelActivity | StartTimer | CancelTimer | CompleteWorkflow | FailWorkflow
)
