"""Calls of activities: issued once, awaited by one task, settled by one arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    ActivityError,
    Cancelled,
    HistoryShapeError,
    WorkflowUsageError,
)
from aion_core.ids import ActivityId
from aion_core.machine.tasks import Park, Task
from aion_core.payloads import Payload, PayloadConverter

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["ActivityCall", "ActivityCalls", "ActivityDefinition"]


class ActivityDefinition(Protocol):
    """What is kept of an activity: whatever can run it."""

    @property
    def name(self) -> str:
        """The activity type."""

    def check_result(self, result: Payload, converter: PayloadConverter) -> None:
        """Raises `PayloadError`: the activity cannot have returned this."""


class ActivityCall(Park):
    """A call without an outcome. Awaited by its task it gives the stored result.

    Attributes:
        task: None once nobody waits for it any more.
    """

    __slots__ = ("_is_asked_to_stop", "command", "definition", "task")

    def __init__(self, task: Task, command: c.RunActivity, definition: ActivityDefinition) -> None:
        self.task: Task | None = task
        self.command = command
        self.definition = definition
        self._is_asked_to_stop = False

    def abort(self) -> bool:
        """Ask the activity to stop, once.

        Its task waits on, because what the activity did do must not be lost on the one who may have
        to undo it; or, with ``on_cancel="abandon"``, it leaves at once.
        """
        task, command = self.task, self.command
        assert task is not None  # who waits no more is not cancelled here
        if not self._is_asked_to_stop:
            self._is_asked_to_stop = True
            task.environment.issue(c.CancelActivity(command.activity_id), task)
        if command.options.on_cancel != "abandon":
            return False
        self.task = None
        return True


class ActivityCalls:
    """The calls that have no outcome yet."""

    __slots__ = ("_environment", "_keys", "_open")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._open: dict[ActivityId, ActivityCall] = {}
        self._keys: dict[ActivityId, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def definition_of(self, activity_id: ActivityId) -> ActivityDefinition:
        """The activity behind an open call, for who runs it."""
        return self._open[activity_id].definition

    def call(
        self, task: Task, command: c.RunActivity, definition: ActivityDefinition
    ) -> ActivityCall:
        """Call an activity on behalf of a task, which has to await it at once.

        That raises `ActivityError` if it failed for good, and `Cancelled` if it was stopped because
        the task was cancelled.

        Raises:
            Cancelled: the task is cancelled already.
        """
        if task.is_cancelled:
            raise Cancelled
        activity_id = command.activity_id
        if command.options.key is not None:
            self._use_key(activity_id, command.options.key)
        self._environment.issue(command, task)
        call = self._open[activity_id] = ActivityCall(task, command, definition)
        return call

    def settle(self, event: e.ActivityCompleted | e.ActivityFailed | e.ActivityCancelled) -> None:
        """Apply an arrival: an activity has its outcome."""
        call = self._open.pop(event.activity_id, None)
        if call is None:
            raise HistoryShapeError(
                f"{event.activity_id} has an outcome, but the code never called it"
            )
        task = call.task
        if task is None:
            return  # abandoned: the outcome is for the reader of the history
        if type(event) is e.ActivityCompleted:
            task.kernel.wake(task, event.result)
            return
        match event:
            case e.ActivityFailed(error=failure, attempt=attempt):
                error = ActivityError(
                    event.activity_id, call.command.activity_type, attempt, failure
                )
                task.kernel.wake(task, error=error)
            case _:
                task.kernel.wake(task, error=Cancelled())

    def _use_key(self, activity_id: ActivityId, key: str) -> None:
        if activity_id in self._keys:
            raise WorkflowUsageError(
                f"the key {key!r} is used twice in this run; give every activity call its own"
            )
        self._keys[activity_id] = None
