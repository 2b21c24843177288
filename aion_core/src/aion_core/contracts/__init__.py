"""Contracts: what the runtime asks of stores, executors, recovery and observers.

Third parties implement these. What each promises stands at its methods.
"""

from __future__ import annotations

from aion_core.contracts.messages import (
    Answer,
    Message,
    MessageKind,
    RunRef,
    StoredMessage,
    message_id_of,
    sent_message_id,
)
from aion_core.contracts.observing import ActivityAttempted, EngineView, Observer
from aion_core.contracts.recovery import (
    ActiveWorkflowRecoverySeam,
    ActivityAttempt,
    CancelScope,
    ChildOutcome,
    LiveExecutor,
    RecoveryDriver,
    RecoveryPlan,
    Resident,
    ResolvedDefinition,
    ScheduleCoordinator,
    SeamContext,
    VersionedCatalog,
)
from aion_core.contracts.rows import (
    EVERYTHING,
    BegunRun,
    DueReason,
    DueRun,
    DueTimer,
    FeedItem,
    OpenActivity,
    Package,
    PackageRoute,
    RunFilter,
    RunPage,
    StoreStats,
    WaitingStart,
)
from aion_core.contracts.stores import (
    Append,
    EventStore,
    StoreCapabilities,
    StoreProvider,
    StoreWriter,
)

__all__ = [
    "EVERYTHING",
    "ActiveWorkflowRecoverySeam",
    "ActivityAttempt",
    "ActivityAttempted",
    "Answer",
    "Append",
    "BegunRun",
    "CancelScope",
    "ChildOutcome",
    "DueReason",
    "DueRun",
    "DueTimer",
    "EngineView",
    "EventStore",
    "FeedItem",
    "LiveExecutor",
    "Message",
    "MessageKind",
    "Observer",
    "OpenActivity",
    "Package",
    "PackageRoute",
    "RecoveryDriver",
    "RecoveryPlan",
    "Resident",
    "ResolvedDefinition",
    "RunFilter",
    "RunPage",
    "RunRef",
    "ScheduleCoordinator",
    "SeamContext",
    "StoreCapabilities",
    "StoreProvider",
    "StoreStats",
    "StoreWriter",
    "StoredMessage",
    "VersionedCatalog",
    "WaitingStart",
    "message_id_of",
    "sent_message_id",
]
