"""The check passes good evidence, and each of its rules can fail."""

from collections.abc import Mapping

import attrs

from aion_cli.demo.check import check, recorded_end
from aion_cli.demo.evidence import Evidence
from aion_cli.demo.orders import End
from aion_core.events import WorkflowCompleted
from aion_core.payloads import JSON, Payload
from tests.cli.stories import (
    DECLINED,
    ID,
    SHIPPED,
    Story,
    good_evidence,
    kill,
    ran,
    with_line,
)

EXPECTED = {ID: SHIPPED}


def rules(
    evidence: Evidence, expected: Mapping[str, End] = EXPECTED, *, kills: int = 2
) -> set[str]:
    return {finding.rule for finding in check(evidence, expected, kills=kills)}


def test_good_evidence_has_no_findings() -> None:
    assert check(good_evidence(), EXPECTED, kills=2) == []


def test_a_repetition_after_a_kill_that_found_the_attempt_open_is_good() -> None:
    evidence = good_evidence()
    repeated = [line for line in evidence.ledger if line.activity == "charge"]
    assert [line.pid for line in repeated] == [1, 2]
    assert "ran-too-often" not in rules(evidence)


def test_an_execution_after_its_completion_was_on_disk_is_found() -> None:
    evidence = with_line(good_evidence(), ran(0, pid=3))
    (finding,) = (f for f in check(evidence, EXPECTED, kills=2) if f.rule == "ran-again")
    assert "order-7: charge (activity:0, attempt 1)" in finding.text
    assert "completion was on disk at kill 2" in finding.text
    assert "line 5 of the ledger, process 3" in finding.text


def test_an_execution_before_the_kill_that_saw_its_completion_is_good() -> None:
    """The same lines in another order: what counts is when, not that there are two."""
    assert "ran-again" not in rules(good_evidence())


def test_an_attempt_that_runs_again_after_its_failure_was_on_disk_is_found() -> None:
    story = Story().scheduled(0).failed(0, retried=True).completed(0, attempt=2).ended()
    first, second = ran(0, pid=1), ran(0, pid=2, attempt=2)
    kills = [kill(1, [first], story.until(3))]
    good = Evidence(ledger=[first, second], kills=kills, histories={ID: story.events})
    assert "ran-again" not in rules(good)
    bad = attrs.evolve(good, ledger=[first, ran(0, pid=2), second])
    assert "ran-again" in rules(bad)


def test_an_attempt_that_runs_twice_in_one_life_is_found() -> None:
    evidence = with_line(good_evidence(), ran(1, pid=3, activity="ship", attempt=2))
    assert rules(evidence) == {"ran-too-often"}


def test_a_kill_allows_one_more_execution_of_what_it_found_open_and_of_nothing_else() -> None:
    story = Story().scheduled(0).completed(0).ended()
    lines = [ran(0, pid=1), ran(0, pid=2), ran(0, pid=3)]
    both_open = [kill(1, lines[:1], story.until(2)), kill(2, lines[:2], story.until(2))]
    good = Evidence(ledger=lines, kills=both_open, histories={ID: story.events})
    assert "ran-too-often" not in rules(good)
    not_yet_scheduled = [kill(1, [], story.until(1)), both_open[1]]
    assert "ran-too-often" in rules(attrs.evolve(good, kills=not_yet_scheduled))


def test_a_kill_during_another_attempt_allows_no_repetition() -> None:
    story = Story().scheduled(0).failed(0, retried=True).completed(0, attempt=2).ended()
    lines = [ran(0, pid=1), ran(0, pid=1), ran(0, pid=2, attempt=2)]
    kills = [kill(1, lines[:2], story.until(3))]
    evidence = Evidence(ledger=lines, kills=kills, histories={ID: story.events})
    assert "ran-too-often" in rules(evidence)


def test_an_execution_that_no_history_knows_is_found() -> None:
    evidence = with_line(good_evidence(), ran(9, pid=3))
    assert rules(evidence) == {"ran-unrecorded"}


