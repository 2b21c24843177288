"""The workflow machine: one activation per arrival, from an arrival to the commands it caused."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, Protocol

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import AionError, HistoryShapeError, NonDeterminismError, QueryError
from aion_core.ids import RunId, WorkflowId
from aion_core.machine.ending import end_by_error, status_by
from aion_core.machine.environment import Environment
from aion_core.machine.kernel import Kernel
from aion_core.machine.places import Place, Places
from aion_core.machine.waits import WAITS_QUERY, Wait, waits_of
from aion_core.payloads import Payload, PayloadConverter
from aion_core.replay.matching import describe, point, same_intent
from aion_core.replay.segment import Group, cut_segment

__all__ = ["ActivationGuard", "Catalog", "WorkflowDefinition", "WorkflowMachine"]

ActivationGuard = Callable[[], AbstractContextManager[Callable[[], None] | None]]
"""Entered for the length of each activation; the shell keeps the host's primitives out of it.

What entering gives is called now and then while the code runs, and may raise to stop it. A guard
with a method ``lifted`` is lifted by the context that it gives, for what may go where workflow code
may not.
"""


class WorkflowDefinition(Protocol):
    """What the machine needs of a workflow."""

    @property
    def name(self) -> str:
        """The workflow type."""

    def begin(self, input: Payload, converter: PayloadConverter) -> Any:
        """The coroutine of a run with this input. Raises `PayloadError`."""

    def encode_result(self, value: object, converter: PayloadConverter) -> Payload:
        """Store what the coroutine returned. Raises `PayloadError`."""


Catalog = Callable[[str], WorkflowDefinition]
"""Finds the definition of a workflow type. Raises `UnknownWorkflowTypeError`."""


_AWAITS = (c.AwaitSignal, c.AwaitTimer, c.AwaitChild, c.Park)


class WorkflowMachine:
    """Runs the code of one workflow run.

    It holds coroutines, which cannot be copied: a machine that ran ahead of the disk is thrown
    away (`close`) and another one made from history (`replay`).

    Attributes:
        ahead: after a replay, commands that the code issues beyond the last event: it has grown
            since they could have been recorded.
        head: after a replay, seq of the run's last event; 0 before.
    """

    def __init__(
        self,
        started: e.WorkflowStarted,
        definition: WorkflowDefinition,
        converter: PayloadConverter,
        guard: ActivationGuard,
    ) -> None:
        self._definition = definition
        self._guard = guard
        self._started = started
        self.environment = Environment(started, converter, getattr(guard, "lifted", nullcontext))
        self._kernel = Kernel(self.environment, self._ended, self._root_done)
        self._is_started = False
        self._has_begun = False
        self._end: c.AnchoredCommand | None = None
        self._end_error: BaseException | None = None
        self._has_ended = False
        self._common: e.HistoryEvent | None = None
        self.ahead: list[c.AnchoredCommand] = []
        self.head = 0

    @property
    def workflow_id(self) -> WorkflowId:
        """Whose code it runs."""
        return self._started.workflow_id

    @property
    def run_id(self) -> RunId:
        """Which run of it."""
        return self._started.run_id

    @property
    def waits_to_begin(self) -> bool:
        """It is started, and its code runs when the timer of that start has fired."""
        return self._is_started and not self._has_begun and not self._has_ended

    @property
    def is_closing(self) -> bool:
        """The code has its result, and only waits for what it leaves."""
        return self._end is not None

    @property
    def is_continuing(self) -> bool:
        """It is going to be followed by another run."""
        return isinstance(self._end, c.ContinueAsNew)

    @property
    def task_count(self) -> int:
        """How many tasks its code has."""
        return len(self._kernel.all_tasks())

    def refusal_of(self, update: str, arg: Payload) -> AionError | None:
        """Why an update of this name cannot be accepted now; None when it can."""
        with self._guard():
            return self.environment.updates.refusal_of(update, arg)

    def ask(self, query: str) -> Payload:
        """The answer to a query, by the state that the code is in. Raises `QueryError`."""
        if not self._has_begun:
            state = "has ended before it began" if self._has_ended else "waits to be begun"
            raise QueryError(
                f"workflow {self.workflow_id!r} {state}: its code, which would answer the query "
                f"{query!r}, has not run"
            )
        if query == WAITS_QUERY:
            return self.environment.converter.encode(list(self.waits()), list[Wait])
        with self._guard():
            return self.environment.queries.ask(query)

    def waits(self) -> tuple[Wait, ...]:
        """What its tasks wait for, the oldest task first; nothing of that is changed."""
        return waits_of(self._kernel)

    def activate(self, arrival: e.HistoryEvent) -> list[c.AnchoredCommand]:
        """Apply one arrival and run the code until it rests; returns the commands it issued."""
        issued = self._activate(arrival, arrival.recorded_at)
        if not self.environment.has_answered:
            return issued  # type: ignore[return-value]  # no awaits are among them
        return [command for command in issued if not isinstance(command, _AWAITS)]

    def replay(self, history: Sequence[e.HistoryEvent]) -> list[c.AnchoredCommand]:
        """Bring a new machine to the end of a history.

        Returns:
            What is `ahead`.

        Raises:
            NonDeterminismError: the code asks for something else than history holds.
            HistoryShapeError: no engine wrote this history.
        """
        for _ in self.replaying_in_pieces(history):
            pass
        return self.ahead

    def replaying(self, history: Sequence[e.HistoryEvent]) -> Iterator[c.Command]:
        """Bring a new machine to the end of a history, command by command.

        Of each activation the commands and the awaits that were answered are given, in order. At
        the end what is `ahead` follows, then an await for each thing still open, the oldest first,
        or `Park`. Exhausted, the machine stands at the end of the history.

        Args:
            history: of the workflow; what belongs to other runs is not looked at.

        Raises:
            NonDeterminismError: the code asks for something else than history holds.
            HistoryShapeError: no engine wrote this history.
        """
        return (each for each in self.replaying_in_pieces(history) if each is not None)

    def replaying_in_pieces(self, history: Sequence[e.HistoryEvent]) -> Iterator[c.Command | None]:
        """As `replaying`, with None for an activation that gives nothing.

        So whoever iterates can let others have their turn, however long the code asks for nothing.
        """
        segment = cut_segment(self.workflow_id, self.run_id, history)
        recorded = self.environment.recorded
        markers = [event.name for event in segment.events if type(event) is e.MarkerRecorded]
        if markers:
            self.environment.markers.expect_patches(markers)
        self.environment.is_replaying = True
        pending: list[c.AnchoredCommand] = []
        same = self.environment.converter.same
        goes_on = segment.terminal is None
        groups = segment.groups()
        following = next(groups, None)
        while following is not None:
            group, following = following, next(groups, None)
            head = group.head
            # Notes may follow the last. What has ended goes no further.
            recorded.expect(group.intents, is_last=goes_on and following is None)
            if type(head) is e.WorkflowReopened:
                issued: Sequence[c.Command] = [*pending, *self._activate_kept(group)]
            elif pending:
                raise self._diverged(head, pending[0], history)
            else:
                issued = self._activate(head, head.recorded_at)
            self._common = head
            if not issued:
                yield None
            intents = iter(group.intents)
            pending = []
            for command in issued:
                # The type first: most commands are no awaits, and every replay goes through here.
                if type(command) is not c.RunActivity and isinstance(command, _AWAITS):
                    yield command
                    continue
                intent = next(intents, None)
                if intent is None:
                    pending.append(command)
                    continue
                if not same_intent(command, intent, same):
                    raise self._diverged(intent, command, history)
                self._common = intent
                yield command
            for intent in intents:
                raise self._diverged(intent, None, history)
        self.ahead, self.head = pending, segment.head
        self.environment.is_replaying = False
        recorded.expect_nothing()
        yield from pending
        if not self._has_ended:
            yield from self.environment.open_awaits()

    def close(self) -> None:
        """Throw the code away; its clean-up can ask for nothing."""
        self.environment.refuse_from_now_on("a run that is being thrown away")
        with self._guard():
            self._kernel.close()

    def _activate_kept(self, group: Group) -> list[c.Command]:
        """Apply what a reopening kept of the part that it made void, all at its instant."""
        issued: list[c.Command] = []
        for arrival in group.arrivals:
            # It may keep more than the code waits for now: what comes after its end is void.
            if not self._has_ended:
                issued += self._activate(arrival, group.now)
        return issued

    def _activate(self, arrival: e.HistoryEvent, now: datetime) -> Sequence[c.Command]:
        environment = self.environment
        environment.now = now
        environment.seq = arrival.seq
        environment.has_answered = False
        with self._guard() as check:
            self._apply(arrival)
            self._kernel.run_until_rest(check)
        return environment.take_commands()

    def _apply(self, arrival: e.HistoryEvent) -> None:
        environment = self.environment
        match arrival:
            case e.ActivityCompleted() | e.ActivityFailed() | e.ActivityCancelled():
                environment.activities.settle(arrival)
            case e.TimerFired():
                environment.timers.fire(arrival)
            case e.SignalReceived():
                environment.signals.deliver(arrival)
            case e.WorkflowStarted():
                self._begin(arrival)
            case e.UpdateAccepted():
                environment.updates.accept(arrival, self._kernel)
            case e.ChildWorkflowCompleted() | e.ChildWorkflowFailed() | e.ChildWorkflowCancelled():
                environment.children.settle(arrival)
            case e.WorkflowCancelRequested():
                self._cancel(arrival.reason)
            case _:
                raise HistoryShapeError(
                    f"workflow {self.workflow_id!r}: event {arrival.seq}, {describe(arrival)}, "
                    "is not an arrival that this version can apply to a run"
                )

    def _begin(self, started: e.WorkflowStarted) -> None:
        if self._is_started:
            raise HistoryShapeError(f"event {started.seq} starts a run that has been started")
        self._is_started = True
        if started.not_before is None:
            self._run_code()
        else:
            self.environment.timers.hold_start(started.not_before, self._run_code)

    def _run_code(self) -> None:
        self._has_begun = True
        try:
            coroutine = self._definition.begin(self._started.input, self.environment.converter)
        except Exception as error:
            self._root_done(None, error)
            self._ended(None, error)
            return
        if self.environment.places is not None:
            self.environment.places.begin(coroutine)
        self._kernel.spawn_root(coroutine, contextvars.Context())

    def _cancel(self, reason: str) -> None:
        self.environment.cancel_reason = reason
        if self.waits_to_begin:
            # There is no code yet that could clean up.
            self._end_by(c.CancelWorkflow(reason))
            self._ended(None, None)
        else:
            self._kernel.root_scope.cancel()

    def _root_done(self, value: object, error: BaseException | None) -> None:
        """The outcome is certain; what the code leaves behind is still waited for."""
        if error is None:
            try:
                result = self._definition.encode_result(value, self.environment.converter)
            except Exception as unstorable:
                error = unstorable
            else:
                self._end_by(c.CompleteWorkflow(result))
                return
        self._end_error = error
        end = end_by_error(
            error,
            cancel_reason=self.environment.cancel_reason,
            random_seed=self._started.random_seed,
            run_id=self.run_id,
        )
        self._end_by(end)

    def _end_by(self, end: c.AnchoredCommand) -> None:
        self._end = end
        self.environment.ends_as = status_by(end)

    def _ended(self, value: object, error: BaseException | None) -> None:
        self._has_ended = True
        assert self._end is not None
        self.environment.issue(self._end, error=self._end_error)
        self.environment.refuse_from_now_on("a run that has ended")

    def _diverged(
        self,
        event: e.HistoryEvent,
        command: c.AnchoredCommand | None,
        history: Sequence[e.HistoryEvent],
    ) -> NonDeterminismError:
        """What history holds at an event, and what the code asked for there: None for nothing."""
        places = self.environment.places
        if places is None:
            return self._located(history) or self._divergence(event, command, None)
        if command is None:
            return self._divergence(event, None, places.of_rest(self._kernel.root))
        return self._divergence(event, command, places.of(command))

    def _divergence(
        self, event: e.HistoryEvent, command: c.AnchoredCommand | None, place: Place | None
    ) -> NonDeterminismError:
        file, line = place or (None, None)
        return NonDeterminismError(
            self.workflow_id,
            event.seq,
            describe(event),
            "nothing more in this step" if command is None else describe(command),
            last_common=point(self._common),
            file=file,
            line=line,
        )

    def _located(self, history: Sequence[e.HistoryEvent]) -> NonDeterminismError | None:
        """The same divergence, with its place in the author's code.

        To know places costs time, so they are found by replaying once more on another machine.
        """
        twin = WorkflowMachine(
            self._started, self._definition, self.environment.converter, self._guard
        )
        twin.environment.places = Places()
        try:
            twin.replay(history)
        except NonDeterminismError as error:
            return error
        finally:
            twin.close()
        return None
