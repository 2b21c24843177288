"""Replay of what the machine wrote gives the same commands, at every prefix before an arrival."""

import random
from typing import Any

import attrs
import pytest
from hypothesis import event as note
from hypothesis import given, settings
from hypothesis import strategies as st

from aion_core import commands as c
from aion_core import events as e
from aion_core.authoring.workflows import Workflow
from aion_core.codec import decode_event, encode_event, kind_of
from aion_core.errors import HistoryShapeError, NonDeterminismError
from aion_core.history import RunProjection, changes
from aion_core.ids import RunId, WorkflowId
from aion_core.machine import arrivals as a
from aion_core.replay import Ended, Recorded, Replay, ResumeLive, ResumePoint, intent_of
from aion_core.replay.terminals import terminal_of
from tests.machine.driver import FAILURE, Driver, machine_for, payload, resident
from tests.replay.exploring import WORKFLOWS, groups, happen, live, racing

codes = st.sampled_from(WORKFLOWS)
happenings = st.tuples(st.integers(0, 30), st.integers(1, 3))
choices = st.lists(happenings, max_size=8) | st.lists(happenings, min_size=12, max_size=30)
Choices = list[tuple[int, int]]


@given(codes, choices)
def test_every_prefix_before_an_arrival_gives_the_recorded_intents_and_nothing_more(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    history = live(code, chosen).history
    for index, recorded in groups(history):
        machine = machine_for(history[0], code)
        if index:
            assert machine.replay(history[:index]) == []
        arrival = history[index]
        commands = machine.activate(arrival)
        # The whole events, inputs and instants included: not only what replay compares.
        first = recorded[0].seq if recorded else 0
        issued = [
            intent_of(command, seq, arrival.recorded_at, arrival.workflow_id)
            for seq, command in enumerate(commands, first)
        ]
        assert without_stacks(issued) == without_stacks(recorded)
        machine.close()


def without_stacks(events: list[e.HistoryEvent]) -> list[e.HistoryEvent]:
    return [
        attrs.evolve(each, error=bare(each.error)) if isinstance(each, e.WorkflowFailed) else each
        for each in events
    ]


def bare(failure: Any) -> Any:
    return attrs.evolve(
        failure,
        stack="",
        cause=failure.cause and bare(failure.cause),
        members=tuple(map(bare, failure.members)),
    )


@given(codes, choices)
def test_a_run_brought_up_from_its_history_stands_where_it_stood(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    driver = live(code, chosen)
    again = resident(driver.history, code)
    assert not again.is_ahead
    assert vars(again.projection) == vars(driver.run.projection)


@given(codes, choices, st.data())
def test_what_happens_next_is_the_same_after_a_restart(
    code: Workflow[[], Any], chosen: Choices, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(chosen)))
    undisturbed = live(code, chosen)
    driver = live(code, chosen[:cut])
    driver.reload()
    for choice, count in chosen[cut:]:
        if driver.run.is_open:
            happen(driver, choice, count)
    assert without_stacks(driver.history) == without_stacks(undisturbed.history)


@given(codes, choices)
def test_an_arrival_is_never_in_history_without_its_intents(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    driver = live(code, chosen)
    for event, following in zip(driver.history, driver.history[1:], strict=False):
        if e.is_intent(following):
            assert e.is_arrival(event) or e.is_intent(event)
            assert following.recorded_at == event.recorded_at


@given(codes, choices)
def test_recorded_time_never_goes_back_and_seqs_have_no_gap(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    history = live(code, chosen).history
    assert [event.seq for event in history] == list(range(1, len(history) + 1))
    times = [event.recorded_at for event in history]
    assert times == sorted(times)


@given(codes, choices)
def test_steps_say_what_their_events_do_to_the_rows(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    driver = live(code, chosen)
    assert driver.changes == [changes(event) for event in driver.history]


@given(codes, choices)
def test_nothing_follows_the_end(code: Workflow[[], Any], chosen: Choices) -> None:
    history = live(code, chosen).history
    assert not any(e.is_terminal(event) for event in history[:-1])


@given(codes, choices)
def test_a_history_replays_from_its_stored_form(code: Workflow[[], Any], chosen: Choices) -> None:
    history = live(code, chosen).history
    stored = [
        decode_event(
            kind_of(event),
            encode_event(event),
            seq=event.seq,
            recorded_at=event.recorded_at,
            workflow_id=event.workflow_id,
        )
        for event in history
    ]
    assert stored == history
    assert machine_for(stored[0], code).replay(stored) == []


def swapped(history: list[e.HistoryEvent], rng: random.Random) -> list[e.HistoryEvent]:
    first, second = rng.randrange(len(history)), rng.randrange(len(history))
    history[first], history[second] = history[second], history[first]
    return history


def dropped(history: list[e.HistoryEvent], rng: random.Random) -> list[e.HistoryEvent]:
    del history[rng.randrange(len(history))]
    return history


def doubled(history: list[e.HistoryEvent], rng: random.Random) -> list[e.HistoryEvent]:
    event = history[rng.randrange(len(history))]
    history.insert(rng.randrange(len(history) + 1), event)
    return history


def retyped(history: list[e.HistoryEvent], rng: random.Random) -> list[e.HistoryEvent]:
    """One event becomes another kind, with whatever fields that has from anywhere."""
    index = rng.randrange(len(history))
    donor = history[rng.randrange(len(history))]
    kept = attrs.asdict(history[index], recurse=False)
    own = attrs.asdict(donor, recurse=False)
    fields = {name: kept.get(name, value) for name, value in own.items()}
    history[index] = type(donor)(**fields)
    return history


def renamed(history: list[e.HistoryEvent], rng: random.Random) -> list[e.HistoryEvent]:
    """One id becomes another's, or nobody's."""
    index = rng.randrange(len(history))
    event = history[index]
    for name in ("activity_id", "timer_id", "activity_type", "name", "started_seq"):
        if hasattr(event, name):
            values = [getattr(each, name) for each in history if hasattr(each, name)]
            other = 999 if name == "started_seq" else "activity:9"
            history[index] = attrs.evolve(event, **{name: rng.choice([*values, other])})
    return history


def renumbered(history: list[e.HistoryEvent], rng: random.Random) -> list[e.HistoryEvent]:
    index = rng.randrange(len(history))
    history[index] = attrs.evolve(history[index], seq=rng.randrange(len(history) + 3))
    return history


def in_order(history: list[e.HistoryEvent]) -> list[e.HistoryEvent]:
    return [attrs.evolve(event, seq=seq) for seq, event in enumerate(history, 1)]


EDITS = [swapped, dropped, doubled, retyped, renamed]


Outcome = tuple[list[tuple[str, ...]], list[e.HistoryEvent]]


def outcome(
    history: list[e.HistoryEvent], code: Workflow[[], Any], started: e.HistoryEvent
) -> Outcome:
    """What a replay of a whole history does: its commands by name, and the end of the run.

    Names are spelled out here once more, not taken from the matching rule. Inputs are not among
    them: those recorded hold.
    """
    commands = list(machine_for(started, code).replaying(history))
    ends = [
        intent_of(command, 1, started.recorded_at, started.workflow_id)
        for command in commands
        if isinstance(command, c.CompleteWorkflow | c.FailWorkflow)
    ]
    return [named(command) for command in commands if anchored(command)], without_stacks(ends)


def anchored(command: c.Command) -> bool:
    return not isinstance(command, c.AwaitSignal | c.AwaitTimer | c.AwaitChild | c.Park)


def named(command: c.Command) -> tuple[str, ...]:
    names = ("activity_id", "activity_type", "timer_id")
    return type(command).__name__, *(str(getattr(command, name, "")) for name in names)


def edited_before_the_last_arrival(
    history: list[e.HistoryEvent], edit: Any, renumber: bool, rng: random.Random
) -> list[e.HistoryEvent]:
    last = max(index for index, event in enumerate(history) if e.is_arrival(event))
    if last == 0:
        return history
    edited = edit(history[:last], rng) + history[last:]
    return in_order(edited) if renumber else edited


@settings(max_examples=300)
@given(codes, choices, st.sampled_from(EDITS), st.booleans(), st.randoms(use_true_random=False))
def test_an_edit_before_the_last_arrival_is_harmless_or_found(
    code: Workflow[[], Any],
    chosen: Choices,
    edit: Any,
    renumber: bool,
    rng: random.Random,
) -> None:
    history = live(code, chosen).history
    edited = edited_before_the_last_arrival(list(history), edit, renumber, rng)
    try:
        after = outcome(edited, code, history[0])
    except (NonDeterminismError, HistoryShapeError):
        note("found")
        return
    note("unchanged" if edited == history else "harmless")
    # A note that has become an outcome may let the code go further than it ever did. What history
    # holds of it is the same.
    recorded = sum(map(e.is_intent, history))
    before = outcome(history, code, history[0])
    assert after[0][:recorded] == before[0][:recorded]
    if len(before[0]) == recorded == len(after[0]):
        assert after[0] == before[0]
        assert [as_compared(end) for end in after[1]] == [as_compared(end) for end in before[1]]
        if told(edited) == told(history):
            assert after == before


def as_compared(end: e.HistoryEvent) -> object:
    """What must be the same of the end of a run: its result, or the type of its error.

    Of an error no more, because its text follows from all that the code was told. A run whose
    nursery is cancelled by one failed activity fails by a group in which those are, too, that fail
    while it waits for them; whether they do changes nothing of what the code asks for.
    """
    if isinstance(end, e.WorkflowFailed):
        return end.error.type
    assert isinstance(end, e.WorkflowCompleted)
    return end.result


def told(history: list[e.HistoryEvent]) -> list[e.HistoryEvent]:
    """What the code is told, in order."""
    arrivals = [event for event in history if e.is_arrival(event)]
    return [attrs.evolve(event, seq=0) for event in arrivals]


def raced(second: a.AttemptCompleted | a.AttemptFailed) -> list[e.HistoryEvent]:
    """The history of a race whose first worker fails, by how the second one's activity ends."""
    driver = Driver(racing)
    driver.start()
    driver.step(driver.failed("ship"))
    driver.step(driver.completed("charge", 1))
    driver.step(driver.outcome(driver.row("ship"), second))
    driver.step(driver.cancelled("ship"))
    while driver.run.is_open:
        driver.step(driver.completed("charge", 1))
    return driver.history


def test_an_end_is_the_same_by_the_type_of_its_error_whatever_else_that_says() -> None:
    returned = raced(a.AttemptCompleted(payload(1)))
    raised = raced(a.AttemptFailed(FAILURE))
    # Told of another outcome the code does the same, up to the text of its error.
    place = next(index for index, event in enumerate(returned) if event != raised[index])
    assert isinstance(returned[place], e.ActivityCompleted)
    assert returned[place + 1 : -1] == raised[place + 1 : -1]
    edited = [*returned[:place], raised[place], *returned[place + 1 :]]
    commands, (end,) = outcome(edited, racing, edited[0])
    assert commands == outcome(returned, racing, edited[0])[0]
    assert without_stacks([attrs.evolve(end, seq=raised[-1].seq)]) == without_stacks(raised[-1:])
    assert as_compared(end) == as_compared(returned[-1]) == "ExceptionGroup"
    assert without_stacks(returned[-1:]) != without_stacks(raised[-1:])


@settings(max_examples=100)
@given(codes, choices, st.sampled_from(EDITS), st.randoms(use_true_random=False))
def test_a_run_is_brought_up_from_an_edited_history_or_refused(
    code: Workflow[[], Any], chosen: Choices, edit: Any, rng: random.Random
) -> None:
    edited = in_order(edit(list(live(code, chosen).history), rng))
    try:
        resident(edited, code)
    except (NonDeterminismError, HistoryShapeError):
        note("refused")


@given(codes, choices)
def test_a_replay_of_the_machines_commands_agrees_with_the_machine_at_every_prefix(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    history = live(code, chosen).history
    starts = [index for index, _ in groups(history)][1:]
    for end in (*starts, len(history)):
        prefix = history[:end]
        state = RunProjection(WorkflowId("w"), prefix)
        steps = Replay(WorkflowId("w"), RunId("run"), prefix)
        commands = list(machine_for(prefix[0], code).replaying(prefix))
        waiting = [each for each in commands if isinstance(steps.step(each), ResumeLive)]
        driven = Replay(WorkflowId("w"), RunId("run"), prefix).drive(commands)
        if state.is_open:
            open_calls = [each.activity_id for each in waiting if isinstance(each, c.RunActivity)]
            open_timers = [each.timer_id for each in waiting if isinstance(each, c.AwaitTimer)]
            assert open_calls == list(state.activities)
            assert open_timers == list(state.timers)
            assert not any(isinstance(each, c.StartTimer | c.CancelTimer) for each in waiting)
            assert isinstance(driven, ResumePoint)
            assert driven.command is commands[driven.command_index] is waiting[0]
            assert len(driven.recorded) == len(commands) - len(waiting)
        else:
            assert isinstance(driven, Ended)
            assert driven.terminal == terminal_of(prefix[-1])


@given(codes, choices)
def test_the_awaits_of_a_machine_are_answered_by_the_arrivals_that_it_applied(
    code: Workflow[[], Any], chosen: Choices
) -> None:
    history = live(code, chosen).history
    replay = Replay(WorkflowId("w"), RunId("run"), history)
    answers = [
        answer.seq
        for command in machine_for(history[0], code).replaying(history)
        if isinstance(command, c.AwaitTimer | c.AwaitSignal)
        and isinstance(answer := replay.step(command), Recorded)
    ]
    arrivals = {
        event.seq: event for event in history if isinstance(event, e.TimerFired | e.SignalReceived)
    }
    fired = [seq for seq, event in arrivals.items() if isinstance(event, e.TimerFired)]
    assert [seq for seq in answers if seq in fired] == fired
    assert set(answers) <= set(arrivals)
    assert len(answers) == len(set(answers))


@given(codes, choices, st.randoms(use_true_random=False))
def test_a_renumbered_event_is_refused(
    code: Workflow[[], Any], chosen: Choices, rng: random.Random
) -> None:
    history = live(code, chosen).history
    edited = renumbered(list(history), rng)
    if edited != history:
        with pytest.raises(HistoryShapeError):
            resident(edited, code)


@given(codes, choices, st.randoms(use_true_random=False))
def test_a_dropped_intent_is_found_at_the_place_where_it_was(
    code: Workflow[[], Any], chosen: Choices, rng: random.Random
) -> None:
    history = live(code, chosen).history
    arrivals = [index for index, event in enumerate(history) if e.is_arrival(event)]
    # Beyond the last arrival a missing intent is only not recorded yet.
    candidates = [
        index for index, event in enumerate(history) if e.is_intent(event) and index < arrivals[-1]
    ]
    if not candidates:
        return
    index = rng.choice(candidates)
    edited = in_order(history[:index] + history[index + 1 :])
    with pytest.raises(NonDeterminismError) as info:
        machine_for(edited[0], code).replay(edited)
    # Equal intents beside each other, or none, move the place to the next difference.
    assert info.value.seq >= index + 1
