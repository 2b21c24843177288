"""The status of a workflow, as a word. How it follows from events is in `aion_core.history`."""

from __future__ import annotations

import enum

__all__ = ["WorkflowStatus"]


class WorkflowStatus(enum.Enum):
    """Where a run stands."""

    RUNNING = "Running"
    PAUSED = "Paused"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    TERMINATED = "Terminated"
    TIMED_OUT = "TimedOut"
    CONTINUED_AS_NEW = "ContinuedAsNew"

    @property
    def is_closed(self) -> bool:
        """True when the run takes nothing more."""
        return self not in _OPEN


_OPEN = (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED)
