"""Recovery and live execution: the seams at which a deployment puts its own parts.

Each is offered by a plugin under a name and chosen by that name in the configuration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from aion_core.authoring.activities import Activity, ActivityInfo
from aion_core.authoring.resources import Resources
from aion_core.commands import Command
from aion_core.events import HistoryEvent
from aion_core.ids import PackageVersion, RunId, TimerId, WorkflowId
from aion_core.machine.arrivals import AttemptCancelled, AttemptCompleted, AttemptFailed
from aion_core.machine.workflow_machine import (
    ActivationGuard,
    WorkflowDefinition,
    WorkflowMachine,
)
from aion_core.payloads import Payload, PayloadConverter
from aion_core.policies import ActivityOptions

__all__ = [
    "ActiveWorkflowRecoverySeam",
    "ActivityAttempt",
    "CancelScope",
    "ChildOutcome",
    "LiveExecutor",
    "RecoveryDriver",
    "RecoveryPlan",
    "Resident",
    "ResolvedDefinition",
    "ScheduleCoordinator",
    "SeamContext",
    "VersionedCatalog",
]


class ResolvedDefinition(Protocol):
    """The code that a run goes on by, and its version, which may not be the recorded one."""

    @property
    def definition(self) -> WorkflowDefinition:
        """The code."""

    @property
    def loaded_version(self) -> str:
        """Its version."""


class VersionedCatalog(Protocol):
    """Workflow definitions by type and version."""

    def __call__(self, workflow_type: str) -> WorkflowDefinition:
        """The current definition of a type. Raises `UnknownWorkflowTypeError`."""

    def resolve(self, workflow_type: str, version: PackageVersion) -> ResolvedDefinition:
        """The definition for a run that was begun by a version.

        Raises:
            UnknownWorkflowTypeError: there is none of the type.
            VersionNotLoadedError: there is another version, and the policy is strict.
        """


@attrs.frozen(kw_only=True)
class SeamContext:
    """What the factory of an executor, a driver or a seam is given.

    Attributes:
        settings: the plugin's own, from the configuration.
        catalog: the engine's workflows.
        converter: how values are stored.
        guard: entered for the length of each activation of workflow code.
    """

    settings: Mapping[str, object]
    catalog: VersionedCatalog
    converter: PayloadConverter
    guard: ActivationGuard


class CancelScope(Protocol):
    """Stops what runs in it."""

    def cancel(self) -> None:
        """Stop it at its next checkpoint."""


class ActivityAttempt(ABC):
    """One attempt of an activity, as an executor gets it.

    Attributes:
        info: which call of which run, and the number of the attempt.
        definition: the activity: ``definition.body`` is the function to be called.
        input: its arguments, as recorded.
        options: its time limits; watched by the engine.
        converter: decodes the arguments and encodes the result.
        cancel_scope: in which the executor is called; not to be touched once it has returned.
        last_heartbeat: details of the last heartbeat of any attempt before this one.
        resources: what the engine was given for its activities.
    """

    info: ActivityInfo
    definition: Activity[..., object]
    input: Payload
    options: ActivityOptions
    converter: PayloadConverter
    cancel_scope: CancelScope
    last_heartbeat: Payload | None
    resources: Resources

    @property
    def is_in_thread(self) -> bool:
        """Its function is a plain one."""
        return not self.definition.is_async

    @property
    @abstractmethod
    def is_to_stop(self) -> bool:
        """Its workflow has cancelled it, its time is over, or it has been left. From any thread."""

    @abstractmethod
    async def call_on_asyncio(
        self, function: Callable[..., Coroutine[Any, Any, object]], arguments: Mapping[str, object]
    ) -> object:
        """Call an async function on the engine's asyncio loop, in the context of this task.

        The time that the attempt may take runs from when the function begins. Being cancelled, it
        cancels the function, and waits until that has ended; what it returns then is returned.
        """

    @abstractmethod
    def waits(self) -> None:
        """The function has to wait for its turn: no time runs until `began` is called.

        Only from the task in which the executor was called.
        """

    @abstractmethod
    def began(self) -> None:
        """The function begins now: the time that the attempt may take, and may be silent, runs
        from here.

        Not called, it runs from the call of the executor. From any thread; the thread waits until
        the event loop has seen to it.
        """

    @abstractmethod
    def heartbeat(self, details: Payload) -> None:
        """Keep details for the attempt that may follow; it is not silent. From any thread."""


@attrs.frozen(kw_only=True)
class ChildOutcome:
    """How a child workflow ended, and which one it was."""

    child_workflow_id: WorkflowId
    version: PackageVersion
    outcome: AttemptCompleted | AttemptFailed


class LiveExecutor(ABC):
    """What really happens, once history has no answer. Never touched while it has one.

    The engine calls `run_activity` only: timers, signals and children are its own. The other
    methods serve `aion_runtime.recovery.resolve_or_execute_live`, for drivers outside the engine,
    tools and tests.
    """

    @abstractmethod
    async def run_activity(
        self, attempt: ActivityAttempt
    ) -> AttemptCompleted | AttemptFailed | AttemptCancelled:
        """Run one attempt; called once for each, after the commit that begins it.

        Whether a failed attempt is followed by another is decided by the caller. An exception
        counts as a failed attempt. Being cancelled, it is left by the exception of its event loop
        like any other function; why it was, the caller knows.
        """

    @abstractmethod
    async def start_timer(self, timer_id: TimerId, fire_at: datetime) -> None:
        """Return when the instant has come. Not called by the engine."""

    @abstractmethod
    async def await_signal(self, name: str, index: int) -> Payload:
        """The ``index``-th signal of a name, once it is there. Not called by the engine."""

    @abstractmethod
    async def spawn_child(
        self, workflow_type: str, input: Payload, child_workflow_id: WorkflowId
    ) -> ChildOutcome:
        """Run another workflow to its end, under this id. Not called by the engine."""


@attrs.frozen
class RecoveryPlan:
    """The commands that the code of a run issues, held against its history by who takes them.

    Attributes:
        commands: in order; consumed once. Iterating them runs the code. None is no command, but
            an occasion to let others have their turn.
        failure_recorded_at: the instant to be recorded if they do not fit the history.
        machine: stands at the end of the history once ``commands`` is exhausted; None for a
            driver that has none.
    """

    run_id: RunId
    commands: Iterable[Command | None]
    failure_recorded_at: datetime
    machine: WorkflowMachine | None = None


class RecoveryDriver(ABC):
    """Turns a history into what its code asks for."""

    @abstractmethod
    def recovery_plan(
        self, workflow_id: WorkflowId, history: Sequence[HistoryEvent]
    ) -> RecoveryPlan:
        """The plan for the newest run. No I/O.

        Raises:
            Exception: of any kind: reported for this workflow alone; nothing is recorded.
        """


@attrs.frozen
class Resident:
    """The run can go on in this engine.

    Attributes:
        loaded_version: of the code it goes on by.
        pid: names the resident run in this engine, in reports.
    """

    run_id: RunId
    loaded_version: PackageVersion
    pid: str


@attrs.frozen
class ScheduleCoordinator:
    """The run is the coordinator of the schedules, which no driver ever gets."""

    run_id: RunId


class ActiveWorkflowRecoverySeam(ABC):
    """Decides by which code an open run goes on."""

    @abstractmethod
    def recover_active_workflow(
        self,
        workflow_id: WorkflowId,
        workflow_type: str,
        history: Sequence[HistoryEvent],
        catalog: VersionedCatalog,
    ) -> Resident | ScheduleCoordinator:
        """Find the code of an open run. No I/O.

        Args:
            workflow_type: which it is expected to have.

        Raises:
            Exception: of any kind: the run is held as stuck, with it as the reason.
        """
