"""How a run ended, as replay reports it. Apart from the resolutions, whose names are alike."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from aion_core import events as e
from aion_core.failures import Failure
from aion_core.payloads import Payload

__all__ = [
    "Cancelled",
    "Completed",
    "ContinuedAsNew",
    "Failed",
    "ReplayTerminal",
    "Terminated",
    "TimedOut",
    "terminal_of",
]


@attrs.frozen
class Completed:
    """The code returned."""

    payload: Payload


@attrs.frozen
class Failed:
    """The code raised."""

    error: Failure


@attrs.frozen
class Cancelled:
    """The code ended by the cancellation that was asked for."""

    reason: str


@attrs.frozen
class Terminated:
    """An operator ended the run; the code was not asked."""

    reason: str


@attrs.frozen
class TimedOut:
    """The run's time was over; the code was not asked."""

    which: Literal["run"]


@attrs.frozen
class ContinuedAsNew:
    """The workflow went on as another run, with this input."""

    input: Payload


ReplayTerminal: TypeAlias = Completed | Failed | Cancelled | Terminated | TimedOut | ContinuedAsNew


def terminal_of(event: e.HistoryEvent) -> ReplayTerminal:
    """The end that an event records.

    Raises:
        TypeError: the event ends no run.
    """
    match event:
        case e.WorkflowCompleted(result=result):
            return Completed(result)
        case e.WorkflowFailed(error=error):
            return Failed(error)
        case e.WorkflowCancelled(reason=reason):
            return Cancelled(reason)
        case e.WorkflowTerminated(reason=reason):
            return Terminated(reason)
        case e.WorkflowTimedOut(timeout=timeout):
            return TimedOut(timeout)
        case e.WorkflowContinuedAsNew(input=input_):
            return ContinuedAsNew(input_)
        case _:
            raise TypeError(f"{type(event).__name__} does not end a run")
