"""Parts that plugins in these tests offer: real ones, which remember how they were made."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime

from aion_core.contracts import (
    EVERYTHING,
    ActiveWorkflowRecoverySeam,
    ActivityAttempt,
    ChildOutcome,
    EngineView,
    LiveExecutor,
    RecoveryDriver,
    RecoveryPlan,
    Resident,
    ResolvedDefinition,
    RunFilter,
    RunPage,
    SeamContext,
    VersionedCatalog,
)
from aion_core.errors import UnknownWorkflowTypeError, WorkflowNotFoundError
from aion_core.events import HistoryEvent
from aion_core.history import WorkflowSummary
from aion_core.hookspecs import hookimpl
from aion_core.ids import PackageVersion, RunId, TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.machine.workflow_machine import WorkflowDefinition
from aion_core.payloads import Payload, PayloadCodec, PayloadConverter


class NoWorkflows:
    """A catalog in which nothing is."""

    def __call__(self, workflow_type: str) -> WorkflowDefinition:
        raise UnknownWorkflowTypeError(workflow_type, ())

    def resolve(self, workflow_type: str, version: PackageVersion) -> ResolvedDefinition:
        raise UnknownWorkflowTypeError(workflow_type, ())


def context(**settings: object) -> SeamContext:
    """A context with the settings of all plugins."""
    return SeamContext(
        settings=settings, catalog=NoWorkflows(), converter=PayloadConverter(), guard=nullcontext
    )


class Executor(LiveExecutor):
    """Runs nothing."""

    def __init__(self, context: SeamContext) -> None:
        self.context = context

    async def run_activity(
        self, attempt: ActivityAttempt
    ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
        return AttemptCancelled()

    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None: ...

    async def await_signal(self, name: str, index: int) -> Payload:
        return Payload("text/plain", b"")

    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        raise UnknownWorkflowTypeError(workflow_type, ())


class Driver(RecoveryDriver):
    """Plans nothing."""

    def __init__(self, context: SeamContext) -> None:
        self.context = context

    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[HistoryEvent]
    ) -> RecoveryPlan:
        raise WorkflowNotFoundError(workflow_id)


class Seam(ActiveWorkflowRecoverySeam):
    """Takes every run for one."""

    def __init__(self, context: SeamContext) -> None:
        self.context = context

    def recover_active_workflow(
        self,
        workflow_id: WorkflowId,
        workflow_type: str,
        history: Sequence[HistoryEvent],
        catalog: VersionedCatalog,
    ) -> Resident:
        return Resident(RunId("r"), PackageVersion("1"), "r")


class Codec(PayloadCodec):
    """Changes nothing."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self.settings = settings

    def encode(self, payload: Payload) -> Payload:
        return payload

    def decode(self, payload: Payload) -> Payload:
        return payload


class View(EngineView):
    """An engine without runs."""

    async def describe(self, workflow_id: str) -> WorkflowSummary:
        raise WorkflowNotFoundError(workflow_id)

    async def list_runs(
        self, filter: RunFilter = EVERYTHING, *, limit: int = 100, cursor: str | None = None
    ) -> RunPage:
        return RunPage((), None)


class Offering:
    """A plugin that offers one part of each kind under one name."""

    def __init__(self, name: str = "mine") -> None:
        self.name = name

    @hookimpl
    def aion_live_executors(self) -> Mapping[str, Callable[[SeamContext], LiveExecutor]]:
        return {self.name: Executor}

    @hookimpl
    def aion_recovery_drivers(self) -> Mapping[str, Callable[[SeamContext], RecoveryDriver]]:
        return {self.name: Driver}

    @hookimpl
    def aion_recovery_seams(
        self,
    ) -> Mapping[str, Callable[[SeamContext], ActiveWorkflowRecoverySeam]]:
        return {self.name: Seam}

    @hookimpl
    def aion_payload_codecs(self) -> Mapping[str, Callable[[Mapping[str, object]], PayloadCodec]]:
        return {self.name: Codec}
