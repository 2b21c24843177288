"""The part of a history that belongs to one run, cut out and put into groups.

A group is what activates the code, and the intents recorded before the next one. What a reopening
made void is left out here, so that nobody else has to know of it. Nothing is matched here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import attrs

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.ids import RunId, WorkflowId

__all__ = ["Group", "Segment", "cut_segment"]


class Group(NamedTuple):
    """One point at which the code was activated. A tuple, because there is one for each arrival.

    Attributes:
        head: the arrival, or a WorkflowReopened.
        arrivals: what is applied there, one activation each: the head itself, or what the
            reopening kept of the part that it made void.
        intents: recorded behind it, up to the next group.
    """

    head: e.HistoryEvent
    arrivals: tuple[e.HistoryEvent, ...]
    intents: list[e.HistoryEvent]

    @property
    def now(self) -> datetime:
        """The clock of the code in these activations."""
        return self.head.recorded_at


_COMMON_INTENTS = frozenset(e.INTENTS) - frozenset(e.TERMINALS)
_COMMON_ARRIVALS = frozenset(e.ARRIVALS)
"""Together most of a history: found by a look-up, because every replay goes through here."""

_LANDMARKS = frozenset((e.WorkflowStarted, e.WorkflowReopened, *e.TERMINALS))
"""What gives a history its shape."""


@attrs.frozen(kw_only=True)
class Segment:
    """One run's part of a history.

    Attributes:
        started: its first event.
        terminal: the event that ended the run, if it has not been reopened since.
        head: seq of its last event.
        events: all of it, what is void included.
        reopened_at: seq of its last reopening; 0 when there is none.
    """

    workflow_id: WorkflowId
    run_id: RunId
    started: e.WorkflowStarted
    terminal: e.HistoryEvent | None
    head: int
    events: Sequence[e.HistoryEvent]
    reopened_at: int

    def groups(self) -> Iterator[Group]:
        """All that is in force, in order; made on the way, because histories are long."""
        kept: deque[Group] = deque()
        # Of the last group: the first event of a run is an arrival, so there is one.
        intents: list[e.HistoryEvent] = []
        for event in self.events:
            kind = type(event)
            if kind in _COMMON_INTENTS:
                intents.append(event)
            elif kind in _COMMON_ARRIVALS or e.is_arrival(event):
                # Up to the last reopening, groups may still turn out to be void.
                if event.seq > self.reopened_at:
                    while kept:
                        yield kept.popleft()
                intents = []
                kept.append(Group(event, (event,), intents))
            elif isinstance(event, e.WorkflowReopened):
                kept = self._reopened(kept, event)
                intents = kept[-1].intents
            elif e.is_intent(event) and event.workflow_id == self.workflow_id:
                intents.append(event)
        yield from kept

    def _reopened(self, groups: Iterable[Group], reopened: e.WorkflowReopened) -> deque[Group]:
        cut = reopened.from_seq
        kept = [_before(group, cut) for group in groups if group.head.seq < cut]
        asked = {_subject(intent) for group in kept for intent in group.intents}
        asked -= {None, *(each.activity_id for each in reopened.reopened)}
        first = self.started.seq
        void = self.events[cut - first : reopened.seq - first]
        applied = tuple(event for event in void if _is_kept(event, cut, asked))
        return deque([*kept, Group(reopened, applied, [])])


def cut_segment(
    workflow_id: WorkflowId, run_id: RunId, history: Sequence[e.HistoryEvent]
) -> Segment:
    """Cut a run out of the history of its workflow.

    Raises:
        HistoryShapeError: the run is not there or begins twice, the history has a gap or does not
            begin with WorkflowStarted, or an event stands where none of its kind can.
    """
    landmarks = _landmarks(workflow_id, history)
    starts = [event for event in landmarks if isinstance(event, e.WorkflowStarted)]
    own = [event for event in starts if event.run_id == run_id]
    if len(own) != 1:
        raise HistoryShapeError(
            f"workflow {workflow_id!r}: run {run_id} begins {len(own)} times in its history, "
            "not once"
        )
    started = own[0]
    behind = [event.seq for event in starts if event.seq > started.seq]
    events = history[started.seq - 1 : behind[0] - 1 if behind else len(history)]
    lease, terminal = started.seq, None
    for mark in landmarks:
        if not started.seq < mark.seq <= events[-1].seq:
            continue
        if isinstance(mark, e.WorkflowReopened):
            _check_reopening(mark, run_id, lease, terminal)
            lease, terminal = mark.seq, None
        elif mark.workflow_id == workflow_id:
            terminal = mark
            _check_end(mark, run_id, history[mark.seq : events[-1].seq])
    return Segment(
        workflow_id=workflow_id,
        run_id=run_id,
        started=started,
        terminal=terminal,
        head=events[-1].seq,
        events=events,
        reopened_at=0 if lease == started.seq else lease,
    )


def _landmarks(workflow_id: WorkflowId, history: Sequence[e.HistoryEvent]) -> list[e.HistoryEvent]:
    """What gives the history its shape, once that is sound as a whole."""
    if not history:
        raise HistoryShapeError(f"workflow {workflow_id!r} has no history to replay")
    if not isinstance(history[0], e.WorkflowStarted):
        raise HistoryShapeError(
            f"the history of workflow {workflow_id!r} does not begin with WorkflowStarted, but "
            f"with {type(history[0]).__name__}"
        )
    found = []
    for seq, event in enumerate(history, 1):
        if event.seq != seq:
            raise HistoryShapeError(
                f"workflow {workflow_id!r}: event {event.seq} stands where event {seq} belongs"
            )
        if type(event) in _LANDMARKS:
            found.append(event)
    return found


def _check_reopening(
    reopened: e.WorkflowReopened, run_id: RunId, lease: int, terminal: e.HistoryEvent | None
) -> None:
    """A reopening takes back a part of the current lease, up to its end."""
    if (
        terminal is None
        or reopened.run_id != run_id
        or not lease < reopened.from_seq <= terminal.seq
    ):
        raise HistoryShapeError(
            f"workflow {reopened.workflow_id!r}: event {reopened.seq} reopens run "
            f"{reopened.run_id} from event {reopened.from_seq}, which no closed run of that id "
            "holds since it was last opened"
        )


def _check_end(terminal: e.HistoryEvent, run_id: RunId, rest: Sequence[e.HistoryEvent]) -> None:
    """Behind its end a run has nothing, or a reopening."""
    for event in rest:
        if isinstance(event, e.WorkflowReopened):
            return
        if not e.is_terminal(event) or event.workflow_id == terminal.workflow_id:
            raise HistoryShapeError(
                f"workflow {terminal.workflow_id!r}: event {event.seq}, {type(event).__name__}, "
                f"follows the end of run {run_id} at event {terminal.seq}"
            )


def _is_kept(event: e.HistoryEvent, cut: int, asked: set[str | None]) -> bool:
    """Is an event of the void part applied all the same?

    Signals and updates are, because their senders were told that they arrived; and outcomes of
    what was asked for before. The first event is the failure that is taken back.
    """
    if isinstance(event, e.SignalReceived | e.UpdateAccepted):
        return True
    return event.seq > cut and e.is_arrival(event) and _subject(event) in asked


def _before(group: Group, cut: int) -> Group:
    return Group(
        group.head, group.arrivals, [intent for intent in group.intents if intent.seq < cut]
    )


def _subject(event: e.HistoryEvent) -> str | None:
    """The activity, timer or child that an event is about, by its id."""
    match event:
        case (
            e.ActivityScheduled()
            | e.ActivityCompleted()
            | e.ActivityFailed()
            | e.ActivityCancelled()
        ):
            return event.activity_id
        case e.TimerStarted() | e.TimerFired():
            return event.timer_id
        case (
            e.ChildWorkflowStarted()
            | e.ChildWorkflowCompleted()
            | e.ChildWorkflowFailed()
            | e.ChildWorkflowCancelled()
        ):
            return event.child_key
        case _:
            return None
