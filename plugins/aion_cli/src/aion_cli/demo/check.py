"""The check: were the guarantees kept? It judges evidence and has no part in making it.

Every rule is a function from evidence to findings, and each can fail: ``aion demo --sabotage``
and the tests show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import attrs

from aion_cli.demo.evidence import Evidence, is_over, states_by_activity
from aion_cli.demo.ledger import Execution
from aion_cli.demo.orders import CARD_DECLINED, End, Order, Outcome
from aion_core import events as e
from aion_core.errors import PayloadError
from aion_core.payloads import PayloadConverter

__all__ = ["Finding", "check", "recorded_end"]


@attrs.frozen
class Finding:
    """One broken guarantee.

    Attributes:
        rule: a stable name for programs.
        text: what was found, for people.
    """

    rule: str
    text: str


def check(evidence: Evidence, expected: Mapping[str, End], *, kills: int) -> list[Finding]:
    """Judge a trial.

    Args:
        expected: how each workflow must end.
        kills: how many there were to be.

    Returns:
        What is wrong; nothing when every guarantee was kept.
    """
    return [
        *_ran_again(evidence),
        *_ran_too_often(evidence),
        *_ran_unrecorded(evidence),
        *_never_ran(evidence),
        *_lost(evidence),
        *_wrong_ends(evidence, expected),
        *_kills_that_prove_nothing(evidence, kills),
    ]


def _ran_again(evidence: Evidence) -> Iterator[Finding]:
    """After a restart, nothing runs whose outcome a copy from before it holds."""
    states = [(kill, states_by_activity(kill.histories)) for kill in evidence.kills]
    for number, line in enumerate(evidence.ledger, start=1):
        for kill, state_of in states:
            state = state_of.get((line.workflow_id, line.activity_id))
            if number > len(kill.ledger) and state is not None and state.forbids(line):
                what = "completion" if state.completed else "outcome"
                yield Finding(
                    "ran-again",
                    f"{_name(line)} ran again although its {what} was on disk at "
                    f"kill {kill.number} (line {number} of the ledger, process {line.pid})",
                )
                break


def _ran_too_often(evidence: Evidence) -> Iterator[Finding]:
    """An attempt runs once, and once more for each kill that found it open."""
    copies = [states_by_activity(kill.histories) for kill in evidence.kills]
    attempts = {
        (line.workflow_id, line.activity_id, line.attempt): line for line in evidence.ledger
    }
    times = Counter((line.workflow_id, line.activity_id, line.attempt) for line in evidence.ledger)
    for key, line in attempts.items():
        found = [copy.get((line.workflow_id, line.activity_id)) for copy in copies]
        open_at = sum(
            state is not None and not state.settled and state.attempt == line.attempt
            for state in found
        )
        if times[key] > 1 + open_at:
            yield Finding(
                "ran-too-often",
                f"{_name(line)} ran {times[key]} times, but the number of kills that found it "
                f"open is {open_at}",
            )


def _ran_unrecorded(evidence: Evidence) -> Iterator[Finding]:
    """Nothing runs before the store holds that it is to run."""
    moments = [(f"at kill {kill.number}", kill.ledger, kill.histories) for kill in evidence.kills]
    reported = set()
    for when, ledger, histories in [*moments, ("at the end", evidence.ledger, evidence.histories)]:
        state_of = states_by_activity(histories)
        for line in ledger:
            state = state_of.get((line.workflow_id, line.activity_id))
            known = state is not None and line.attempt <= state.attempt
            if not known and line not in reported:
                reported.add(line)
                yield Finding("ran-unrecorded", f"{_name(line)} ran, but no history {when} has it")


def _never_ran(evidence: Evidence) -> Iterator[Finding]:
    """What history calls completed was executed."""
    executed = {(line.workflow_id, line.activity_id) for line in evidence.ledger}
    for key, state in states_by_activity(evidence.histories).items():
        if state.completed and key not in executed:
            workflow_id, activity_id = key
            yield Finding(
                "never-ran",
                f"{workflow_id}: history holds a result of {state.activity} ({activity_id}), "
                "which never ran",
            )


def _lost(evidence: Evidence) -> Iterator[Finding]:
    """What was on disk at a kill is there, unchanged, at the end: histories only grow."""
    for kill in evidence.kills:
        for workflow_id, before in kill.histories.items():
            now = evidence.histories.get(workflow_id, ())
            same = [old == new for old, new in zip(before, now, strict=False)]
            kept = same.index(False) if False in same else len(same)
            if kept < len(before):
                yield Finding(
                    "lost",
                    f"{workflow_id}: event {kept + 1} ({type(before[kept]).__name__}) was on disk "
                    f"at kill {kill.number} and is not in the history at the end",
                )


def _wrong_ends(evidence: Evidence, expected: Mapping[str, End]) -> Iterator[Finding]:
    """Every order ends as its data says, and no other order exists."""
    for workflow_id in sorted(set(evidence.histories) - set(expected)):
        yield Finding("wrong-end", f"{workflow_id}: a workflow that nobody ordered")
    for workflow_id, end in expected.items():
        history = evidence.histories.get(workflow_id, ())
        if not is_over(history):
            when = "when the time was over" if evidence.timed_out else "when the engine ended"
            yield Finding("unfinished", f"{workflow_id}: had not ended {when}")
            continue
        found = recorded_end(history)
        if found != end:
            yield Finding("wrong-end", f"{workflow_id}: ended as {found}, not as {end}")


def recorded_end(history: Sequence[e.HistoryEvent]) -> End | str:
    """How a run ended; in words when it is none of the ends that an order can have."""
    try:
        return _decoded_end(history[0], history[-1])
    except PayloadError as error:
        return f"something unreadable ({error})"


def _decoded_end(started: e.HistoryEvent, terminal: e.HistoryEvent) -> End | str:
    converter = PayloadConverter()
    match started, terminal:
        case _, e.WorkflowCompleted(result=result):
            end: End = converter.decode(result, End)
            return end
        case e.WorkflowStarted(input=input), e.WorkflowFailed(error=failure) if (
            failure.type == CARD_DECLINED
        ):
            order: Order = converter.decode_fields(input, {"order": Order})["order"]
            return End(
                outcome=Outcome.DECLINED,
                customer=order.customer,
                currency=order.currency,
                reason=failure.message,
            )
        case _, e.WorkflowFailed(error=failure):
            return f"a failure ({failure.type}: {failure.message})"
        case _:
            return f"a {type(terminal).__name__}"


def _kills_that_prove_nothing(evidence: Evidence, wanted: int) -> Iterator[Finding]:
    """A trial that was not hit where it hurts has shown nothing."""
    kills = evidence.kills
    if len(kills) < wanted:
        yield Finding("too-few-kills", f"the engine was killed {len(kills)} times, not {wanted}")
    if not any(kill.in_flight for kill in kills):
        yield Finding("nothing-in-flight", "no kill found an activity in flight")
    if not any(kill.waiting for kill in kills):
        yield Finding("nothing-waiting", "no kill found a run that waited")


def _name(line: Execution) -> str:
    return f"{line.workflow_id}: {line.activity} ({line.activity_id}, attempt {line.attempt})"
