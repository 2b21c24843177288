"""A run: takes arrivals, activates the code, and says which events are to be appended.

This is the step of ``docs/architecture.md``: arrival by arrival, judged against the run as it is
then, activated, its intents at once. The caller appends the events of a step in one go, and only
then acts on them. When that append fails the run is thrown away with `close`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    AionError,
    HistoryShapeError,
    PayloadError,
    QueryError,
    WorkflowClosedError,
    WorkflowUsageError,
)
from aion_core.history import ActivityRow
from aion_core.ids import PackageVersion, RunId, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.activity_calls import ActivityDefinition
from aion_core.machine.judging import Judge
from aion_core.machine.operating import retriable
from aion_core.machine.outgoing import SENDING, Outgoing, outgoing_of, refused_start
from aion_core.machine.randomness import successor_of
from aion_core.machine.reading import RunReading
from aion_core.machine.saying import LogLine
from aion_core.machine.workflow_machine import (
    ActivationGuard,
    Catalog,
    WorkflowMachine,
)
from aion_core.payloads import Payload, PayloadConverter
from aion_core.replay.matching import intent_of

__all__ = ["LATER", "Refusal", "Run", "Step"]

MAX_CONTINUATIONS = 100
"""How often a workflow may go on as another run by one arrival: one that does not wait never rests.
"""


class Later(enum.Enum):
    """An arrival has to wait: for the run that follows, or until the code begins."""

    LATER = "later"


LATER: Literal[Later.LATER] = Later.LATER

Refusal: TypeAlias = AionError | Literal[Later.LATER] | None
"""What became of an arrival: None when it was taken, or is not needed; `LATER` when it is to be
handed in again once the run has ended or begun; else what its sender is to be told.
"""


@attrs.frozen
class Step:
    """What one step decided.

    Attributes:
        events: to be appended after ``expected_seq``; none when every arrival was dropped.
        refusals: for each arrival.
        outgoing: what the events bring to other runs.
    """

    events: list[e.HistoryEvent]
    expected_seq: int
    refusals: list[Refusal]
    outgoing: list[Outgoing] = attrs.Factory(list)


def _unversioned(workflow_type: str) -> PackageVersion:
    return e.UNVERSIONED


class Run:
    """The newest run of one workflow, resident in memory.

    Args:
        history: everything recorded so far.
        catalog: where the workflow's code is found; not asked when the run is closed.
        machine: stands at the end of the history already; the run's own from now on. Without it
            one is made and the history replayed on it.
        version_of: the version of the code that is loaded for a workflow type.
        adopt_version: of the code by which the run goes on, if another one is recorded: it is
            recorded directly before the first that this code sees or asks for.
        reading: has taken all of the history; the run's own from now on. Without it one is made.

    Attributes:
        projection: the run's state, at the last event recorded or decided.

    Raises:
        UnknownWorkflowTypeError: the catalog does not have the code.
        NonDeterminismError: the code does not fit the history.
        HistoryShapeError: the history is not one that an engine wrote, or the machine stands
            elsewhere.
    """

    def __init__(
        self,
        workflow_id: WorkflowId,
        history: Sequence[e.HistoryEvent],
        catalog: Catalog,
        converter: PayloadConverter,
        guard: ActivationGuard,
        machine: WorkflowMachine | None = None,
        *,
        version_of: Callable[[str], PackageVersion] = _unversioned,
        adopt_version: PackageVersion | None = None,
        reading: RunReading | None = None,
    ) -> None:
        reading = reading or RunReading(workflow_id, history)
        self.workflow_id = workflow_id
        self.projection = reading.projection
        self._catalog = catalog
        self._converter = converter
        self._guard = guard
        self._machine: WorkflowMachine | None = None
        self._version_of = version_of
        self._adopt_version = adopt_version
        self._ahead: list[c.AnchoredCommand] = []
        self._outgoing: list[Outgoing] = []
        self._continuations = 0
        self._log_lines: list[tuple[RunId, LogLine]] = []
        self._dropped_signals: list[tuple[str, PayloadError]] = []
        self._facts = reading.facts
        self._facts.settle(history, self.projection.activities.values())
        self._judge = Judge(self.projection, self._facts, converter.same)
        if machine is None:
            self._replay(history)
        else:
            self._adopt(machine)

    @property
    def terminal(self) -> e.HistoryEvent | None:
        """The event that ended it."""
        return self._facts.terminal

    @property
    def is_open(self) -> bool:
        """True while the run takes arrivals."""
        return self.projection.is_open

    @property
    def run_id(self) -> RunId:
        """Which run it is. There is one after the first step."""
        assert self._facts.started is not None
        return self._facts.started.run_id

    @property
    def is_continuing(self) -> bool:
        """Its result is certain: another run is going to follow."""
        return self.is_open and self._machine is not None and self._machine.is_continuing

    @property
    def has_begun(self) -> bool:
        """The code of the newest run has run; False while its start waits."""
        return self._facts.has_begun

    @property
    def puts_off(self) -> bool:
        """What was `LATER` would be so again."""
        machine = self._machine
        if machine is None or not self.is_open:
            return False
        return machine.is_continuing or machine.waits_to_begin

    @property
    def open_updates(self) -> Iterable[str]:
        """Ids of updates that were accepted and have no answer, in order."""
        return tuple(self._facts.updates)

    @property
    def is_ahead(self) -> bool:
        """True when the code has commands that no event records: a step without arrivals is due."""
        return bool(self._ahead)

    @property
    def task_count(self) -> int:
        """How many tasks its code has."""
        return 0 if self._machine is None else self._machine.task_count

    @property
    def kept_bytes(self) -> int:
        """About what values take that are kept for its code: its input, and signals that nobody
        has received.
        """
        machine, started = self._machine, self._facts.started
        if machine is None or started is None:
            return 0
        # The input is kept as it is stored, and as what the code was called with.
        return 2 * len(started.input.data) + machine.environment.signals.kept_bytes

    def call_of(self, activity: ActivityRow) -> tuple[e.ActivityScheduled, ActivityDefinition]:
        """The event and the definition behind an open activity of an open run."""
        assert self._machine is not None
        definition = self._machine.environment.activities.definition_of(activity.activity_id)
        return self._facts.scheduled[activity.activity_id], definition

    def former_of(self, activity: ActivityRow) -> e.ActivityFailed | None:
        """How the attempt before the current one of an open activity failed, if there was one."""
        failed = self._facts.failed.get(activity.activity_id)
        # What a reopening has taken back is not of this attempt. One that is held has none.
        before = activity.attempt - (0 if activity.held else 1)
        return failed if failed is not None and failed.attempt == before else None

    def take_dropped_signals(self) -> list[tuple[str, AionError]]:
        """Signals that fitted no receiver since the last call, to be logged."""
        dropped, self._dropped_signals = self._dropped_signals, []
        if self._machine is not None:
            dropped += self._machine.environment.dropped_signals
            self._machine.environment.dropped_signals.clear()
        return [(name, error) for name, error in dropped]

    def take_log_lines(self) -> list[tuple[RunId, LogLine]]:
        """What the code of which run has said since the last call, to be logged."""
        lines, self._log_lines = self._log_lines, []
        if self._machine is not None:
            lines += self._said_by(self._machine)
            self._machine.environment.log_lines.clear()
        return lines

    def ask(self, query: str) -> Payload:
        """The answer to a query. Raises `QueryError`."""
        if self._machine is None:
            raise QueryError(
                f"workflow {self.workflow_id!r} is closed, and its code is not in memory"
            )
        return self._machine.ask(query)

    def step(self, arrivals: Iterable[a.Arrival], now: datetime) -> Step:
        """Take arrivals, one by one.

        Args:
            now: the wall clock; what is recorded never goes back behind the last event.
        """
        events: list[e.HistoryEvent] = []
        expected_seq = self.projection.head
        if self._ahead and self.projection.last_recorded_at is not None:
            ahead, self._ahead = self._ahead, []
            self._adopt_code(self.projection.last_recorded_at, events)
            self._record_intents(ahead, self.projection.last_recorded_at, events)
        refusals = self._take_all(tuple(arrivals), now, events)
        outgoing, self._outgoing = self._outgoing, []
        return Step(events, expected_seq, refusals, outgoing)

    def close(self) -> None:
        """Throw the code away."""
        if self._machine is not None:
            self._machine.close()

    def _replay(self, history: Sequence[e.HistoryEvent]) -> None:
        if self._facts.started is not None and self.is_open:
            machine = self._new_machine(self._facts.started)
            try:
                machine.replay(history)
                self._adopt(machine)
            except BaseException:
                machine.close()
                raise

    def _adopt(self, machine: WorkflowMachine) -> None:
        """Make a machine the run's own that has gone through all of its history."""
        start = self._facts.started
        if start is None or (machine.run_id, machine.head) != (start.run_id, self.projection.head):
            raise HistoryShapeError(
                f"the machine of run {machine.run_id} stands at event {machine.head}, but the "
                f"history of workflow {self.workflow_id!r} ends at event {self.projection.head}"
            )
        self._machine = machine
        if self.is_open:
            self._ahead = machine.ahead
        # Those were logged when they came.
        machine.environment.dropped_signals.clear()
        machine.environment.log_lines.clear()

    def _said_by(self, machine: WorkflowMachine) -> list[tuple[RunId, LogLine]]:
        return [(machine.run_id, line) for line in machine.environment.log_lines]

    def _new_machine(self, started: e.WorkflowStarted) -> WorkflowMachine:
        definition = self._catalog(started.workflow_type)
        return WorkflowMachine(started, definition, self._converter, self._guard)

    def _take_all(
        self, arrivals: Sequence[a.Arrival], now: datetime, events: list[e.HistoryEvent]
    ) -> list[Refusal]:
        refusals: list[Refusal] = []
        later: list[int] = []

        def take_later() -> None:
            # Before whatever came after them: who sends twice is heard in that order.
            waiting, later[:] = list(later), ()
            for index in waiting:
                refusals[index] = self._take(arrivals[index], now, events)
                if refusals[index] is LATER:
                    later.append(index)

        for index, arrival in enumerate(arrivals):
            if later and not self.puts_off:
                take_later()
            refusals.append(self._take(arrival, now, events))
            if refusals[index] is LATER:
                later.append(index)
        if later and not self.puts_off:
            take_later()
        return refusals

    def _take(self, arrival: a.Arrival, now: datetime, events: list[e.HistoryEvent]) -> Refusal:
        if isinstance(arrival, a.StartRequest) and arrival.package_version is None:
            version = self._version_of(arrival.workflow_type)
            arrival = attrs.evolve(arrival, package_version=version)
        if isinstance(arrival, a.RetryRequest) and arrival.activity_id is None:
            # All but the last, which is the first that waits then.
            for activity_id in retriable(self.projection, now)[:-1]:
                self._take(a.RetryRequest(activity_id=activity_id), now, events)
        verdict = self._judge(arrival, now)
        if isinstance(verdict, AionError):
            return self._refuse(arrival, verdict)
        if verdict is None:
            return None
        refusal = self._refusal_by_code(arrival)
        if refusal is not None:
            return refusal
        activates = e.is_arrival(verdict)
        if activates and self._adopt_code(verdict.recorded_at, events):
            verdict = attrs.evolve(verdict, seq=self.projection.head + 1)
        self._record(verdict, events)
        if activates:
            self._continuations = 0
            self._activate(verdict, events)
        return None

    def _refuse(self, arrival: a.Arrival, error: AionError) -> AionError | None:
        """What its sender is told: a parent gets it as the end of its child."""
        if isinstance(arrival, a.StartRequest):
            told = refused_start(arrival, str(error))
            if told is not None:
                self._outgoing.append(told)
                return None
        return error

    def _refusal_by_code(self, arrival: a.Arrival) -> Refusal:
        """What the code, as it is now, has against an arrival."""
        machine = self._machine
        if isinstance(arrival, a.SupplyRequest):
            return self._refusal_of_supply(arrival)
        if machine is None or not isinstance(
            arrival, a.SignalSentToRun | a.UpdateSentToRun | a.CancelRequest
        ):
            return None
        if machine.is_continuing:
            return LATER
        if machine.waits_to_begin:
            # Only its code has handlers; what is not accepted is not recorded.
            return LATER if isinstance(arrival, a.UpdateSentToRun) else None
        if machine.is_closing:
            return WorkflowClosedError(self.workflow_id, "its result is certain")
        if isinstance(arrival, a.UpdateSentToRun):
            return machine.refusal_of(arrival.name, arrival.arg)
        return None

    def _refusal_of_supply(self, request: a.SupplyRequest) -> PayloadError | None:
        """A result that the function could not have returned would fail its caller for ever."""
        if isinstance(request.outcome, a.AttemptCompleted):
            assert self._machine is not None
            calls = self._machine.environment.activities
            definition = calls.definition_of(request.activity_id)
            try:
                definition.check_result(request.outcome.result, self._converter)
            except PayloadError as error:
                return PayloadError(
                    f"the result supplied for {request.activity_id} ({definition.name}) does not "
                    f"fit: {error}"
                )
        return None

    def _activate(self, arrival: e.HistoryEvent, events: list[e.HistoryEvent]) -> None:
        if isinstance(arrival, e.WorkflowStarted):
            self._machine = self._new_machine(arrival)
        assert self._machine is not None
        self._record_intents(self._machine.activate(arrival), arrival.recorded_at, events)

    def _go_on(self, ended: e.WorkflowContinuedAsNew, events: list[e.HistoryEvent]) -> None:
        """Begin the run that follows, in the same append, with what it inherits."""
        machine, former, summary = self._machine, self._facts.started, self.projection.summary
        assert machine is not None
        assert former is not None
        assert summary is not None
        self._continuations += 1
        if self._continuations > MAX_CONTINUATIONS:
            raise WorkflowUsageError(
                f"workflow {self.workflow_id!r} continued as new {MAX_CONTINUATIONS} times without "
                "waiting for anything; let it sleep, or receive a signal, before it goes on"
            )
        unreceived = machine.environment.signals.unreceived()
        self._log_lines += self._said_by(machine)
        self._dropped_signals += machine.environment.dropped_signals
        machine.close()
        workflow_type = ended.workflow_type or former.workflow_type
        _, seed = successor_of(former.random_seed, former.run_id, "continued")
        started = e.WorkflowStarted(
            seq=self.projection.head + 1,
            recorded_at=ended.recorded_at,
            workflow_id=self.workflow_id,
            workflow_type=workflow_type,
            input=ended.input,
            run_id=ended.successor_run_id,
            continued_from=former.run_id,
            package_version=self._version_of(workflow_type),
            random_seed=seed,
            parent=former.parent,
            attributes=summary.attributes or None,
            memo=former.memo,
        )
        self._record(started, events)
        self._activate(started, events)
        for signal in unreceived:
            # It may have ended by now; what nobody has received then is received by nobody. It may
            # also have gone on as yet another run, to which the earlier ones were taken.
            if not self.is_open:
                break
            again = attrs.evolve(
                signal, seq=self.projection.head + 1, recorded_at=ended.recorded_at
            )
            self._record(again, events)
            self._continuations = 0
            self._activate(again, events)

    def _adopt_code(self, recorded_at: datetime, events: list[e.HistoryEvent]) -> bool:
        """Record the version that the run goes on by, once; True when that was due."""
        version, self._adopt_version = self._adopt_version, None
        if version is None:
            return False
        adopted = e.WorkflowVersionAdopted(
            seq=self.projection.head + 1,
            recorded_at=recorded_at,
            workflow_id=self.workflow_id,
            package_version=version,
        )
        self._record(adopted, events)
        return True

    def _record_intents(
        self, commands: list[c.AnchoredCommand], recorded_at: datetime, events: list[e.HistoryEvent]
    ) -> None:
        for command in commands:
            intent = intent_of(command, self.projection.head + 1, recorded_at, self.workflow_id)
            self._record(intent, events)
            if isinstance(intent, e.WorkflowContinuedAsNew):
                self._go_on(intent, events)

    def _record(self, event: e.HistoryEvent, events: list[e.HistoryEvent]) -> None:
        self.projection.apply(event)
        facts = self._facts
        if type(event) in SENDING and facts.started is not None:
            self._outgoing += outgoing_of(event, facts.started, facts.children.values())
        facts.take(event)
        events.append(event)
