"""The resolver, rule by rule."""

from collections.abc import Iterator

import attrs
import pytest

from aion_core import commands as c
from aion_core import events as e
from aion_core import replay as r
from aion_core.errors import NonDeterminismError
from aion_core.ids import ActivityId, WorkflowId
from tests.machine.driver import W, at
from tests.replay.histories import (
    DECLINED,
    NOTHING,
    RUN,
    Unnumbered,
    await_child,
    await_signal,
    await_timer,
    cancel,
    cancel_requested,
    cancel_timer,
    cancelled,
    child_started,
    complete,
    completed,
    delivered_again,
    ended,
    event,
    failed,
    received,
    reopened,
    resolver_of,
    retried,
    run,
    scheduled,
    spawn,
    start_timer,
    started,
    terminated,
    timer_cancelled,
    timer_fired,
    timer_started,
    value,
    written,
)

LIVE = r.ResumeLive(at(1))


def recorded(resolution: r.Resolution, seq: int, at_second: int | None = None) -> r.Recorded:
    return r.Recorded(resolution, seq, at(seq if at_second is None else at_second))


def child_event(cls: type[e.HistoryEvent], **fields: object) -> Unnumbered:
    return event(cls, child_key="child:0", **fields)


def test_a_command_takes_the_next_intent() -> None:
    resolver = resolver_of(started(), timer_started("timer:0"), timer_started("timer:1"))
    assert resolver.resolve(start_timer("timer:0")) == recorded(r.TimerStarted(at(60)), 2, 1)
    assert resolver.resolve(start_timer("timer:1")) == recorded(r.TimerStarted(at(60)), 3, 1)


def test_a_command_with_no_intent_left_goes_live() -> None:
    assert resolver_of(started()).resolve(start_timer()) == LIVE


def test_a_signal_that_nobody_has_received_is_in_nobodys_way() -> None:
    resolver = resolver_of(started(), received(), received(), timer_started())
    assert resolver.resolve(start_timer()) == recorded(r.TimerStarted(at(60)), 4, 3)


def test_pauses_and_adopted_versions_are_in_nobodys_way() -> None:
    resolver = resolver_of(
        started(),
        event(e.WorkflowPaused, run_id="run"),
        event(e.WorkflowResumed, run_id="run"),
        event(e.WorkflowVersionAdopted, package_version=e.UNVERSIONED),
        received(),
        timer_started(),
    )
    assert resolver.resolve(start_timer()) == recorded(r.TimerStarted(at(60)), 6, 5)


@pytest.mark.parametrize(
    "command",
    [start_timer(), run(1), run(0, "ship"), cancel(0), complete(), spawn()],
    ids=["family", "key", "type", "request", "end", "child"],
)
def test_another_command_than_the_recorded_one_is_a_divergence(command: c.Command) -> None:
    resolver = resolver_of(started(), scheduled(0, "charge"))
    with pytest.raises(NonDeterminismError):
        resolver.resolve(command)


def test_a_divergence_says_what_history_holds_what_the_code_asked_and_the_last_common_point() -> (
    None
):
    resolver = resolver_of(started(), scheduled(0), completed(0), scheduled(1, "ship"))
    resolver.resolve(run(0))
    with pytest.raises(NonDeterminismError) as info:
        resolver.resolve(start_timer())
    error = info.value
    assert (error.workflow_id, error.seq, error.expected, error.found, error.last_common) == (
        "w",
        4,
        "ActivityScheduled of 'ship' (activity:1)",
        "TimerStarted (timer:0)",
        "event 3: ActivityCompleted (activity:0)",
    )


def test_the_last_common_point_is_never_behind_the_divergence() -> None:
    resolver = resolver_of(started(), scheduled(0), scheduled(1), completed(0))
    resolver.resolve(run(0))
    with pytest.raises(NonDeterminismError) as info:
        resolver.resolve(run(2))
    assert info.value.last_common == "event 2: ActivityScheduled of 'charge' (activity:0)"


def test_a_former_name_of_an_activity_is_found() -> None:
    resolver = resolver_of(started(), scheduled(0, "pay"), completed(0))
    assert resolver.resolve(run(0, "charge", aliases=("pay",))) == recorded(
        r.ActivityCompleted(value("1")), 3
    )


