"""Replay of a stream of commands: where it goes on live, how it ended, where it diverges.

`wait_until` is not part of the authoring API yet: a run parked in a predicate is shown by the
`Park` that such code issues.
"""

from collections.abc import Iterator

import pytest

from aion_core import commands as c
from aion_core import replay as r
from aion_core.errors import HistoryShapeError, NonDeterminismError
from aion_core.ids import WorkflowId
from tests.machine.driver import CONVERTER, W, at
from tests.replay.histories import (
    DECLINED,
    NEXT,
    NOTHING,
    RUN,
    Unnumbered,
    await_signal,
    await_timer,
    cancel,
    cancel_requested,
    cancel_timer,
    cancelled,
    complete,
    completed,
    continued,
    ended,
    ended_by_cancel,
    ended_by_error,
    fail,
    failed,
    other_error,
    received,
    reopened,
    replay_of,
    retried,
    run,
    scheduled,
    start_timer,
    started,
    terminated,
    timed_out,
    timer_cancelled,
    timer_fired,
    timer_started,
    value,
    written,
)


def divergence(replay: r.Replay, *commands: c.Command) -> NonDeterminismError:
    with pytest.raises(NonDeterminismError) as info:
        replay.drive(commands)
    return info.value


def resumed(driven: r.Driven) -> tuple[int, c.Command]:
    assert isinstance(driven, r.ResumePoint)
    return driven.command_index, driven.command


def test_a_sequential_stream_resumes_at_the_first_command_that_history_cannot_satisfy() -> None:
    replay = replay_of(started(), scheduled(0), completed(0), timer_started(), timer_fired())
    commands: list[c.Command] = [run(0), start_timer(), await_timer(), run(1), run(2)]
    assert replay.drive(commands) == r.ResumePoint(
        3,
        run(1),
        (
            r.Recorded(r.ActivityCompleted(value("1")), 3, at(3)),
            r.Recorded(r.TimerStarted(at(60)), 4, at(3)),
            r.Recorded(r.TimerFired(), 5, at(5)),
        ),
    )


def test_an_open_activity_is_the_resume_point() -> None:
    replay = replay_of(started(), scheduled(0), retried(0))
    assert replay.drive([run(0)]) == r.ResumePoint(0, run(0), ())


def test_a_run_parked_in_a_sleep_resumes_there() -> None:
    replay = replay_of(started(), timer_started())
    assert resumed(replay.drive([start_timer(), await_timer()])) == (1, await_timer())


def test_a_run_parked_in_a_predicate_resumes_there() -> None:
    replay = replay_of(started(), scheduled(0), completed(0), received())
    assert resumed(replay.drive([run(0), c.Park()])) == (1, c.Park())


def test_a_park_before_recorded_commands_is_the_resume_point_only_if_nothing_diverges() -> None:
    history = started(), scheduled(0), completed(0)
    assert resumed(replay_of(*history).drive([c.Park(), run(0)])) == (0, c.Park())
    assert divergence(replay_of(*history), c.Park(), run(1)).seq == 2


def test_a_signal_recorded_before_its_receive_answers_it() -> None:
    replay = replay_of(started(), scheduled(0), received(), completed(0), scheduled(1))
    driven = replay.drive([run(0), await_signal(0), run(1)])
    assert resumed(driven) == (2, run(1))
    assert r.Recorded(r.SignalDelivered(value("1")), 3, at(3)) in driven.recorded


def test_of_two_receivers_whose_first_timed_out_the_second_gets_the_first_signal() -> None:
    replay = replay_of(
        started(), timer_started("timer:0"), timer_fired("timer:0"), received(payload="7")
    )
    driven = replay.drive([start_timer("timer:0"), await_timer("timer:0"), await_signal(0)])
    assert isinstance(driven, r.AwaitingCommand)
    assert driven.recorded[-1].resolution == r.SignalDelivered(value("7"))


def test_the_outcome_of_a_timer_may_lie_far_from_its_start() -> None:
    others = [each(n) for n in range(50) for each in (scheduled, completed)]
    replay = replay_of(started(), timer_started(), *others, timer_fired())
    calls = [run(n) for n in range(50)]
    driven = replay.drive([start_timer(), *calls, await_timer(), c.Park()])
    assert resumed(driven) == (52, c.Park())
    assert driven.recorded[-1] == r.Recorded(r.TimerFired(), 103, at(103))


def test_a_divergence_in_a_concurrent_branch_is_found_behind_an_open_one() -> None:
    replay = replay_of(
        started(), scheduled("activity:0/0"), scheduled("activity:1/0", "ship"), received()
    )
    error = divergence(replay, run("activity:0/0"), run("activity:1/0", "audit"))
    assert (error.seq, error.expected, error.found) == (
        3,
        "ActivityScheduled of 'ship' (activity:1/0)",
        "ActivityScheduled of 'audit' (activity:1/0)",
    )


