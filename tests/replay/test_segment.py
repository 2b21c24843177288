"""A run's segment: what is cut out of a history, and which histories no engine wrote."""

from collections.abc import Sequence

import attrs
import pytest

from aion_core import events as e
from aion_core.errors import HistoryShapeError
from aion_core.ids import RunId, WorkflowId
from aion_core.replay import Segment, cut_segment
from tests.machine.driver import W
from tests.replay.histories import (
    NEXT,
    RUN,
    Unnumbered,
    cancel_requested,
    cancelled,
    child_started,
    completed,
    continued,
    delivered_again,
    ended,
    ended_by_cancel,
    ended_by_error,
    event,
    failed,
    received,
    reopened,
    retried,
    scheduled,
    started,
    terminated,
    timer_fired,
    timer_started,
    written,
)


def cut(*events: Unnumbered, run_id: RunId = RUN) -> Segment:
    return cut_segment(W, run_id, written(*events))


def shape(segment: Segment) -> list[tuple[int, list[int], list[int]]]:
    """Of each group the seqs of its head, of what is applied there, and of its intents."""
    return [
        (group.head.seq, seqs(group.arrivals), seqs(group.intents)) for group in segment.groups()
    ]


def seqs(events: Sequence[e.HistoryEvent]) -> list[int]:
    return [each.seq for each in events]


def test_an_arrival_and_the_intents_behind_it_are_a_group() -> None:
    segment = cut(started(), scheduled(0), timer_started(), completed(0), received())
    assert shape(segment) == [(1, [1], [2, 3]), (4, [4], []), (5, [5], [])]


def test_notes_are_in_no_group() -> None:
    segment = cut(started(), scheduled(0), retried(0), delivered_again(0), completed(0))
    assert shape(segment) == [(1, [1], [2]), (5, [5], [])]


def test_a_segment_ends_where_the_next_run_begins() -> None:
    history = started(), scheduled(0), completed(0), continued(), started(NEXT), scheduled(0)
    first, second = cut(*history), cut(*history, run_id=NEXT)
    assert (shape(first)[-1], first.head) == ((3, [3], [4]), 4)
    assert (shape(second), second.head) == ([(5, [5], [6])], 6)


@pytest.mark.parametrize("end", [ended(), ended_by_error(), ended_by_cancel(), continued()])
def test_the_end_that_the_code_asked_for_is_an_intent(end: Unnumbered) -> None:
    segment = cut(started(), end)
    assert segment.terminal is next(segment.groups()).intents[0]


def test_an_end_from_outside_is_no_intent() -> None:
    segment = cut(started(), terminated())
    assert isinstance(segment.terminal, e.WorkflowTerminated)
    assert shape(segment) == [(1, [1], [])]


def test_the_end_of_another_workflow_is_ignored() -> None:
    foreign = event(e.WorkflowCompleted, workflow_id=WorkflowId("other"), result=None)
    segment = cut(started(), scheduled(0), foreign, completed(0))
    assert segment.terminal is None
    assert shape(segment) == [(1, [1], [2]), (4, [4], [])]


FAILED_BY_ACTIVITY = (started(), scheduled(0), failed(0), ended_by_error())

REFUSED: dict[str, tuple[list[e.HistoryEvent], str]] = {
    "no history": ([], "has no history"),
    "no such run": (written(started(NEXT)), "begins 0 times"),
    "the run begins twice": (written(started(), started()), "begins 2 times"),
    "no start": (written(scheduled(0)), "does not begin with WorkflowStarted, but with Activity"),
    "a gap": ([*written(started()), scheduled(0)(3)], "event 3 stands where event 2 belongs"),
    "not from 1": ([started()(2)], "event 2 stands where event 1 belongs"),
    "an event behind the end": (
        written(started(), ended(), received()),
        "event 3, SignalReceived, follows the end of run run at event 2",
    ),
    "two ends": (written(started(), ended(), terminated()), "follows the end"),
    "an open run reopened": (written(started(), reopened(2)), "event 2 reopens run run"),
    "another run reopened": (
        written(started(), ended_by_error(), reopened(2, run_id=NEXT)),
        "reopens run next",
    ),
    "reopened from before it was reopened": (
        written(*FAILED_BY_ACTIVITY, reopened(3, 0), ended_by_error(), reopened(3, 0)),
        "event 7 reopens run run from event 3",
    ),
    "reopened from its start": (
        written(started(), ended_by_error(), reopened(1)),
        "from event 1, which no closed run",
    ),
    "reopened from behind its end": (
        written(started(), ended_by_error(), reopened(3)),
        "from event 3, which no closed run",
    ),
}


@pytest.mark.parametrize(("history", "words"), REFUSED.values(), ids=REFUSED)
def test_a_history_that_no_engine_wrote_is_refused(
    history: list[e.HistoryEvent], words: str
) -> None:
    with pytest.raises(HistoryShapeError, match=words):
        cut_segment(W, RUN, history)


def test_what_a_reopening_takes_back_is_in_no_group() -> None:
    segment = cut(*FAILED_BY_ACTIVITY, reopened(3, 0), completed(0), scheduled(1))
    assert shape(segment) == [(1, [1], [2]), (5, [], []), (6, [6], [7])]


