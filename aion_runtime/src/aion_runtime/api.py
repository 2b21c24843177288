"""What ``import aion_runtime`` offers: the authoring API of `aion_core`, and the engine.

A public name is added here; `aion_runtime` itself takes it from here when it is first used.
"""

from __future__ import annotations

from aion_core import events
from aion_core.authoring.activities import Activity, activity
from aion_core.authoring.attempt import (
    ActivityInfo,
    activity_info,
    check_cancelled,
    heartbeat,
    last_heartbeat,
    resource,
)
from aion_core.authoring.changes import patched, side_effect
from aion_core.authoring.children import ChildHandle
from aion_core.authoring.concurrency import gather, map, race  # noqa: A004
from aion_core.authoring.drawing import rng, uuid4
from aion_core.authoring.info import WorkflowInfo, is_replaying, set_attributes, workflow_info
from aion_core.authoring.loglines import logger
from aion_core.authoring.queries import Query
from aion_core.authoring.sagas import Saga, saga
from aion_core.authoring.signals import Signal, WouldBlock
from aion_core.authoring.timing import (
    NamedTimer,
    fail_after,
    move_on_after,
    now,
    sleep,
    sleep_until,
    start_timer,
)
from aion_core.authoring.updates import Update
from aion_core.authoring.workflows import Workflow, workflow
from aion_core.contracts import EventStore, FeedItem, RunFilter, RunPage
from aion_core.errors import (
    ActivityError,
    ActivityNotFoundError,
    ActivityNotHeldError,
    AionError,
    ApplicationError,
    BrokenResourceError,
    Cancelled,
    ChildWorkflowError,
    ClosedResourceError,
    ConfigError,
    CorruptHistoryError,
    EndOfChannel,
    EngineStoppedError,
    FencedError,
    HistoryShapeError,
    InvalidIdError,
    Lagged,
    NoAnswerError,
    NonDeterminismError,
    NotInWorkflowError,
    PayloadError,
    PluginError,
    QueryError,
    SchemaVersionError,
    SequenceConflictError,
    SideEffectError,
    StoreError,
    StoreUnavailableError,
    TooSlowError,
    UnknownWorkflowTypeError,
    UpdateFailedError,
    UpdateRejectedError,
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
from aion_core.machine.channels import (
    MemoryReceiveChannel,
    MemorySendChannel,
    open_memory_channel,
)
from aion_core.machine.nursery import Nursery, open_nursery
from aion_core.machine.predicates import wait_until
from aion_core.machine.scopes import CancelScope
from aion_core.machine.sync import Event, Lock, Semaphore
from aion_core.machine.tasks import checkpoint
from aion_core.plugins import PluginManager
from aion_core.policies import Limit, Rate, RetryPolicy
from aion_core.status import WorkflowStatus
from aion_runtime.client import Client
from aion_runtime.clock import Clock, SystemClock
from aion_runtime.engine import Engine
from aion_runtime.engine_thread import BlockingHandle, EngineThread
from aion_runtime.explaining import Explanation
from aion_runtime.handles import WorkflowHandle
from aion_runtime.opening import open_engine, open_store
from aion_runtime.opening_client import open_client
from aion_runtime.recovery.startup import StartupReport
from aion_runtime.wording import PendingFor

__all__ = [
    "Activity",
    "ActivityError",
    "ActivityInfo",
    "ActivityNotFoundError",
    "ActivityNotHeldError",
    "AionError",
    "ApplicationError",
    "BlockingHandle",
    "BrokenResourceError",
    "CancelScope",
    "Cancelled",
    "ChildHandle",
    "ChildWorkflowError",
    "Client",
    "Clock",
    "ClosedResourceError",
    "ConfigError",
    "CorruptHistoryError",
    "EndOfChannel",
    "Engine",
    "EngineStoppedError",
    "EngineThread",
    "Event",
    "EventStore",
    "Explanation",
    "Failure",
    "FeedItem",
    "FencedError",
    "HistoryShapeError",
    "InvalidIdError",
    "Lagged",
    "Limit",
    "Lock",
    "MemoryReceiveChannel",
    "MemorySendChannel",
    "NamedTimer",
    "NoAnswerError",
    "NonDeterminismError",
    "NotInWorkflowError",
    "Nursery",
    "PayloadError",
    "PendingFor",
    "PluginError",
    "PluginManager",
    "Query",
    "QueryError",
    "Rate",
    "RetryPolicy",
    "RunFilter",
    "RunPage",
    "Saga",
    "SchemaVersionError",
    "Semaphore",
    "SequenceConflictError",
    "SideEffectError",
    "Signal",
    "StartupReport",
    "StoreError",
    "StoreUnavailableError",
    "SystemClock",
    "TooSlowError",
    "UnknownWorkflowTypeError",
    "Update",
    "UpdateFailedError",
    "UpdateRejectedError",
    "VersionNotLoadedError",
    "Workflow",
    "WorkflowAlreadyStartedError",
    "WorkflowClosedError",
    "WorkflowFailedError",
    "WorkflowHandle",
    "WorkflowInfo",
    "WorkflowNotFoundError",
    "WorkflowStatus",
    "WorkflowStuckError",
    "WorkflowSummary",
    "WorkflowUsageError",
    "WouldBlock",
    "activity",
    "activity_info",
    "check_cancelled",
    "checkpoint",
    "events",
    "fail_after",
    "gather",
    "heartbeat",
    "is_replaying",
    "last_heartbeat",
    "logger",
    "map",
    "move_on_after",
    "now",
    "open_client",
    "open_engine",
    "open_memory_channel",
    "open_nursery",
    "open_store",
    "patched",
    "race",
    "resource",
    "rng",
    "saga",
    "set_attributes",
    "side_effect",
    "sleep",
    "sleep_until",
    "start_timer",
    "uuid4",
    "wait_until",
    "workflow",
    "workflow_info",
]
