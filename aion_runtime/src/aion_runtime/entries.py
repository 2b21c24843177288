"""Entries: what the engine holds in memory for one workflow."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs
import trio

from aion_core.errors import AionError
from aion_core.history import ActivityRow
from aion_core.ids import ActivityId, WorkflowId
from aion_core.machine.arrivals import (
    ActivityOutcome,
    Arrival,
    CancelRequest,
    StartRequest,
    TerminateRequest,
    TimerDue,
)
from aion_core.machine.run import Run
from aion_runtime.alarms import Alarm
from aion_runtime.asking import Question
from aion_runtime.attempt import Attempt
from aion_runtime.limits import Ticket

if TYPE_CHECKING:
    from aion_runtime.writing import Stepped

__all__ = ["Candidate", "Entry", "Mail", "Receipt", "Stage"]

_FIRST = datetime.min.replace(tzinfo=UTC)


class Receipt:
    """What the sender of an arrival waits on: settled only after the append, or by a refusal."""

    def __init__(self) -> None:
        self._settled = trio.Event()
        self._refusal: AionError | None = None

    def settle(self, refusal: AionError | None = None) -> None:
        """Tell the sender; the first word counts."""
        if not self._settled.is_set():
            self._refusal = refusal
            self._settled.set()

    async def wait(self) -> None:
        """Return when the arrival is durable, or was taken before; raise its refusal."""
        await self._settled.wait()
        if self._refusal is not None:
            raise self._refusal


@attrs.frozen
class Mail:
    """An arrival on its way, and who wants to know what became of it.

    Attributes:
        message_id: the message in the store that it was read from, consumed with it.
        is_asked: no run has sent that message, and its sender waits for an answer in the store.
        frees: it has had a stuck run tried again, and there may be nothing left for it to do.
    """

    arrival: Arrival
    receipt: Receipt | None = None
    message_id: str | None = None
    is_asked: bool = False
    frees: bool = False


class Stage(enum.Enum):
    """What an entry is doing.

    ======== ============================================================
    COLD     nothing in memory; the next arrival has it loaded
    LOADING  its history is being read and replayed, or waits for its turn
    IDLE     resident, nothing to do
    READY    resident, arrivals wait for the next step
    WRITING  a step is being appended; arrivals gather
    BACKOFF  an append or a read failed; loaded again after a while
    STUCK    it cannot go on here; what arrives is kept in the store for the next engine
    ======== ============================================================
    """

    COLD = enum.auto()
    LOADING = enum.auto()
    IDLE = enum.auto()
    READY = enum.auto()
    WRITING = enum.auto()
    BACKOFF = enum.auto()
    STUCK = enum.auto()


@attrs.define(eq=False)
class Entry:
    """One workflow in memory.

    Running attempts belong to the entry, not to the run: a run that is evicted, or thrown away
    after a failed append, leaves them untouched.

    Attributes:
        run: None unless resident.
        later: mail for the run that is going to follow this one.
        questions: queries that wait until the run stands between two steps.
        running: attempts whose outcome is not recorded yet, by activity.
        planned: alarms of attempts that wait for their time, by activity.
        deadlines: alarms for when the time for all attempts is over, by activity.
        due_timers: seqs of the starts of timers whose firing is in the mailbox or being written.
        postponed: activities to be considered once the append under way has ended.
        waiting: attempts that are under a limit and have not begun, by activity.
        inherited: activities, as they were found, whose attempt a former process may have begun.
        recovered: it has been loaded before in this engine's life.
        failures: appends and reads that failed one after the other.
        doubted: the step whose append failed, which may be in the store all the same.
    """

    workflow_id: WorkflowId
    stage: Stage = Stage.COLD
    run: Run | None = None
    mailbox: list[Mail] = attrs.Factory(list)
    later: list[Mail] = attrs.Factory(list)
    questions: list[Question] = attrs.Factory(list)
    running: dict[ActivityId, Attempt] = attrs.Factory(dict)
    planned: dict[ActivityId, Alarm] = attrs.Factory(dict)
    deadlines: dict[ActivityId, Alarm] = attrs.Factory(dict)
    # Not a set, which takes 200 bytes even when it is empty.
    due_timers: dict[int, None] = attrs.Factory(dict)
    postponed: list[ActivityId] = attrs.Factory(list)
    waiting: dict[ActivityId, Ticket[Candidate]] = attrs.Factory(dict)
    inherited: dict[ActivityId, ActivityRow] = attrs.Factory(dict)
    recovered: bool = False
    failures: int = 0
    doubted: Stepped | None = None

    def has_outcome_of(self, row: ActivityRow) -> bool:
        """Is the end of an activity's current attempt about to be taken?"""
        return any(
            isinstance(mail.arrival, ActivityOutcome)
            and mail.arrival.scheduled_seq == row.scheduled_seq
            and mail.arrival.attempt == row.attempt
            for mail in self.mailbox
        )

    def would_lose_mail(self) -> bool:
        """Is there mail for which somebody waits, or which the next engine would not find?"""
        return bool(self.questions) or any(
            mail.receipt is not None
            or (isinstance(mail.arrival, ActivityOutcome) and mail.message_id is None)
            for mail in (*self.mailbox, *self.later)
        )

    def is_empty(self) -> bool:
        """Does it know nothing, beside its run, that is not in the store?"""
        return not (
            self.running
            or self.planned
            or self.waiting
            or self.inherited
            or self.mailbox
            or self.later
            or self.questions
        )

    def take_mail(self) -> list[Mail]:
        """Empty the mailbox: a start first, then the end from outside, then as it came, then due
        timers, and what asks the code to stop last.

        A result already in hand beats a deadline that passes at the same time.
        """
        mails = [*self.later, *self.mailbox]
        self.later, self.mailbox = [], []
        mails.sort(key=_turn)
        return mails


@attrs.define(eq=False)
class Candidate:
    """An attempt that is under a limit, before it begins.

    Attributes:
        is_asked: that it is about to begin is in the mailbox, or being written.
        is_noted: that is recorded.
    """

    entry: Entry
    activity_id: ActivityId
    scheduled_seq: int
    attempt: int
    is_asked: bool = False
    is_noted: bool = False

    def is_of(self, row: ActivityRow) -> bool:
        """Is it the current attempt of that activity?"""
        return (row.scheduled_seq, row.attempt) == (self.scheduled_seq, self.attempt)


def _turn(mail: Mail) -> tuple[int, datetime, int]:
    match mail.arrival:
        case StartRequest():
            # Whoever starts a child and closes in the same step means the child by what it says.
            return 0, _FIRST, 0
        case TerminateRequest():
            return 1, _FIRST, 0
        case TimerDue(fire_at=fire_at, started_seq=seq):
            return 3, fire_at, seq
        case CancelRequest():
            return 4, _FIRST, 0
        case _:
            return 2, _FIRST, 0