def test_a_reopened_run_has_no_end() -> None:
    assert cut(*FAILED_BY_ACTIVITY, reopened(3, 0)).terminal is None


def test_a_reopened_run_that_ends_again_has_that_end() -> None:
    segment = cut(*FAILED_BY_ACTIVITY, reopened(3, 0), completed(0), ended())
    assert segment.terminal is not None
    assert segment.terminal.seq == 7


def test_signals_in_the_void_part_are_applied_at_the_reopening() -> None:
    segment = cut(
        started(),
        scheduled(0),
        failed(0),
        scheduled(1),
        received(),
        ended_by_error(),
        reopened(3, 0),
        scheduled(2),
    )
    assert shape(segment) == [(1, [1], [2]), (7, [5], [8])]
    *_, last = segment.groups()
    assert last.now == last.head.recorded_at


def test_updates_in_the_void_part_are_applied_at_the_reopening() -> None:
    update = event(e.UpdateAccepted, update_id="u-1", name="amend", arg=None)
    segment = cut(
        started(), scheduled(0), failed(0), scheduled(1), update, ended_by_error(), reopened(3, 0)
    )
    assert shape(segment) == [(1, [1], [2]), (7, [5], [])]


def test_outcomes_of_what_was_asked_for_before_are_applied_at_the_reopening() -> None:
    segment = cut(
        started(),
        scheduled(0),
        scheduled(1),
        timer_started(),
        failed(0),
        completed(1),
        timer_fired(started_seq=4),
        ended_by_error(),
        reopened(5, 0),
    )
    assert shape(segment) == [(1, [1], [2, 3, 4]), (9, [6, 7], [])]


def test_outcomes_of_what_was_asked_for_in_the_void_part_are_void() -> None:
    segment = cut(
        started(),
        scheduled(0),
        failed(0),
        scheduled(1),
        timer_started(),
        completed(1),
        timer_fired(started_seq=5),
        ended_by_error(),
        reopened(3, 0),
    )
    assert shape(segment) == [(1, [1], [2]), (9, [], [])]


def test_the_outcome_of_an_activity_that_is_open_again_is_void() -> None:
    segment = cut(
        started(),
        scheduled(0),
        scheduled(1),
        failed(0),
        cancel_requested(1),
        cancelled(1),
        ended_by_error(),
        reopened(4, 0, 1),
    )
    assert shape(segment) == [(1, [1], [2, 3]), (8, [], [])]


def test_a_request_to_cancel_is_taken_back_with_the_cancelled_end() -> None:
    request = event(e.WorkflowCancelRequested, reason="enough")
    segment = cut(started(), scheduled(0), request, ended_by_cancel(), reopened(3, 0))
    assert shape(segment) == [(1, [1], [2]), (5, [], [])]


def test_the_code_that_failed_by_itself_keeps_the_rest_of_its_last_activation() -> None:
    segment = cut(started(), scheduled(0), ended_by_error(), reopened(3), scheduled(1))
    assert shape(segment) == [(1, [1], [2]), (4, [], [5])]


def test_a_second_reopening_counts_from_the_first() -> None:
    segment = cut(
        *FAILED_BY_ACTIVITY,
        reopened(3, 0),
        received(),
        failed(0),
        ended_by_error(),
        reopened(7, 0),
        completed(0),
    )
    assert shape(segment) == [(1, [1], [2]), (5, [], []), (6, [6], []), (9, [], []), (10, [10], [])]


def test_what_follows_the_cut_run_is_not_looked_at() -> None:
    history = written(started(), continued(), started(NEXT), ended(), received())
    assert cut_segment(W, RUN, history).head == 2


def test_groups_are_made_as_they_are_asked_for() -> None:
    segment = cut(started(), scheduled(0), completed(0), scheduled(1), completed(1))
    groups = segment.groups()
    assert [group.head.seq for group in (next(groups), next(groups))] == [1, 3]
    assert shape(segment) == [(1, [1], [2]), (3, [3], [4]), (5, [5], [])]


def test_a_cut_history_is_left_alone() -> None:
    history = written(*FAILED_BY_ACTIVITY, reopened(3, 0))
    kept = [attrs.evolve(each) for each in history]
    assert list(cut_segment(W, RUN, history).groups())
    assert history == kept


def test_the_failure_that_is_taken_back_is_void_whatever_it_is_about() -> None:
    child_failed = event(e.ChildWorkflowFailed, child_key="child:0", error=None)
    segment = cut(started(), child_started(0), child_failed, ended_by_error(), reopened(3))
    assert shape(segment) == [(1, [1], [2]), (5, [], [])]


def test_a_request_to_cancel_in_the_void_part_is_void() -> None:
    sent = event(e.SignalSent, position="signal:0", target_workflow_id="o", name="n", payload=None)
    request = event(e.WorkflowCancelRequested, reason="enough")
    segment = cut(
        started(), scheduled(0), sent, failed(0), request, ended_by_error(), reopened(4, 0)
    )
    assert shape(segment) == [(1, [1], [2, 3]), (7, [], [])]


def test_notes_in_the_void_part_are_void() -> None:
    segment = cut(
        started(),
        scheduled(0),
        scheduled(1),
        failed(0),
        retried(1),
        ended_by_error(),
        reopened(4, 0),
    )
    assert shape(segment) == [(1, [1], [2, 3]), (7, [], [])]
