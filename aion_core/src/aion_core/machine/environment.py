"""The environment of a run: where its code and its history meet.

Here are its clock, the commands it issues and what it has said meanwhile. What it asks of the world
has a module for each kind: primitives of the authoring API issue commands and park there, arrivals
wake them from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import itemgetter
from typing import TYPE_CHECKING

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import PayloadError, WorkflowUsageError
from aion_core.machine.activity_calls import ActivityCalls
from aion_core.machine.children import Children
from aion_core.machine.markers import Markers
from aion_core.machine.queries import Queries
from aion_core.machine.recorded import RecordedIntents
from aion_core.machine.saying import LogLine
from aion_core.machine.signals import Signals
from aion_core.machine.timers import Timers
from aion_core.machine.updates import Updates
from aion_core.payloads import PayloadConverter

if TYPE_CHECKING:
    from aion_core.machine.kernel import Task
    from aion_core.machine.places import Places
    from aion_core.values import Attributes

__all__ = ["Environment"]


class Environment:
    """What the tasks of one run reach.

    Args:
        started: the event that the run begins with.
        lifted: lets a function go where workflow code may not.

    Attributes:
        now: `recorded_at` of the arrival being applied: the run's only clock.
        seq: of the arrival being applied.
        is_replaying: what happens now is history already.
        converter: how values are stored.
        cancel_reason: why the run is to stop; None while nobody has asked for it.
        ends_as: the status that it is going to have, once that is certain.
        attributes: what the run is searched by, with what the code has changed.
        dropped_signals: signals whose payload fitted no receiver, with the reason, to be logged.
        log_lines: what the code has said, to be logged.
        places: where in the author's code commands were issued; None when nobody asks for it.
        recorded: what history holds of this activation.
    """

    def __init__(
        self,
        started: e.WorkflowStarted,
        converter: PayloadConverter,
        lifted: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.started = started
        self.workflow_id = started.workflow_id
        self.run_id = started.run_id
        self.now = started.recorded_at
        self.seq = started.seq
        self.is_replaying = False
        self.converter = converter
        self.lifted = lifted
        self.cancel_reason: str | None = None
        self.ends_as: str | None = None
        self.attributes: Attributes = started.attributes or {}
        self.dropped_signals: list[tuple[str, PayloadError]] = []
        self.log_lines: list[LogLine] = []
        self.places: Places | None = None
        self.recorded = RecordedIntents()
        self.activities = ActivityCalls(self)
        self.timers = Timers(self)
        self.signals = Signals(self)
        self.children = Children(self)
        self.updates = Updates(self)
        self.markers = Markers(self)
        self.queries = Queries(self)
        self._commands: list[c.Command | None] = []
        self._refused_for: str | None = None
        self._waits_begun = 0

    def take_commands(self) -> list[c.Command]:
        """The commands issued and the awaits answered since the last call, in order."""
        commands, self._commands = self._commands, []
        self.timers.rest()
        return [command for command in commands if command is not None]

    def issue(
        self,
        command: c.AnchoredCommand,
        task: Task | None = None,
        error: BaseException | None = None,
    ) -> int:
        """Ask something of the world; returns by what `take_back` knows it.

        Args:
            task: on whose behalf.
            error: why, when it is the end of the run.

        Raises:
            WorkflowUsageError: what runs now may ask for nothing.
        """
        if self._refused_for is not None:
            self.check_may_change(type(command).__name__)
        if self.places is not None:
            self.places.keep(command, task, error)
        self._commands.append(command)
        return len(self._commands) - 1

    def check_may_change(self, what: str) -> None:
        """Raise `WorkflowUsageError` if what runs now may change nothing."""
        if self._refused_for is not None:
            raise WorkflowUsageError(
                f"{self._refused_for} may change nothing, but it asked for {what}; "
                "let it only read the workflow's state"
            )

    def take_back(self, index: int) -> None:
        """Leave no trace of a command of this activation."""
        self._commands[index] = None

    def answered(self, command: c.AwaitCommand) -> None:
        """An await of the code has got what it waited for."""
        self._commands.append(command)

    @contextmanager
    def refusing(self, what: str) -> Iterator[None]:
        """Refuse all commands meanwhile; ``what`` is it that may ask for nothing."""
        before, self._refused_for = self._refused_for, what
        try:
            yield
        finally:
            self._refused_for = before

    def refuse_from_now_on(self, what: str) -> None:
        """Refuse all commands for ever: nobody will take them."""
        self._refused_for = what

    def next_wait(self) -> int:
        """Count one more wait of the code, to tell the older one of two."""
        self._waits_begun += 1
        return self._waits_begun

    def open_awaits(self) -> list[c.AwaitCommand]:
        """What the code waits for, the oldest first; `Park` when nothing of it has a name.

        Activities are not among them: the command that runs one awaits it, too.
        """
        waits: list[tuple[int, c.AwaitCommand]] = [
            *self.timers.waits(),
            *self.signals.waits(),
            *self.children.waits(),
        ]
        if not waits and not self.activities:
            return [c.Park()]
        return [command for _, command in sorted(waits, key=itemgetter(0))]
