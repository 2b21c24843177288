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
        has_answered: an await was answered since the activation began.
        converter: how values are stored.
        cancel_reason: why the run is to stop; None while nobody has asked for it.
        ends_as: the status that it is going to have, once that is certain.
        attributes: what the run is searched by, with what the code has changed.
        dropped_signals: signals whose payload fitted no receiver, with the reason, to be logged.
        log_lines: what the code has said, to be logged.
        places: where in the author's code commands were issued; None when nobody asks for it.
        recorded: what history holds of this activation.
    """

    # Of these, and of the parts, there is one for each run in memory; a part that few runs need is
    # made when it is asked for.
    __slots__ = (
        "_children",
        "_commands",
        "_has_gaps",
        "_markers",
        "_queries",
        "_refused_for",
        "_timers",
        "_updates",
        "_waits_begun",
        "activities",
        "attributes",
        "cancel_reason",
        "converter",
        "dropped_signals",
        "ends_as",
        "has_answered",
        "is_replaying",
        "lifted",
        "log_lines",
        "now",
        "places",
        "recorded",
        "run_id",
        "seq",
        "signals",
        "started",
        "workflow_id",
    )

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
        self.has_answered = False
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
        self.signals = Signals(self)
        self._timers: Timers | None = None
        self._children: Children | None = None
        self._updates: Updates | None = None
        self._markers: Markers | None = None
        self._queries: Queries | None = None
        self._commands: list[c.Command | None] = []
        self._has_gaps = False
        self._refused_for: str | None = None
        self._waits_begun = 0

    @property
    def timers(self) -> Timers:
        """The timers of the run."""
        if self._timers is None:
            self._timers = Timers(self)
        return self._timers

    @property
    def children(self) -> Children:
        """The workflows that it has started."""
        if self._children is None:
            self._children = Children(self)
        return self._children

    @property
    def updates(self) -> Updates:
        """The updates that it handles."""
        if self._updates is None:
            self._updates = Updates(self)
        return self._updates

    @property
    def markers(self) -> Markers:
        """The values that it got once and for all."""
        if self._markers is None:
            self._markers = Markers(self)
        return self._markers

    @property
    def queries(self) -> Queries:
        """The questions that it answers."""
        if self._queries is None:
            self._queries = Queries(self)
        return self._queries

    def take_commands(self) -> list[c.Command]:
        """The commands issued and the awaits answered since the last call, in order."""
        commands, self._commands = self._commands, []
        if self._timers is not None:
            self._timers.rest()
        if not self._has_gaps:
            return commands  # type: ignore[return-value]  # nothing was taken back
        self._has_gaps = False
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

    @property
    def has_gone_further(self) -> bool:
        """All that history holds of this activation has been asked for again, and nothing follows.

        So what the code asks for next is new.
        """
        recorded = self.recorded
        if not recorded.is_open_ended:
            return False
        if not recorded:
            return True
        # One that is taken back later may be counted, too.
        issued = [each for each in self._commands if not isinstance(each, c.AwaitCommand | None)]
        return len(issued) >= len(recorded)

    def take_back(self, index: int) -> None:
        """Leave no trace of a command of this activation."""
        self._commands[index] = None
        self._has_gaps = True

    def answered(self, command: c.AwaitCommand) -> None:
        """An await of the code has got what it waited for."""
        self._commands.append(command)
        self.has_answered = True

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
            *(() if self._timers is None else self._timers.waits()),
            *self.signals.waits(),
            *(() if self._children is None else self._children.waits()),
        ]
        if not waits and not self.activities:
            return [c.Park()]
        return [command for _, command in sorted(waits, key=itemgetter(0))]
