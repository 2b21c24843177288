"""Commands: what workflow code asks of the world.

An *anchored* command leaves one intent event, by which replay finds it again. An *await* leaves
nothing: arrivals answer it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from aion_core.failures import Failure
from aion_core.ids import ActivityId, ChildKey, RunId, TimerId, WorkflowId
from aion_core.payloads import Payload
from aion_core.policies import ActivityOptions
from aion_core.values import Attributes

__all__ = [
    "AnchoredCommand",
    "AwaitChild",
    "AwaitCommand",
    "AwaitSignal",
    "AwaitTimer",
    "CancelActivity",
    "CancelChild",
    "CancelTimer",
    "CancelWorkflow",
    "ClosePolicy",
    "Command",
    "CompleteUpdate",
    "CompleteWorkflow",
    "ContinueAsNew",
    "FailUpdate",
    "FailWorkflow",
    "Park",
    "RecordMarker",
    "RunActivity",
    "SendSignal",
    "SpawnChild",
    "StartTimer",
    "UpdateSearchAttributes",
]

ClosePolicy = Literal["cancel", "terminate", "abandon"]
"""What becomes of a child when its parent closes."""


@attrs.frozen
class RunActivity:
    """Run an activity with a stored input.

    Attributes:
        aliases: former names of the type, under which history may know it.
    """

    activity_id: ActivityId
    activity_type: str
    input: Payload
    options: ActivityOptions
    aliases: tuple[str, ...] = ()


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
class SpawnChild:
    """Start another workflow as a child.

    Attributes:
        aliases: former names of the type, under which history may know it.
    """

    child_key: ChildKey
    child_workflow_id: WorkflowId
    workflow_type: str
    input: Payload
    close_policy: ClosePolicy = "cancel"
    aliases: tuple[str, ...] = ()


@attrs.frozen
class CancelChild:
    """Ask a child to stop; its outcome is still awaited."""

    child_key: ChildKey


@attrs.frozen
class SendSignal:
    """Send a value to another workflow."""

    position: str
    target_workflow_id: WorkflowId
    name: str
    payload: Payload


@attrs.frozen
class RecordMarker:
    """Keep a value, or the failure to get one, under a name."""

    name: str
    position: str
    payload: Payload | None = None
    failure: Failure | None = None


@attrs.frozen
class UpdateSearchAttributes:
    """Merge attributes by key; None takes one away."""

    position: str
    attributes: Attributes


@attrs.frozen
class CompleteUpdate:
    """The handler of an update returned."""

    update_id: str
    result: Payload


@attrs.frozen
class FailUpdate:
    """The handler of an update raised."""

    update_id: str
    error: Failure


@attrs.frozen
class CompleteWorkflow:
    """The code returned."""

    result: Payload


@attrs.frozen
class FailWorkflow:
    """The code raised."""

    error: Failure


@attrs.frozen
class CancelWorkflow:
    """The code ended by the cancellation that was asked for."""

    reason: str


@attrs.frozen
class ContinueAsNew:
    """The run ends, and its workflow goes on as another run.

    Attributes:
        workflow_type: of the successor; None for the same.
    """

    input: Payload
    successor_run_id: RunId
    workflow_type: str | None = None


@attrs.frozen
class AwaitSignal:
    """The code waits for the ``index``-th signal of a name, counted from 0."""

    name: str
    index: int


@attrs.frozen
class AwaitTimer:
    """The code waits for a timer that it has started."""

    timer_id: TimerId


@attrs.frozen
class AwaitChild:
    """The code waits for the outcome of a child."""

    child_key: ChildKey


@attrs.frozen
class Park:
    """The code waits for something without a name, a predicate for example."""


AnchoredCommand: TypeAlias = (
    RunActivity
    | CancelActivity
    | StartTimer
    | CancelTimer
    | SpawnChild
    | CancelChild
    | SendSignal
    | RecordMarker
    | UpdateSearchAttributes
    | CompleteUpdate
    | FailUpdate
    | CompleteWorkflow
    | FailWorkflow
    | CancelWorkflow
    | ContinueAsNew
)

AwaitCommand: TypeAlias = AwaitSignal | AwaitTimer | AwaitChild | Park

Command: TypeAlias = AnchoredCommand | AwaitCommand
