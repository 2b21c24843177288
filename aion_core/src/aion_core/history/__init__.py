"""Projections: what follows from events, for every store and the engine by one rule.

`changes` says what one event does to the rows a store keeps beside its events; `RunProjection`
is those rows in memory. A store applies the changes in the transaction that appends the event.
"""

from __future__ import annotations

from aion_core.history.chain import (
    run_chain,
)
from aion_core.history.changing import (
    ActivityHeld,
    ActivityOpened,
    ActivitySettled,
    AttemptDelivered,
    AttemptPlanned,
    AttributesMerged,
    CancelRequested,
    Change,
    RunClosed,
    RunOpened,
    RunPaused,
    RunReopened,
    RunResumed,
    TimerArmed,
    TimerSettled,
    changes,
)
from aion_core.history.projection import (
    RunProjection,
)
from aion_core.history.rows import (
    ActivityRow,
    RateRow,
    RunSummary,
    TimerRow,
    WorkflowSummary,
)
from aion_core.history.statuses import (
    current_status,
)

__all__ = [
    "ActivityHeld",
    "ActivityOpened",
    "ActivityRow",
    "ActivitySettled",
    "AttemptDelivered",
    "AttemptPlanned",
    "AttributesMerged",
    "CancelRequested",
    "Change",
    "RateRow",
    "RunClosed",
    "RunOpened",
    "RunPaused",
    "RunProjection",
    "RunReopened",
    "RunResumed",
    "RunSummary",
    "TimerArmed",
    "TimerRow",
    "TimerSettled",
    "WorkflowSummary",
    "changes",
    "current_status",
    "run_chain",
]
