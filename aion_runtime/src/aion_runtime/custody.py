"""Custody: what has been kept for runs that are stuck, and how it is given back.

When one is tried again, or ended from outside, what was sent to it meanwhile is handed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from aion_core.contracts import Message
from aion_core.events import HistoryEvent
from aion_core.ids import WorkflowId
from aion_core.machine.arrivals import RetryRequest
from aion_runtime.entries import Mail, Stage
from aion_runtime.holding import Holder
from aion_runtime.in_hand import InHand
from aion_runtime.keeping import EndedOutside
from aion_runtime.letters import is_kept_signal
from aion_runtime.observing import Observers
from aion_runtime.residents import Residents
from aion_runtime.waking import Waker

__all__ = ["Custody"]


class Custody:
    """Told by the keeper what it has written.

    Args:
        deliver: hands a message over to its run.
        post: hands mail over to a run.
        announce_end: tells who waits for the end of a run.
    """

    def __init__(
        self,
        in_hand: InHand,
        residents: Residents,
        waker: Waker,
        holder: Holder,
        observers: Observers,
        deliver: Callable[[Message], None],
        post: Callable[[WorkflowId, Mail], None],
        announce_end: Callable[[WorkflowId, HistoryEvent], None],
    ) -> None:
        self._in_hand = in_hand
        self._residents = residents
        self._waker = waker
        self._holder = holder
        self._observers = observers
        self._deliver = deliver
        self._post = post
        self._announce_end = announce_end

    def keep(self, message: Message) -> None:
        """A message to a stuck run is about to be written."""
        if message.source is None:
            self._in_hand.keep(message.message_id)

    def was_kept(self, message: Message) -> bool:
        """Has this engine written it, for a run that was stuck? Right once for each message."""
        return self._in_hand.was_kept(message.message_id)

    def kept(self, message: Message) -> None:
        """A message to a stuck run is in the store; the run may not be stuck any more."""
        if self._residents.entry_of(message.target).stage is not Stage.STUCK:
            self._deliver(message)

    def consumed(self, message_id: str) -> None:
        """A message to a stuck run has been answered, and is gone."""
        self._in_hand.settle(message_id)

    def freed(self, workflow_id: WorkflowId, mail: Mail, waiting: Sequence[Message]) -> None:
        """A run that was stuck is to be tried again.

        Args:
            mail: what asked for that.
            waiting: what has been sent to it meanwhile.
        """
        entry = self._residents.entry_of(workflow_id)
        if entry.stage is Stage.STUCK:
            self._holder.free(entry)
            self._waker.listed_stuck.add(workflow_id)
            self._give_back(each for each in waiting if each.message_id != mail.message_id)
        assert isinstance(mail.arrival, RetryRequest)
        frees = mail.arrival.activity_id is None
        self._post(workflow_id, attrs.evolve(mail, frees=frees))

    def ended_outside(self, ended: EndedOutside) -> None:
        """A stuck run has been ended without its code."""
        workflow_id = ended.terminal.workflow_id
        self._holder.release(self._residents.entry_of(workflow_id))
        self._observers.committed([ended.terminal])
        self._announce_end(workflow_id, ended.terminal)
        if ended.consumed is not None:
            self._in_hand.settle(ended.consumed)
        self._give_back(ended.waiting)
        for message in ended.posts:
            self._deliver(message)

    def _give_back(self, waiting: Iterable[Message]) -> None:
        for message in waiting:
            is_from_outside = message.source is None and not is_kept_signal(message)
            if is_from_outside and message.message_id not in self._in_hand:
                continue  # it has just been posted, and nobody has looked at it yet
            self._in_hand.settle(message.message_id)
            self._deliver(message)
