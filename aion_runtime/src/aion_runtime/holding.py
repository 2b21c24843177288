"""Holding: runs that cannot go on in this engine, and what arrives for them meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from aion_core.errors import AionError, EngineStoppedError, WorkflowStuckError
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import ActivityOutcome
from aion_runtime.answers import Answers
from aion_runtime.attempts import AttemptManager
from aion_runtime.closings import Closings
from aion_runtime.entries import Entry, Mail, Stage
from aion_runtime.keeping import Keeper
from aion_runtime.observing import Observers
from aion_runtime.residents import Residents

__all__ = ["Holder"]

logger = logging.getLogger("aion_runtime")


class Holder:
    """Holds runs that are stuck. Nothing is recorded, so fitting code finds them as they were.

    Args:
        keeper: writes down why, and what arrives.
        closings: who waits for the end of a run is told that this engine will not see it.
        answers: so is who waits for the answer to an update.

    Attributes:
        reasons: why a workflow cannot go on in this engine.
    """

    def __init__(
        self,
        keeper: Keeper,
        residents: Residents,
        observers: Observers,
        closings: Closings,
        answers: Answers,
    ) -> None:
        self._keeper = keeper
        self._residents = residents
        self._observers = observers
        self._closings = closings
        self._answers = answers
        self.reasons: dict[WorkflowId, str] = {}

    def connect(self, attempts: AttemptManager, on_held: Callable[[WorkflowId], None]) -> None:
        """Say who runs the attempts, and who else is told. Called once, before anything is held."""
        self._attempts = attempts
        self._on_held = on_held

    def hold(self, entry: Entry, mails: Iterable[Mail], error: Exception | SystemExit) -> None:
        """The run cannot go on here.

        Args:
            mails: what it was about to take, before what is in its mailbox.
        """
        is_ours = isinstance(error, AionError)
        reason = str(error) if is_ours else f"{type(error).__name__}: {error}"
        logger.error(
            "workflow %r is stuck: %s",
            entry.workflow_id,
            reason,
            exc_info=None if is_ours else error,
        )
        self._residents.throw_away(entry)
        entry.stage = Stage.STUCK
        self._on_held(entry.workflow_id)
        self._attempts.dismiss(entry)
        self.reasons[entry.workflow_id] = reason
        self._keeper.mark(entry.workflow_id, reason)
        self._observers.stuck(entry.workflow_id, reason)
        waiting = [*mails, *entry.later, *entry.mailbox]
        entry.mailbox, entry.later, entry.doubted = [], [], None
        entry.due_timers.clear()
        for mail in waiting:
            self.take(entry, mail)
        stuck = WorkflowStuckError(entry.workflow_id, reason)
        questions, entry.questions = entry.questions, []
        for question in questions:
            question.fail(stuck)
        self._closings.fail(entry.workflow_id, stuck)
        self._answers.fail(entry.workflow_id, stuck)

    def take(self, entry: Entry, mail: Mail) -> None:
        """Something has arrived for a run that is stuck."""
        if isinstance(mail.arrival, ActivityOutcome):
            entry.running.pop(mail.arrival.activity_id, None)
        self._keeper.keep(entry.workflow_id, mail, self.reasons[entry.workflow_id])

    def try_again(self, entry: Entry, mail: Mail) -> None:
        """An operator has had the run tried again: once what arrived before is kept."""
        self._keeper.free(entry.workflow_id, mail)

    def free(self, entry: Entry) -> None:
        """The run is tried again: it is loaded when something arrives, and that is about to."""
        del self.reasons[entry.workflow_id]
        entry.stage = Stage.COLD

    def release(self, entry: Entry) -> None:
        """The run has been ended from outside."""
        self.reasons.pop(entry.workflow_id, None)
        self._attempts.stop_all(entry)
        self._residents.let_go(entry)

    @property
    def is_busy(self) -> bool:
        """Is something left to be written?"""
        return self._keeper.is_busy

    async def settled(self) -> None:
        """Return when nothing is left to be written."""
        await self._keeper.settled()

    def abandon(self, error: EngineStoppedError) -> None:
        """The engine has ended: tell everybody who waits."""
        self._keeper.abandon(error)