def test_a_former_name_of_a_child_is_found() -> None:
    resolver = resolver_of(started(), child_started(0, "piece"))
    command = spawn(0, "part", aliases=("piece",))
    assert resolver.resolve(command) == recorded(r.ChildStarted(WorkflowId("part-0")), 2, 1)


def test_another_child_type_is_a_divergence() -> None:
    resolver = resolver_of(started(), child_started(0, "piece"))
    with pytest.raises(NonDeterminismError, match="ChildWorkflowStarted of 'piece'"):
        resolver.resolve(spawn(0, "part"))


@pytest.mark.parametrize(
    ("outcome", "resolution"),
    [
        (completed(0), r.ActivityCompleted(value("1"))),
        (failed(0), r.ActivityFailedTerminal(DECLINED)),
        (cancelled(0), r.ActivityCancelled()),
    ],
    ids=["completed", "failed", "cancelled"],
)
def test_an_activity_is_answered_by_its_outcome(
    outcome: Unnumbered, resolution: r.Resolution
) -> None:
    resolver = resolver_of(started(), scheduled(0), outcome)
    assert resolver.resolve(run(0)) == recorded(resolution, 3)


def test_the_outcome_is_found_over_the_activitys_own_notes() -> None:
    resolver = resolver_of(
        started(), scheduled(0), retried(0), delivered_again(0), failed(0, held=True), completed(0)
    )
    assert resolver.resolve(run(0)) == recorded(r.ActivityCompleted(value("1")), 6)


@pytest.mark.parametrize("note", [retried(0), failed(0, held=True), delivered_again(0)])
def test_a_failure_that_is_tried_again_or_held_is_no_outcome(note: Unnumbered) -> None:
    assert resolver_of(started(), scheduled(0), note).resolve(run(0)) == LIVE


def test_foreign_events_before_an_outcome_stay_for_others() -> None:
    resolver = resolver_of(
        started(), scheduled(0), scheduled(1), received(), completed(1), completed(0)
    )
    assert resolver.resolve(run(0)) == recorded(r.ActivityCompleted(value("1")), 6)
    assert resolver.resolve(await_signal(0)) == recorded(r.SignalDelivered(value("1")), 4)
    assert resolver.resolve(run(1)) == recorded(r.ActivityCompleted(value("1")), 5)


def test_an_activity_without_an_outcome_keeps_its_place() -> None:
    resolver = resolver_of(started(), scheduled(0), scheduled(1), completed(1), completed(0))
    assert resolver.resolve(run(0), at_seq=3) == LIVE
    assert resolver.resolve(run(1), at_seq=4) == recorded(r.ActivityCompleted(value("1")), 4)
    assert resolver.resolve(run(0), at_seq=5) == recorded(r.ActivityCompleted(value("1")), 5)


def test_an_activity_that_was_answered_takes_another_intent_when_asked_again() -> None:
    resolver = resolver_of(started(), scheduled(0), completed(0), scheduled(1))
    resolver.resolve(run(0))
    with pytest.raises(NonDeterminismError):
        resolver.resolve(run(0))


def test_an_open_activity_of_another_type_is_a_divergence() -> None:
    resolver = resolver_of(started(), scheduled(0), scheduled(1))
    resolver.resolve(run(0))
    with pytest.raises(NonDeterminismError):
        resolver.resolve(run(0, "ship"))


def test_a_request_to_cancel_an_activity_is_an_intent_of_its_own() -> None:
    resolver = resolver_of(started(), scheduled(0), received(), cancel_requested(0), cancelled(0))
    assert resolver.resolve(run(0)) == recorded(r.ActivityCancelled(), 5)
    assert resolver.resolve(cancel(0)) == recorded(r.ActivityCancelRequested(), 4, 3)


def test_the_start_of_a_timer_and_its_firing_are_two_answers() -> None:
    resolver = resolver_of(started(), timer_started(), received(), received(), timer_fired())
    assert resolver.resolve(start_timer()) == recorded(r.TimerStarted(at(60)), 2, 1)
    assert resolver.resolve(await_timer()) == recorded(r.TimerFired(), 5)


