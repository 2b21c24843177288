"""The status of a workflow, as a word. How it follows from events is in `aion_core.history`."""

from __future__ import annotations

import enum

__all__ = ["WorkflowStatus"]


class WorkflowStatus(enum.Enum):
    """Where a run stands."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def is_closed(self) -> bool:
        """True when the run takes nothing more."""
        return self is not WorkflowStatus.RUNNING
