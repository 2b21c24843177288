"""The attempt manager: begins, plans and stops attempts, and reports how they ended."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import trio

from aion_core.authoring.activities import Activity, ActivityInfo
from aion_core.contracts import ActivityAttempted, LiveExecutor
from aion_core.events import ActivityScheduled
from aion_core.history import ActivityRow
from aion_core.ids import ActivityId, WorkflowId
from aion_core.machine.activity_calls import ActivityDefinition
from aion_core.machine.arrivals import (
    OUTCOME_UNKNOWN,
    STILL_RUNNING,
    Arrival,
    AttemptCancelled,
)
from aion_core.machine.judging import MAX_DELIVERIES
from aion_core.machine.run import Run
from aion_core.making import maker
from aion_runtime.alarms import Alarms
from aion_runtime.attempt import Attempt, Surroundings
from aion_runtime.attempt_arrivals import (
    ending_of,
    out_of_time,
    outcome_of,
    redelivery_of,
    run_id_of,
    start_of,
)
from aion_runtime.clock import Clock
from aion_runtime.crew import Crew, Duty
from aion_runtime.entries import Entry, Stage
from aion_runtime.executing import AttemptOutcome, word_for
from aion_runtime.heartbeats import Heartbeats
from aion_runtime.observing import Observers
from aion_runtime.turns import Turns

__all__ = ["AttemptManager"]

_activity_info = maker(ActivityInfo)

Suspect = tuple[WorkflowId, ActivityId]
"""An activity whose attempt was under way in several processes that were killed."""


class AttemptManager:
    """Attempts of all runs, in one nursery.

    Args:
        nursery: where they run.
        executor: what really runs them.
        post: takes an arrival for a workflow.
        wake: has a workflow loaded, and so everything considered that it needs.
        heartbeats: keeps what they say while they run.
        observers: told of each that has ended.
        surroundings: what the engine has for them.
        turns_of: makes what says who may begin that is under a limit; it is given what has an
            activity considered again.
        after_crash: the former process may have been killed by one of its attempts. Each attempt
            that may have been under way is then handed out again, with a record of that; and for
            the last time one after the other, which tells those apart that went through the same
            crashes. New attempts are not held back meanwhile.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        executor: LiveExecutor,
        clock: Clock,
        alarms: Alarms[datetime],
        post: Callable[[WorkflowId, Arrival], None],
        wake: Callable[[WorkflowId], None],
        heartbeats: Heartbeats,
        observers: Observers,
        surroundings: Surroundings,
        turns_of: Callable[[Callable[[Entry, ActivityId], None]], Turns],
        *,
        after_crash: bool,
    ) -> None:
        self._crew = Crew(nursery, executor, heartbeats, clock if observers else None, self._ended)
        self._clock = clock
        self._alarms = alarms
        self._post = post
        self._wake = wake
        self._heartbeats = heartbeats
        self._observers = observers
        self._surroundings = surroundings
        self.turns = turns_of(self._consider_at_rest)
        self._after_crash = after_crash
        self._opened_at = clock.now()
        self._suspects: dict[Suspect, Entry] = {}
        self._tried: Suspect | None = None
        self._count = 0
        self._accepting = True
        self._idle = trio.Event()

    @property
    def in_flight(self) -> int:
        """How many attempts are under way."""
        return self._count

    def resume(self, entry: Entry) -> None:
        """Deal with the open activities of a run that has just been loaded."""
        rows = _resident(entry).projection.activities
        if not entry.recovered:
            entry.recovered = True
            entry.inherited = {
                row.activity_id: row
                for row in rows.values()
                if not row.held
                and (row.next_attempt_at is None or row.next_attempt_at <= self._opened_at)
            }
        for alarm in entry.deadlines.values():
            # Set anew below: one of a former run's activity is not of this run's with the same id.
            alarm.cancel()
        entry.deadlines.clear()
        for activity_id, attempt in tuple(entry.running.items()):
            row = rows.get(activity_id)
            is_of_row = row is not None and row.scheduled_seq == attempt.scheduled.seq
            if row is None or not is_of_row or row.attempt != attempt.number:
                # Its end was recorded, although the answer of that append was lost; or that of its
                # run, and the next one may have an activity with the same id.
                attempt.drop()
                self.forget(entry, activity_id, is_over=not is_of_row)
        for activity_id, inherited in tuple(entry.inherited.items()):
            row = rows.get(activity_id)
            if row is None or row.scheduled_seq != inherited.scheduled_seq:
                self.forget(entry, activity_id, is_over=True)
        if entry.waiting:
            self.turns.resume(entry)
        for activity_id in tuple(rows):
            self.consider(entry, activity_id)

    def consider(self, entry: Entry, activity_id: ActivityId) -> None:
        """Do what an activity needs, by what is recorded: begin, plan or stop an attempt."""
        run = _resident(entry)
        row = run.projection.activities.get(activity_id)
        if row is None:
            return
        attempt = entry.running.get(activity_id)
        inherited = entry.inherited.get(activity_id)
        is_late = row.deadline is not None and self._watch(entry, activity_id, row.deadline)
        # Of an activity that nothing has been done about yet there is no outcome to be looked for:
        # a thousand calls in one step would look through the mailbox a thousand times.
        is_new = attempt is None and inherited is None and not (row.cancel_requested or is_late)
        if not is_new and entry.has_outcome_of(row):
            return
        if attempt is not None and attempt.number == row.attempt:
            if row.cancel_requested and attempt.wanted:
                attempt.request_cancel()
                self._give_grace(entry, attempt)
            elif is_late:
                attempt.run_out()
        elif row.cancel_requested:
            outcome = (
                AttemptCancelled(attempt_ran=False)
                if inherited is None
                else AttemptCancelled(OUTCOME_UNKNOWN)
            )
            self.forget(entry, activity_id)
            self._post(entry.workflow_id, outcome_of(run, row, outcome))
        elif is_late:
            self.forget(entry, activity_id)
            self._post(entry.workflow_id, outcome_of(run, row, out_of_time(run, row)))
        elif row.held:
            return  # until an operator says what is to become of it
        elif row.next_attempt_at is not None and row.next_attempt_at > self._clock.now():
            self.turns.give_back(entry, activity_id)
            self._plan(entry, row)
        elif self._accepting:
            if inherited is not None and self._waits_for_its_turn(entry, inherited, row):
                return
            scheduled, definition = run.call_of(row)
            is_limited = scheduled.options.limit is not None or self.turns.has_total
            if is_limited and not self.turns.has_turn(entry, row, scheduled):
                return
            if self._after_crash and inherited is not None and inherited.delivery == row.delivery:
                # It may have been under way when the process died, so this delivery is recorded
                # before it begins: an activity that kills its process must not do so for ever.
                self._post(entry.workflow_id, redelivery_of(row))
            elif (
                is_limited and row.rate is not None and not self.turns.is_noted(entry, activity_id)
            ):
                # Recorded before it begins, a restart cannot make the limit forget it.
                if self.turns.ask_once(entry, activity_id):
                    self._post(entry.workflow_id, start_of(row))
            else:
                self._begin(entry, run, row, scheduled, definition, is_limited=is_limited)

    def delivered(self, entry: Entry, activity_id: ActivityId) -> None:
        """It is recorded that the current attempt of an activity begins; it may do so now."""
        self.turns.note(entry, activity_id)
        self.consider(entry, activity_id)

    def forget(self, entry: Entry, activity_id: ActivityId, *, is_over: bool = False) -> None:
        """The activity's outcome, or the failure of its current attempt, is recorded.

        Args:
            is_over: so it is although the run, or the next one, has an activity with this id.
        """
        attempt = entry.running.pop(activity_id, None)
        if attempt is not None and not attempt.ended:
            attempt.drop()  # somebody else has said how it ended
        if activity_id in entry.waiting:
            self.turns.leave(entry, activity_id)
        entry.inherited.pop(activity_id, None)
        is_over |= entry.run is None or activity_id not in entry.run.projection.activities
        deadline = entry.deadlines.pop(activity_id, None) if is_over else None
        self._heartbeats.forget(entry.workflow_id, activity_id, is_over=is_over)
        if self._tried is not None:
            suspect = entry.workflow_id, activity_id
            self._suspects.pop(suspect, None)
            if suspect == self._tried:
                self._try_next_suspect()
        planned = entry.planned.pop(activity_id, None)
        if planned is not None:
            planned.cancel()
        if deadline is not None:
            deadline.cancel()

    def stop_all(self, entry: Entry) -> None:
        """The run has ended: nobody wants the outcomes any more."""
        for attempt in tuple(entry.running.values()):
            attempt.drop()
        known = *entry.running, *entry.planned, *entry.inherited, *entry.deadlines
        for activity_id in known:
            self.forget(entry, activity_id, is_over=True)
        self.dismiss(entry)

    def dismiss(self, entry: Entry) -> None:
        """The run takes no attempts any more: nobody is to wait for its."""
        self.turns.leave_all(entry)
        for suspect in [each for each, of in self._suspects.items() if of is entry]:
            del self._suspects[suspect]
        if self._tried is not None and self._tried[0] == entry.workflow_id:
            self._try_next_suspect()

    async def drain(self) -> None:
        """Begin nothing more, and wait until every attempt under way has ended."""
        self._accepting = False
        self.turns.close()
        while self._count:
            self._idle = trio.Event()
            await self._idle.wait()

    def _give_grace(self, entry: Entry, attempt: Attempt) -> None:
        """Wait so long for an attempt that is to stop, and then no more: a thread cannot be made
        to, and an async function may not want to.
        """

        def give_up() -> None:
            attempt.dropped = True
            outcome = AttemptCancelled(STILL_RUNNING)
            self._post(entry.workflow_id, ending_of(attempt, outcome))

        if attempt.options.cancel_grace is not None:
            attempt.give_grace(attempt.options.cancel_grace, give_up)

    def _waits_for_its_turn(self, entry: Entry, inherited: ActivityRow, row: ActivityRow) -> bool:
        """Is this the last delivery of an attempt, and another one's under way?

        One that an orderly stop has interrupted is still to be made alone; after another crash
        there is none left.
        """
        suspect = entry.workflow_id, row.activity_id
        has_another = MAX_DELIVERIES if self._after_crash else MAX_DELIVERIES + 1
        if (
            row.attempt != inherited.attempt
            or not MAX_DELIVERIES - 1 <= inherited.delivery < has_another
            or suspect == self._tried
        ):
            return False
        self._suspects[suspect] = entry
        if self._tried is None:
            self._try_next_suspect()
        return True

    def _try_next_suspect(self) -> None:
        self._tried = next(iter(self._suspects), None)
        if self._tried is not None:
            self._consider_at_rest(self._suspects.pop(self._tried), self._tried[1])

    def _consider_at_rest(self, entry: Entry, activity_id: ActivityId) -> None:
        # While a step is written the run is ahead of the disk; what the step leaves open is
        # considered again once the append has ended. A run that is loaded considers all it has.
        if entry.stage in (Stage.IDLE, Stage.READY):
            self.consider(entry, activity_id)
        elif entry.stage is Stage.WRITING:
            entry.postponed.append(activity_id)
        elif entry.stage is Stage.COLD:
            self._wake(entry.workflow_id)

    def _plan(self, entry: Entry, row: ActivityRow) -> None:
        activity_id = row.activity_id
        if activity_id in entry.planned:
            return
        assert row.next_attempt_at is not None

        def begin() -> None:
            entry.planned.pop(activity_id, None)
            self._consider_at_rest(entry, activity_id)

        entry.planned[activity_id] = self._alarms.set(row.next_attempt_at, begin)

    def _watch(self, entry: Entry, activity_id: ActivityId, deadline: datetime) -> bool:
        """Is the time for all attempts over? If not, what is to be done then will be."""

        def end() -> None:
            entry.deadlines.pop(activity_id, None)
            attempt = entry.running.get(activity_id)
            if attempt is None:
                self._consider_at_rest(entry, activity_id)
            else:
                attempt.run_out()

        if deadline <= self._clock.now():
            return True
        if activity_id not in entry.deadlines:
            entry.deadlines[activity_id] = self._alarms.set(deadline, end)
        return False

    def _begin(
        self,
        entry: Entry,
        run: Run,
        row: ActivityRow,
        scheduled: ActivityScheduled,
        definition: ActivityDefinition,
        *,
        is_limited: bool,
    ) -> None:
        attempt = Attempt(
            _activity_info(
                workflow_id=entry.workflow_id,
                run_id=run_id_of(run),
                activity_id=row.activity_id,
                activity_type=row.activity_type,
                attempt=row.attempt,
            ),
            scheduled,
            cast("Activity[..., Any]", definition),
            self._surroundings,
            former=run.former_of(row),
            slot=self.turns.take(entry, row.activity_id) if is_limited else None,
        )
        # What an attempt has said that failed is in its failure; what one has said that a former
        # process may have begun is in the store.
        is_informed = row.activity_id not in entry.inherited and (
            row.attempt == 1 or attempt.last_heartbeat is not None
        )
        entry.running[row.activity_id] = attempt
        planned = entry.planned.pop(row.activity_id, None)
        if planned is not None:
            planned.cancel()  # an operator did not want to wait for its time
        self._count += 1
        self._crew.begin(Duty(entry, attempt, is_informed))

    def _ended(self, duty: Duty, outcome: AttemptOutcome | None) -> None:
        attempt = duty.attempt
        attempt.end()
        self._count -= 1
        if not self._count:
            self._idle.set()
        if outcome is None:
            return
        if self._observers:
            took = self._clock.monotonic() - duty.began_at
            word = word_for(attempt, outcome)
            self._observers.attempted(ActivityAttempted(attempt.info, word, took))
        # The attempt stays among the running ones until its outcome is recorded: an entry
        # that is loaded again meanwhile must not begin it a second time.
        self._post(duty.entry.workflow_id, ending_of(attempt, outcome))
        if attempt.slot is not None:
            attempt.slot.pass_on()


def _resident(entry: Entry) -> Run:
    assert entry.run is not None
    return entry.run