def test_a_cancelled_timer_answers_who_waits_for_it() -> None:
    resolver = resolver_of(started(), timer_started(), received(), timer_cancelled())
    resolver.resolve(start_timer())
    assert resolver.resolve(cancel_timer()) == recorded(r.TimerCancelled(), 4, 3)
    assert resolver.resolve(await_timer()) == recorded(r.TimerCancelled(), 4, 3)


def test_a_timer_started_again_under_its_name_has_an_end_of_its_own() -> None:
    name = "timer:named:tick"
    resolver = resolver_of(
        started(), timer_started(name), timer_fired(name), timer_started(name), timer_fired(name)
    )
    for seq in (2, 4):
        assert resolver.resolve(start_timer(name)).seq == seq  # type: ignore[union-attr]
        assert resolver.resolve(await_timer(name)) == recorded(r.TimerFired(), seq + 1)


def test_an_await_is_not_answered_beyond_the_arrival_being_applied() -> None:
    resolver = resolver_of(started(), received(payload="1"), received(payload="2"))
    assert resolver.resolve(await_signal(1), at_seq=2) == LIVE
    assert resolver.resolve(await_signal(1), at_seq=3) == recorded(r.SignalDelivered(value("2")), 3)


def test_without_an_arrival_an_await_is_answered_by_the_whole_segment() -> None:
    resolver = resolver_of(started(), scheduled(0), scheduled(1), received())
    assert resolver.resolve(await_signal(0)) == recorded(r.SignalDelivered(value("1")), 4)


def test_an_await_is_not_held_against_the_intents() -> None:
    resolver = resolver_of(started(), scheduled(0))
    assert resolver.resolve(await_signal(0)) == LIVE
    assert resolver.resolve(await_timer()) == LIVE
    assert resolver.resolve(await_child()) == LIVE
    assert resolver.resolve(c.Park()) == LIVE
    assert resolver.resolve(run(0)) == LIVE


def test_signals_are_counted_by_their_name() -> None:
    resolver = resolver_of(started(), received("go"), received("stop"), received("go", "2"))
    assert resolver.resolve(await_signal(1, "go")) == recorded(r.SignalDelivered(value("2")), 4)
    assert resolver.resolve(await_signal(0, "stop")) == recorded(r.SignalDelivered(value("1")), 3)
    assert resolver.resolve(await_signal(1, "stop")).recorded_at == at(4)


@pytest.mark.parametrize(
    ("outcome", "resolution"),
    [
        (child_event(e.ChildWorkflowCompleted, result=NOTHING), r.ChildCompleted(NOTHING)),
        (child_event(e.ChildWorkflowFailed, error=DECLINED), r.ChildFailed(DECLINED)),
        (child_event(e.ChildWorkflowCancelled), r.ChildCancelled()),
    ],
    ids=["completed", "failed", "cancelled"],
)
def test_the_start_of_a_child_and_its_outcome_are_two_answers(
    outcome: Unnumbered, resolution: r.Resolution
) -> None:
    resolver = resolver_of(started(), child_started(), outcome)
    assert resolver.resolve(spawn()) == recorded(r.ChildStarted(WorkflowId("part-0")), 2, 1)
    assert resolver.resolve(await_child()) == recorded(resolution, 3)