def test_the_first_command_without_an_answer_is_the_resume_point_of_concurrent_branches() -> None:
    replay = replay_of(started(), scheduled("activity:0/0"), scheduled("activity:1/0"))
    driven = replay.drive([run("activity:0/0"), run("activity:1/0"), run("activity:2/0")])
    assert resumed(driven) == (0, run("activity:0/0"))


def test_what_history_answers_behind_the_resume_point_is_recorded_too() -> None:
    replay = replay_of(
        started(), scheduled("activity:0/0"), scheduled("activity:1/0"), completed("activity:1/0")
    )
    driven = replay.drive([run("activity:0/0"), run("activity:1/0")])
    assert driven == r.ResumePoint(
        0, run("activity:0/0"), (r.Recorded(r.ActivityCompleted(value("1")), 4, at(4)),)
    )


def test_the_stream_is_not_asked_for_more_when_no_intent_is_left() -> None:
    def commands() -> Iterator[c.Command]:
        yield run(0)
        yield run(1)
        raise AssertionError("asked for more")

    replay = replay_of(started(), scheduled(0), completed(0))
    assert resumed(replay.drive(commands())) == (1, run(1))


def test_a_stream_that_ends_early_awaits_a_command() -> None:
    replay = replay_of(started(), scheduled(0), completed(0), scheduled(1))
    assert replay.drive([run(0)]) == r.AwaitingCommand(
        (r.Recorded(r.ActivityCompleted(value("1")), 3, at(3)),)
    )


def test_what_the_stream_raises_is_raised() -> None:
    def commands() -> Iterator[c.Command]:
        yield run(0)
        raise LookupError

    with pytest.raises(LookupError):
        replay_of(started(), scheduled(0)).drive(commands())


def test_a_run_that_is_not_in_the_history_is_refused() -> None:
    with pytest.raises(HistoryShapeError):
        r.Replay(W, NEXT, written(started()))


ENDS: dict[str, tuple[Unnumbered, c.Command, r.ReplayTerminal]] = {
    "completed": (ended(), complete(), r.Completed(value("1"))),
    "failed": (ended_by_error(), fail(), r.Failed(DECLINED)),
    "cancelled": (ended_by_cancel(), c.CancelWorkflow("stop"), r.Cancelled("enough")),
    "continued": (continued(), c.ContinueAsNew(NOTHING, NEXT), r.ContinuedAsNew(NOTHING)),
}
each_end = pytest.mark.parametrize(("end", "command", "terminal"), ENDS.values(), ids=ENDS)


@each_end
def test_the_matching_end_is_accepted(
    end: Unnumbered, command: c.Command, terminal: r.ReplayTerminal
) -> None:
    replay = replay_of(started(), scheduled(0), completed(0), end)
    driven = replay.drive([run(0), command])
    assert driven == r.Ended(terminal, (r.Recorded(r.ActivityCompleted(value("1")), 3, at(3)),))


@each_end
def test_the_matching_end_is_reached_whatever_was_remembered(
    end: Unnumbered, command: c.Command, terminal: r.ReplayTerminal
) -> None:
    replay = replay_of(started(), scheduled(0), end)
    assert replay.drive([run(0), await_signal(0), c.Park(), command]) == r.Ended(terminal, ())


OTHERWISE = {
    f"{kind}, not {other}": (end, command)
    for kind, (end, _, _) in ENDS.items()
    for other, command in [
        *((name, command) for name, (_, command, _) in ENDS.items()),
        ("an activity", run(0)),
        ("a wait", await_signal(0)),
    ]
    if other != kind
}


@pytest.mark.parametrize(("end", "command"), OTHERWISE.values(), ids=OTHERWISE)
def test_any_other_command_at_the_end_is_a_divergence(end: Unnumbered, command: c.Command) -> None:
    assert divergence(replay_of(started(), end), command).seq == 2


@pytest.mark.parametrize(
    ("end", "command"),
    [
        (ended("1"), complete("2")),
        (ended_by_error(), fail(other_error())),
        (continued("{}"), c.ContinueAsNew(value('{"n":1}'), NEXT)),
    ],
    ids=["result", "error type", "input"],
)
def test_another_end_of_the_same_kind_is_a_divergence(end: Unnumbered, command: c.Command) -> None:
    assert divergence(replay_of(started(), end), command).seq == 2


def test_results_are_compared_by_the_converter_when_there_is_one() -> None:
    history = written(started(), ended('{"a": 1}'))
    replay = r.Replay(W, RUN, history, same=CONVERTER.same)
    assert isinstance(replay.drive([complete('{"a":1}')]), r.Ended)


def test_an_end_before_the_recorded_commands_is_a_divergence() -> None:
    assert divergence(replay_of(started(), scheduled(0), ended()), complete()).seq == 2


