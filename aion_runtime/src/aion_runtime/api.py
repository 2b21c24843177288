"""What ``import aion_runtime`` offers: the authoring API of `aion_core`, and the engine.

A public name is added here; `aion_runtime` itself takes it from here when it is first used.
"""

from __future__ import annotations

from aion_core import events
from aion_core.authoring.activities import Activity, ActivityInfo, activity, activity_info
from aion_core.authoring.concurrency import gather
from aion_core.authoring.signals import Signal, WouldBlock
from aion_core.authoring.timing import fail_after, move_on_after, now, sleep, sleep_until
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.contracts import EventStore, RunPage
from aion_core.errors import (
    ActivityError,
    AionError,
    ApplicationError,
    Cancelled,
    ConfigError,
    CorruptHistoryError,
    EngineStoppedError,
    FencedError,
    HistoryShapeError,
    InvalidIdError,
    NonDeterminismError,
    NotInWorkflowError,
    PayloadError,
    PluginError,
    SchemaVersionError,
    SequenceConflictError,
    StoreError,
    StoreUnavailableError,
    TooSlowError,
    UnknownWorkflowTypeError,
    VersionNotLoadedError,
    WorkflowAlreadyStartedError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowNotFoundError,
    WorkflowStuckError,
    WorkflowUsageError,
)
from aion_core.failures import Failure
from aion_core.history import WorkflowSummary
from aion_core.machine.kernel import checkpoint
from aion_core.machine.nursery import Nursery, open_nursery
from aion_core.machine.scopes import CancelScope
from aion_core.plugins import PluginManager
from aion_core.policies import RetryPolicy
from aion_core.status import WorkflowStatus
from aion_runtime.clock import Clock, SystemClock
from aion_runtime.engine import Engine
from aion_runtime.handles import WorkflowHandle
from aion_runtime.opening import open_engine, open_store
from aion_runtime.recovery.startup import StartupReport

__all__ = [
    "Activity",
    "ActivityError",
    "ActivityInfo",
    "AionError",
    "ApplicationError",
    "CancelScope",
    "Cancelled",
    "Clock",
    "ConfigError",
    "CorruptHistoryError",
    "Engine",
    "EngineStoppedError",
    "EventStore",
    "Failure",
    "FencedError",
    "HistoryShapeError",
    "InvalidIdError",
    "NonDeterminismError",
    "NotInWorkflowError",
    "Nursery",
    "PayloadError",
    "PluginError",
    "PluginManager",
    "RetryPolicy",
    "RunPage",
    "SchemaVersionError",
    "SequenceConflictError",
    "Signal",
    "StartupReport",
    "StoreError",
    "StoreUnavailableError",
    "SystemClock",
    "TooSlowError",
    "UnknownWorkflowTypeError",
    "VersionNotLoadedError",
    "Workflow",
    "WorkflowAlreadyStartedError",
    "WorkflowClosedError",
    "WorkflowFailedError",
    "WorkflowHandle",
    "WorkflowNotFoundError",
    "WorkflowStatus",
    "WorkflowStuckError",
    "WorkflowSummary",
    "WorkflowUsageError",
    "WouldBlock",
    "activity",
    "activity_info",
    "checkpoint",
    "events",
    "fail_after",
    "gather",
    "move_on_after",
    "now",
    "open_engine",
    "open_nursery",
    "open_store",
    "sleep",
    "sleep_until",
    "workflow",
]
