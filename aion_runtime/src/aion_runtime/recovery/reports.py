"""Reports: what recovery found, workflow by workflow."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from aion_core.commands import Command
from aion_core.errors import HistoryShapeError
from aion_core.ids import WorkflowId
from aion_core.replay import ReplayTerminal

__all__ = [
    "Failed",
    "Outcome",
    "RecoveryReport",
    "ResumeAt",
    "Resumed",
    "Terminal",
    "ended_early",
]


@attrs.frozen
class ResumeAt:
    """Where a run goes on live: the first command that its history cannot answer yet.

    Attributes:
        command_index: its place among the commands of the plan, from 0.
        head: seq of the last event.
    """

    command_index: int
    command: Command
    head: int


@attrs.frozen
class Resumed:
    """The run stands where it goes on live. Nothing was executed.

    Attributes:
        recorded: how many commands its history answered.
    """

    resume_at: ResumeAt
    recorded: int


@attrs.frozen
class Terminal:
    """The run has ended.

    Attributes:
        recorded: how many commands its history answered.
        head: seq of the last event.
    """

    terminal: ReplayTerminal
    recorded: int
    head: int


@attrs.frozen
class Failed:
    """The run could not be recovered; the others were.

    Attributes:
        error: why.
        failure_recorded: whether the run has been ended by it.
        recording_error: why that could not be recorded, when it was to be.
    """

    error: Exception | SystemExit
    failure_recorded: bool = False
    recording_error: Exception | None = None


Outcome: TypeAlias = Resumed | Terminal | Failed


@attrs.frozen
class RecoveryReport:
    """What became of one workflow."""

    workflow_id: WorkflowId
    outcome: Outcome


def ended_early(recorded: int, head: int) -> HistoryShapeError:
    """The error of commands that end neither live nor with the run."""
    return HistoryShapeError(
        f"the commands of the recovery plan end early: history answered {recorded} of them and "
        f"goes up to event {head}, but they reach neither its end nor a command to go on with; "
        "mend the recovery driver"
    )