def test_an_execution_before_its_intent_was_on_disk_is_found() -> None:
    """The effect came before the append: the history has it only in the end."""
    good = good_evidence()
    early = kill(1, good.kills[0].ledger, Story().until(1))
    assert "ran-unrecorded" in rules(attrs.evolve(good, kills=[early, *good.kills[1:]]))


def test_an_execution_of_an_attempt_that_was_not_planned_is_found() -> None:
    evidence = with_line(good_evidence(), ran(1, pid=3, activity="ship", attempt=3))
    assert rules(evidence) == {"ran-unrecorded"}


def test_a_result_of_an_activity_that_never_ran_is_found() -> None:
    good = good_evidence()
    assert rules(attrs.evolve(good, ledger=good.ledger[:2])) == {"never-ran"}


def test_an_event_that_was_on_disk_and_is_gone_is_found() -> None:
    good = good_evidence()
    held = Story().scheduled(0).completed(0).waiting().answered().scheduled(1, "refund")
    bad = attrs.evolve(good, kills=[*good.kills, kill(3, good.ledger[:2], held.events)])
    found = [f.text for f in check(bad, EXPECTED, kills=3) if f.rule == "lost"]
    assert found == [
        f"{ID}: event 7 (ActivityScheduled) was on disk at kill 3 and is not in the history at "
        "the end"
    ]


def test_a_workflow_that_was_on_disk_and_is_gone_is_found() -> None:
    good = good_evidence()
    other = kill(3, good.ledger, Story("order-8").events)
    assert "lost" in rules(attrs.evolve(good, kills=[*good.kills, other]), kills=3)


def test_another_end_than_the_expected_one_is_found() -> None:
    findings = check(good_evidence(), {ID: DECLINED}, kills=2)
    assert [finding.rule for finding in findings] == ["wrong-end"]


def test_a_workflow_that_nobody_ordered_is_found() -> None:
    assert rules(good_evidence(), {}) == {"wrong-end"}


def test_an_order_without_a_workflow_is_unfinished() -> None:
    assert rules(good_evidence(), {**EXPECTED, "order-8": SHIPPED}) == {"unfinished"}


def test_a_run_that_did_not_end_in_time_is_found() -> None:
    good = good_evidence()
    bad = attrs.evolve(good, histories={ID: good.histories[ID][:-1]}, timed_out=True)
    (finding,) = check(bad, EXPECTED, kills=2)
    assert (finding.rule, finding.text) == (
        "unfinished",
        f"{ID}: had not ended when the time was over",
    )


def test_fewer_kills_than_wanted_are_found() -> None:
    assert rules(good_evidence(), kills=3) == {"too-few-kills"}


def test_kills_that_found_nothing_in_flight_prove_nothing() -> None:
    good = good_evidence()
    assert rules(attrs.evolve(good, kills=good.kills[1:]), kills=1) == {
        "nothing-in-flight",
        "ran-too-often",
    }


def test_kills_that_found_nothing_waiting_prove_nothing() -> None:
    good = good_evidence()
    assert rules(attrs.evolve(good, kills=good.kills[:1]), kills=1) == {"nothing-waiting"}


def test_a_declined_order_ends_with_the_reason_and_the_customer_of_its_input() -> None:
    assert recorded_end(Story().broke("CardDeclined", "no funds").events) == DECLINED


def test_another_failure_is_no_end_of_an_order() -> None:
    assert (
        recorded_end(Story().broke("Crashed", "5 times").events) == "a failure (Crashed: 5 times)"
    )


def test_an_unreadable_result_is_no_end_of_an_order() -> None:
    story = Story().ended()
    terminal = story.events[-1]
    assert isinstance(terminal, WorkflowCompleted)
    broken = attrs.evolve(terminal, result=Payload(JSON, b"[]"))
    assert "unreadable" in str(recorded_end([story.events[0], broken]))
