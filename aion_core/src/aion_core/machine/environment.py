"""The environment of a run: its clock, the commands it issues, and who waits for which arrival.

The one place where workflow code and history meet: primitives of the authoring API issue commands
and park here, arrivals wake them from here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, Protocol

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    ActivityError,
    Cancelled,
    HistoryShapeError,
    PayloadError,
    WorkflowUsageError,
)
from aion_core.ids import ActivityId, RunId, TimerId, WorkflowId, position
from aion_core.machine.kernel import Task, checkpoint_if_cancelled, suspend, yield_turn
from aion_core.machine.places import Places
from aion_core.payloads import Payload, PayloadConverter

__all__ = ["ActivityDefinition", "Environment"]

Decode = Callable[[Payload], Any]


class ActivityDefinition(Protocol):
    """What the environment keeps of an activity: whatever can run it."""

    @property
    def name(self) -> str:
        """The activity type."""


class Environment:
    """What the tasks of one run reach.

    Attributes:
        now: `recorded_at` of the arrival being applied: the run's only clock.
        converter: how its values are stored.
        definitions: the activity behind each call that was issued, for who runs it.
        dropped_signals: signals whose payload fitted no receiver, with the reason, to be logged.
        places: where in the author's code commands were issued; None when nobody asks for it.
    """

    def __init__(
        self, workflow_id: WorkflowId, run_id: RunId, now: datetime, converter: PayloadConverter
    ) -> None:
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.now = now
        self.converter = converter
        self.definitions: dict[ActivityId, ActivityDefinition] = {}
        self.dropped_signals: list[tuple[str, PayloadError]] = []
        self.places: Places | None = None
        self._commands: list[c.Command | None] = []
        self._fresh_timers: dict[TimerId, int] = {}
        self._timers: dict[TimerId, tuple[int, Callable[[], None]]] = {}
        self._activities: dict[ActivityId, Task] = {}
        self._activity_types: dict[ActivityId, str] = {}
        self._keys: set[ActivityId] = set()
        self._arrived: Counter[str] = Counter()
        self._signals: dict[str, deque[tuple[int, Payload]]] = {}
        self._receivers: dict[str, dict[Task, tuple[int, Decode]]] = {}
        self._waits_begun = 0

    def take_commands(self) -> list[c.Command]:
        """The commands issued and the awaits answered since the last call, in order."""
        commands = [command for command in self._commands if command is not None]
        self._commands.clear()
        self._fresh_timers.clear()
        return commands

    def issue(
        self,
        command: c.AnchoredCommand,
        task: Task | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Ask something of the world.

        Args:
            task: on whose behalf.
            error: why, when it is the end of the run.
        """
        if self.places is not None:
            self.places.keep(command, task, error)
        self._commands.append(command)

    def open_awaits(self) -> list[c.AwaitCommand]:
        """What the code waits for, the oldest first; `Park` when nothing of it has a name.

        Activities are not among them: the command that runs one awaits it, too.
        """
        waits: list[tuple[int, c.AwaitCommand]] = [
            (begun, c.AwaitTimer(timer_id)) for timer_id, (begun, _) in self._timers.items()
        ]
        for name, receivers in self._receivers.items():
            waits += [
                (begun, c.AwaitSignal(name, index))
                for index, (begun, _) in enumerate(receivers.values(), self._arrived[name])
            ]
        if not waits and not self._activities:
            return [c.Park()]
        return [command for _, command in sorted(waits, key=itemgetter(0))]

    def start_timer(self, task: Task, fire_at: datetime, fired: Callable[[], None]) -> TimerId:
        """Have ``fired`` called when the instant has come."""
        timer_id = TimerId(position("timer", task.path, task.next_ordinal("timer")))
        self._fresh_timers[timer_id] = len(self._commands)
        self._timers[timer_id] = self._next_wait(), fired
        # In UTC like all that is recorded: it becomes `now` when the timer fires.
        self.issue(c.StartTimer(timer_id, fire_at.astimezone(UTC)), task)
        return timer_id

    def cancel_timer(self, task: Task, timer_id: TimerId) -> None:
        """Forget a timer; one started in the same activation leaves no trace."""
        del self._timers[timer_id]
        index = self._fresh_timers.pop(timer_id, None)
        if index is None:
            self.issue(c.CancelTimer(timer_id), task)
        else:
            self._commands[index] = None

    async def sleep_until(self, task: Task, instant: datetime) -> None:
        """Park a task until an instant. At or before now it is a bare checkpoint."""
        await checkpoint_if_cancelled()
        if instant <= self.now:
            task.next_ordinal("timer")
            await yield_turn()
            await checkpoint_if_cancelled()
            return
        timer_id = self.start_timer(task, instant, lambda: task.kernel.wake(task))

        def abort() -> bool:
            self.cancel_timer(task, timer_id)
            return True

        await suspend(abort)

    async def run_activity(
        self, task: Task, command: c.RunActivity, definition: ActivityDefinition
    ) -> Payload:
        """Park a task until an activity has its outcome.

        Cancelled meanwhile it asks the activity to stop, and waits on: what the activity did do
        must not be lost on the one who may have to undo it.

        Raises:
            ActivityError: it failed for good.
            Cancelled: it was stopped because this task was cancelled.
        """
        await checkpoint_if_cancelled()
        activity_id = command.activity_id
        if command.options.key is not None:
            if activity_id in self._keys:
                raise WorkflowUsageError(
                    f"the key {command.options.key!r} is used twice in this run; "
                    "give every activity call its own"
                )
            self._keys.add(activity_id)
        self.issue(command, task)
        self.definitions[activity_id] = definition
        self._activity_types[activity_id] = command.activity_type
        self._activities[activity_id] = task
        requested = False

        def abort() -> bool:
            nonlocal requested
            if not requested:
                requested = True
                self.issue(c.CancelActivity(activity_id), task)
            return False

        result: Payload = await suspend(abort)
        return result

    async def receive(self, task: Task, name: str, decode: Decode) -> Any:
        """Park a task until it gets the next signal of a name."""
        await checkpoint_if_cancelled()
        waiting = self._signals.get(name)
        while waiting:
            index, payload = waiting.popleft()
            try:
                value = decode(payload)
            except PayloadError as error:
                self.dropped_signals.append((name, error))
                continue
            self._commands.append(c.AwaitSignal(name, index))
            await yield_turn()
            return value
        receivers = self._receivers.setdefault(name, {})
        receivers[task] = self._next_wait(), decode

        def abort() -> bool:
            del receivers[task]
            return True

        return await suspend(abort)

    def receive_nowait(self, name: str, decode: Decode) -> tuple[bool, Any]:
        """Take a signal that is there already: whether there was one, and its value."""
        waiting = self._signals.get(name)
        while waiting:
            _, payload = waiting.popleft()
            try:
                return True, decode(payload)
            except PayloadError as error:
                self.dropped_signals.append((name, error))
        return False, None

    def fire_timer(self, event: e.TimerFired) -> None:
        """Apply an arrival: a timer has come due."""
        _, fired = self._timers.pop(event.timer_id, (0, None))
        if fired is None:
            raise HistoryShapeError(f"{event.timer_id} has fired, but the code waits for none such")
        self._commands.append(c.AwaitTimer(event.timer_id))
        fired()

    def settle_activity(
        self, event: e.ActivityCompleted | e.ActivityFailed | e.ActivityCancelled
    ) -> None:
        """Apply an arrival: an activity has its outcome."""
        activity_id = event.activity_id
        self.definitions.pop(activity_id, None)
        task = self._activities.pop(activity_id, None)
        if task is None:
            raise HistoryShapeError(f"{activity_id} has an outcome, but the code never called it")
        activity_type = self._activity_types.pop(activity_id)
        match event:
            case e.ActivityCompleted(result=result):
                task.kernel.wake(task, result)
            case e.ActivityFailed(error=failure, attempt=attempt):
                task.kernel.wake(
                    task, error=ActivityError(activity_id, activity_type, attempt, failure)
                )
            case _:
                task.kernel.wake(task, error=Cancelled())

    def deliver_signal(self, event: e.SignalReceived) -> None:
        """Apply an arrival: the task that has waited longest gets the signal, or it waits."""
        index = self._arrived[event.name]
        self._arrived[event.name] = index + 1
        receivers = self._receivers.get(event.name)
        if not receivers:
            self._signals.setdefault(event.name, deque()).append((index, event.payload))
            return
        task, (_, decode) = next(iter(receivers.items()))
        try:
            value = decode(event.payload)
        except PayloadError as error:
            self.dropped_signals.append((event.name, error))
            return
        del receivers[task]
        self._commands.append(c.AwaitSignal(event.name, index))
        task.kernel.wake(task, value)

    def _next_wait(self) -> int:
        self._waits_begun += 1
        return self._waits_begun