FROM_OUTSIDE = {
    "terminated": (terminated(), r.Terminated("by hand")),
    "timed out": (timed_out(), r.TimedOut("run")),
}
each_from_outside = pytest.mark.parametrize(
    ("end", "terminal"), FROM_OUTSIDE.values(), ids=FROM_OUTSIDE
)


@each_from_outside
@pytest.mark.parametrize(
    "commands",
    [[run(0)], [run(0), run(1)], [run(0), complete()], [await_signal(0)], [c.Park(), run(0)]],
    ids=["open", "further", "end", "waiting", "parked"],
)
def test_a_run_ended_from_outside_ends_whatever_its_code_does(
    end: Unnumbered, terminal: r.ReplayTerminal, commands: list[c.Command]
) -> None:
    assert replay_of(started(), scheduled(0), end).drive(commands) == r.Ended(terminal, ())


@each_from_outside
def test_a_divergence_in_a_run_ended_from_outside_is_found(
    end: Unnumbered, terminal: r.ReplayTerminal
) -> None:
    assert divergence(replay_of(started(), scheduled(0), end), c.Park(), run(1)).seq == 2


def test_the_end_of_another_workflow_ends_nothing() -> None:
    replay = replay_of(started(), scheduled(0), terminated(workflow_id=WorkflowId("other")))
    assert resumed(replay.drive([run(0)])) == (0, run(0))


REOPENED = (started(), scheduled(0), failed(0), ended_by_error(), reopened(3, 0))


def test_a_reopened_run_goes_on_where_it_was_cut() -> None:
    assert resumed(replay_of(*REOPENED).drive([run(0)])) == (0, run(0))


def test_a_reopened_run_that_completed_has_that_end() -> None:
    replay = replay_of(*REOPENED, completed(0), ended())
    assert isinstance(replay.drive([run(0), complete()]), r.Ended)


def test_the_end_that_was_taken_back_is_not_accepted() -> None:
    assert resumed(replay_of(*REOPENED).drive([run(0), fail()])) == (0, run(0))


def test_a_continued_run_and_its_successor_are_replayed_apart() -> None:
    history = written(
        started(), scheduled(0), completed(0), continued(), started(NEXT), scheduled(0)
    )
    first = r.Replay(W, RUN, history).drive([run(0), c.ContinueAsNew(NOTHING, NEXT)])
    second = r.Replay(W, NEXT, history).drive([run(0)])
    assert isinstance(first, r.Ended)
    assert resumed(second) == (0, run(0))


def test_an_activity_cancelled_by_a_deadline_is_replayed() -> None:
    replay = replay_of(
        started(),
        timer_started(),
        scheduled(0),
        timer_fired(),
        cancel_requested(0),
        cancelled(0),
        timer_started("timer:1"),
    )
    driven = replay.drive(
        [start_timer(), run(0), await_timer(), cancel(0), start_timer("timer:1"), c.Park()]
    )
    assert resumed(driven) == (5, c.Park())


def test_a_deadline_that_was_not_needed_is_replayed() -> None:
    replay = replay_of(started(), timer_started(), received(), timer_cancelled())
    driven = replay.drive([start_timer(), await_signal(0), cancel_timer(), await_signal(1)])
    assert resumed(driven) == (3, await_signal(1))


def test_a_step_gives_the_answer_of_history() -> None:
    replay = replay_of(started(), scheduled(0), completed(0))
    assert replay.step(run(0)) == r.Recorded(r.ActivityCompleted(value("1")), 3, at(3))


def test_a_step_beyond_history_goes_live() -> None:
    assert replay_of(started()).step(run(0)) == r.ResumeLive(at(1))


@each_end
def test_a_step_to_the_recorded_end_says_so(
    end: Unnumbered, command: c.Command, terminal: r.ReplayTerminal
) -> None:
    assert replay_of(started(), end).step(command) == r.Terminal(terminal)


@each_from_outside
@pytest.mark.parametrize("command", [run(0), run(1), await_signal(0), c.Park(), complete()])
def test_a_step_of_a_run_ended_from_outside_says_so(
    end: Unnumbered, terminal: r.ReplayTerminal, command: c.Command
) -> None:
    replay = replay_of(started(), scheduled(0), end)
    replay.step(run(0))
    assert replay.step(command) == r.Terminal(terminal)


def test_a_step_that_history_does_not_hold_is_a_divergence() -> None:
    with pytest.raises(NonDeterminismError):
        replay_of(started(), ended()).step(run(0))


@each_end
def test_a_replay_knows_how_the_run_ended(
    end: Unnumbered, command: c.Command, terminal: r.ReplayTerminal
) -> None:
    assert replay_of(started(), end).terminal == terminal


def test_a_replay_of_an_open_run_knows_no_end() -> None:
    replay = replay_of(*REOPENED)
    assert (replay.terminal, replay.head) == (None, 5)