@pytest.mark.parametrize(
    ("intent", "command", "resolution"),
    [
        (
            event(
                e.SignalSent, position="signal:0", target_workflow_id="o", name="n", payload=None
            ),
            c.SendSignal("signal:0", WorkflowId("o"), "n", NOTHING),
            r.SignalSent(),
        ),
        (
            event(e.MarkerRecorded, name="m", position="marker:0", payload=NOTHING),
            c.RecordMarker("m", "marker:0"),
            r.MarkerRecorded(NOTHING),
        ),
        (
            event(e.MarkerRecorded, name="m", position="marker:0", failure=DECLINED),
            c.RecordMarker("m", "marker:0", NOTHING),
            r.MarkerRecorded(None, DECLINED),
        ),
        (
            event(e.SearchAttributesUpdated, position="attributes:0", attributes={}),
            c.UpdateSearchAttributes("attributes:0", {"a": 1}),
            r.AttributesUpdated(),
        ),
        (
            event(e.UpdateCompleted, update_id="u", result=NOTHING),
            c.CompleteUpdate("u", value("1")),
            r.UpdateCompleted(NOTHING),
        ),
        (
            event(e.UpdateFailed, update_id="u", error=DECLINED),
            c.FailUpdate("u", DECLINED),
            r.UpdateFailed(DECLINED),
        ),
        (
            child_event(e.ChildCancelRequested),
            c.CancelChild(spawn().child_key),
            r.ChildCancelRequested(),
        ),
        (ended(), complete(), r.RunEnded(r.Completed(value("1")))),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_is_recorded_holds(
    intent: Unnumbered, command: c.Command, resolution: r.Resolution
) -> None:
    assert resolver_of(started(), intent).resolve(command) == recorded(resolution, 2, 1)


def test_an_end_from_outside_is_no_anchor() -> None:
    assert resolver_of(started(), terminated()).resolve(complete()) == LIVE


def test_time_goes_on_with_what_is_answered_and_not_with_the_tail_of_the_history() -> None:
    resolver = resolver_of(started(), scheduled(0), completed(0), scheduled(1), received())
    assert resolver.resolve(run(0)).recorded_at == at(3)
    assert resolver.resolve(run(1)) == r.ResumeLive(at(3))


def test_time_goes_on_in_a_loop_of_timed_waits() -> None:
    resolver = resolver_of(
        started(),
        timer_started("timer:0"),
        timer_fired("timer:0"),
        timer_started("timer:1"),
        timer_fired("timer:1"),
        timer_started("timer:2"),
    )
    times = []
    for number in range(3):
        times.append(resolver.resolve(start_timer(f"timer:{number}")).recorded_at)
        times.append(resolver.resolve(await_timer(f"timer:{number}")).recorded_at)
    assert times == [at(second) for second in (1, 3, 3, 5, 5, 5)]


def test_what_a_reopening_kept_is_answered_at_its_time() -> None:
    resolver = resolver_of(
        started(),
        scheduled(0),
        scheduled(1),
        failed(0),
        completed(1),
        received(),
        event(e.WorkflowFailed, error=DECLINED),
        reopened(4, 0),
        timer_started(),
    )
    assert resolver.resolve(run(0)) == LIVE
    assert resolver.resolve(run(1)) == recorded(r.ActivityCompleted(value("1")), 5, 8)
    assert resolver.resolve(await_signal(0)) == recorded(r.SignalDelivered(value("1")), 6, 8)
    assert resolver.resolve(start_timer()) == recorded(r.TimerStarted(at(60)), 9, 8)


def test_what_a_reopening_kept_is_not_answered_before_it() -> None:
    resolver = resolver_of(
        started(),
        scheduled(0),
        failed(0),
        received(),
        event(e.WorkflowFailed, error=DECLINED),
        reopened(3, 0),
    )
    assert resolver.resolve(await_signal(0), at_seq=5) == LIVE


def test_keys_of_the_void_part_are_free_again() -> None:
    resolver = resolver_of(
        started(),
        scheduled(0),
        failed(0),
        scheduled(1),
        completed(1),
        event(e.WorkflowFailed, error=DECLINED),
        reopened(3, 0),
        completed(0),
        scheduled(1),
    )
    resolver.resolve(run(0))
    assert resolver.resolve(run(1)) == r.ResumeLive(at(8))


def test_a_key_in_another_task_is_another_key() -> None:
    resolver = resolver_of(started(), scheduled("activity:1/0"), completed("activity:1/0"))
    other = attrs.evolve(run(0), activity_id=ActivityId("activity:1/0"))
    assert resolver.resolve(other) == recorded(r.ActivityCompleted(value("1")), 3)


class Watched(list[e.HistoryEvent]):
    """Events that say how far they were read."""

    furthest = 0

    def __iter__(self) -> Iterator[e.HistoryEvent]:
        for each in super().__iter__():
            self.furthest = each.seq
            yield each


def test_a_long_history_is_read_as_it_is_needed() -> None:
    pairs = [each(n) for n in range(50) for each in (scheduled, completed)]
    segment = r.cut_segment(W, RUN, written(started(), *pairs))
    events = Watched(segment.events)
    resolver = r.Resolver(attrs.evolve(segment, events=events))
    resolver.resolve(run(0))
    assert events.furthest <= 6
    resolver.resolve(await_signal(0))
    assert events.furthest == 101
    assert resolver.resolve(run(1)) == recorded(r.ActivityCompleted(value("1")), 5)
