"""Calls of activities: issued once, awaited by one task, settled by one arrival."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    ActivityError,
    Cancelled,
    HistoryShapeError,
    WorkflowUsageError,
)
from aion_core.ids import ActivityId
from aion_core.machine.kernel import Task, suspend
from aion_core.payloads import Payload, PayloadConverter

if TYPE_CHECKING:
    from aion_core.machine.environment import Environment

__all__ = ["ActivityCalls", "ActivityDefinition"]


class ActivityDefinition(Protocol):
    """What is kept of an activity: whatever can run it."""

    @property
    def name(self) -> str:
        """The activity type."""

    def check_result(self, result: Payload, converter: PayloadConverter) -> None:
        """Raises `PayloadError`: the activity cannot have returned this."""


@attrs.define(eq=False)
class _Call:
    """A call without an outcome; ``task`` is None once nobody waits for it any more."""

    command: c.RunActivity
    definition: ActivityDefinition
    task: Task | None


class ActivityCalls:
    """The calls that have no outcome yet."""

    __slots__ = ("_environment", "_keys", "_open")

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._open: dict[ActivityId, _Call] = {}
        self._keys: dict[ActivityId, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def definition_of(self, activity_id: ActivityId) -> ActivityDefinition:
        """The activity behind an open call, for who runs it."""
        return self._open[activity_id].definition

    async def run(
        self, task: Task, command: c.RunActivity, definition: ActivityDefinition
    ) -> Payload:
        """Park a task until an activity has its outcome.

        Cancelled meanwhile it asks the activity to stop. Then it waits on, because what the
        activity did do must not be lost on the one who may have to undo it; or, with
        ``on_cancel="abandon"``, it leaves at once.

        Raises:
            ActivityError: it failed for good.
            Cancelled: it was stopped because this task was cancelled.
        """
        if task.is_cancelled:
            raise Cancelled
        activity_id = command.activity_id
        if command.options.key is not None:
            self._use_key(activity_id, command.options.key)
        self._environment.issue(command, task)
        call = self._open[activity_id] = _Call(command, definition, task)
        abandons = command.options.on_cancel == "abandon"
        requested = False

        def abort() -> bool:
            nonlocal requested
            if not requested:
                requested = True
                self._environment.issue(c.CancelActivity(activity_id), task)
            if abandons:
                call.task = None
            return abandons

        result: Payload = await suspend(abort)
        return result

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
