"""A run: takes arrivals, activates the code, and says which events are to be appended.

This is the step of ``docs/architecture.md``: arrival by arrival, judged against the run as it is
then, activated, its intents at once. The caller appends the events of a step in one go, and only
then acts on them. When that append fails the run is thrown away with `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import attrs

from aion_core import commands as c
from aion_core import events as e
from aion_core.errors import (
    AionError,
    HistoryShapeError,
    PayloadError,
    QueryError,
    WorkflowUsageError,
)
from aion_core.history import ActivityRow
from aion_core.ids import PackageVersion, RunId, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.machine.activity_calls import ActivityDefinition
from aion_core.machine.ending import start_of_successor
from aion_core.machine.judging import Judge
from aion_core.machine.operating import retriable
from aion_core.machine.outgoing import SENDING, outgoing_of, refused_start
from aion_core.machine.reading import RunReading
from aion_core.machine.refusing import REFUSABLE, refusal_by_code
from aion_core.machine.saying import LogLine
from aion_core.machine.steps import LATER, Refusal, Step, new_step
from aion_core.machine.workflow_machine import (
    ActivationGuard,
    Catalog,
    WorkflowMachine,
)
from aion_core.payloads import Payload, PayloadConverter
from aion_core.replay.matching import intent_of

__all__ = ["LATER", "Refusal", "Run", "Step"]

_INCOMPLETE = frozenset((a.StartRequest, a.RetryRequest))
"""Arrivals that may leave something to be filled in by the run."""

MAX_CONTINUATIONS = 100
"""How often a workflow may go on as another run by one arrival: one that does not wait never rests.
"""


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
        if self._machine is not None and self._machine.environment.dropped_signals:
            dropped += self._machine.environment.dropped_signals
            self._machine.environment.dropped_signals.clear()
        return [(name, error) for name, error in dropped]

    def take_log_lines(self) -> list[tuple[RunId, LogLine]]:
        """What the code of which run has said since the last call, to be logged."""
        lines, self._log_lines = self._log_lines, []
        if self._machine is not None and self._machine.environment.log_lines:
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
        step = new_step([], self.projection.head, [], [], [])
        if self._ahead and self.projection.last_recorded_at is not None:
            ahead, self._ahead = self._ahead, []
            self._adopt_code(self.projection.last_recorded_at, step)
            self._record_intents(ahead, self.projection.last_recorded_at, step)
        self._take_all(tuple(arrivals), now, step)
        return step

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

    def _take_all(self, arrivals: Sequence[a.Arrival], now: datetime, step: Step) -> None:
        later: list[int] = []
        for index, arrival in enumerate(arrivals):
            if later and not self.puts_off:
                later = self._take_later(arrivals, later, now, step)
            refusal = self._take(arrival, now, step)
            step.refusals.append(refusal)
            if refusal is LATER:
                later.append(index)
        if later and not self.puts_off:
            self._take_later(arrivals, later, now, step)

    def _take_later(
        self, arrivals: Sequence[a.Arrival], later: Sequence[int], now: datetime, step: Step
    ) -> list[int]:
        """Take what had to wait; returns which of it has to wait longer.

        That is before whatever came after it: who sends twice is heard in that order.
        """
        for index in later:
            step.refusals[index] = self._take(arrivals[index], now, step)
        return [index for index in later if step.refusals[index] is LATER]

    def _take(self, arrival: a.Arrival, now: datetime, step: Step) -> Refusal:
        if type(arrival) in _INCOMPLETE:
            arrival = self._completed(arrival, now, step)
        verdict = self._judge(arrival, now)
        if verdict is None:
            return None
        if isinstance(verdict, AionError):
            return self._refuse(arrival, verdict, step)
        if type(arrival) in REFUSABLE and self._machine is not None:
            refusal = refusal_by_code(self._machine, arrival)
            if refusal is not None:
                return refusal
        if not e.is_arrival(verdict):
            self._record(verdict, step)
            return None
        if self._adopt_version is not None:
            self._adopt_code(verdict.recorded_at, step)
            verdict = attrs.evolve(verdict, seq=self.projection.head + 1)
        self._record(verdict, step)
        self._continuations = 0
        self._activate(verdict, step)
        return None

    def _completed(self, arrival: a.Arrival, now: datetime, step: Step) -> a.Arrival:
        """An arrival with what only the run knows; all but the last of several are taken here."""
        if isinstance(arrival, a.StartRequest) and arrival.package_version is None:
            version = self._version_of(arrival.workflow_type)
            return attrs.evolve(arrival, package_version=version)
        if isinstance(arrival, a.RetryRequest) and arrival.activity_id is None:
            # The last is the first that waits then.
            for activity_id in retriable(self.projection, now)[:-1]:
                self._take(a.RetryRequest(activity_id=activity_id), now, step)
        return arrival

    def _refuse(self, arrival: a.Arrival, error: AionError, step: Step) -> AionError | None:
        """What its sender is told: a parent gets it as the end of its child."""
        if isinstance(arrival, a.StartRequest):
            told = refused_start(arrival, str(error))
            if told is not None:
                step.outgoing.append(told)
                return None
        return error

    def _activate(self, arrival: e.HistoryEvent, step: Step) -> None:
        if isinstance(arrival, e.WorkflowStarted):
            self._machine = self._new_machine(arrival)
        assert self._machine is not None
        self._record_intents(self._machine.activate(arrival), arrival.recorded_at, step)

    def _go_on(self, ended: e.WorkflowContinuedAsNew, step: Step) -> None:
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
        version = self._version_of(ended.workflow_type or former.workflow_type)
        started = start_of_successor(ended, former, summary.attributes, version)
        self._record(started, step)
        self._activate(started, step)
        for signal in unreceived:
            # It may have ended by now; what nobody has received then is received by nobody. It may
            # also have gone on as yet another run, to which the earlier ones were taken.
            if not self.is_open:
                break
            again = attrs.evolve(
                signal, seq=self.projection.head + 1, recorded_at=ended.recorded_at
            )
            self._record(again, step)
            self._continuations = 0
            self._activate(again, step)

    def _adopt_code(self, recorded_at: datetime, step: Step) -> None:
        """Record the version that the run goes on by, once."""
        version, self._adopt_version = self._adopt_version, None
        if version is None:
            return
        adopted = e.WorkflowVersionAdopted(
            seq=self.projection.head + 1,
            recorded_at=recorded_at,
            workflow_id=self.workflow_id,
            package_version=version,
        )
        self._record(adopted, step)

    def _record_intents(
        self, commands: list[c.AnchoredCommand], recorded_at: datetime, step: Step
    ) -> None:
        for command in commands:
            intent = intent_of(command, self.projection.head + 1, recorded_at, self.workflow_id)
            self._record(intent, step)
            if isinstance(intent, e.WorkflowContinuedAsNew):
                self._go_on(intent, step)

    def _record(self, event: e.HistoryEvent, step: Step) -> None:
        step.events.append(event)
        step.changes.append(self.projection.apply(event))
        facts = self._facts
        if type(event) in SENDING and facts.started is not None:
            step.outgoing.extend(outgoing_of(event, facts.started, facts.children.values()))
        facts.take(event)
