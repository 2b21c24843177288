"""A slice of the soak, and the proof that its checker can fail. All of it: ``make soak``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import attrs
import pytest

from aion_core import events as e
from aion_core.contracts import FeedItem
from aion_core.testing.histories import Story
from tests.soak.__main__ import main
from tests.soak.checker import faults
from tests.soak.evidence import Evidence, Execution, Kill, MemorySample, Promise

SEED = 20_261


def test_a_slice_of_the_soak_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds", "7", "--seed", str(SEED)]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert f"make soak SEED={SEED}" in said
    assert re.search(r"in the way: [1-9]\d* kills", said)
    assert said.endswith(f"verdict: nothing lost, stuck or doubled; seed {SEED}\n")


EXECUTION = Execution("w", "run", "activity:0", 1)


def feed_of(events: Sequence[e.HistoryEvent]) -> list[FeedItem]:
    return [FeedItem(position, event) for position, event in enumerate(events, start=1)]


def flawless() -> Evidence:
    """One workflow with an activity and a signal, and a kill after both."""
    story = Story("w").started(run_id="run").scheduled("activity:0")
    story = story.activity_completed("activity:0").signal(id="s").completed()
    return Evidence(
        promises=[Promise("w", 1, 1)],
        executions=[EXECUTION],
        feed=feed_of(story.events),
        undelivered=[],
        stuck={},
        unsound=[],
        kills=[Kill(life=1, position=4, executions=1)],
        memory=[MemorySample(life, age / 10, 50) for life in (1, 2) for age in range(60)],
    )


def without_last(evidence: Evidence) -> Evidence:
    return attrs.evolve(evidence, feed=evidence.feed[:-1])


def without_history(evidence: Evidence) -> Evidence:
    return attrs.evolve(evidence, feed=[])


def without_third(evidence: Evidence) -> Evidence:
    return attrs.evolve(evidence, feed=[*evidence.feed[:2], *evidence.feed[3:]])


def twice(kind: type[e.HistoryEvent]) -> Callable[[Evidence], Evidence]:
    """Have an event recorded twice, with all numbers in order."""

    def sabotage(evidence: Evidence) -> Evidence:
        events = [
            copy
            for item in evidence.feed
            for copy in [item.event] * (2 if isinstance(item.event, kind) else 1)
        ]
        numbered = [attrs.evolve(event, seq=seq) for seq, event in enumerate(events, start=1)]
        return attrs.evolve(evidence, feed=feed_of(numbered))

    return sabotage


def executed(*executions: Execution) -> Callable[[Evidence], Evidence]:
    return lambda evidence: attrs.evolve(evidence, executions=executions)


def promised(*promises: Promise) -> Callable[[Evidence], Evidence]:
    return lambda evidence: attrs.evolve(evidence, promises=promises)


def weighed(mib: Callable[[int, float], float]) -> Callable[[Evidence], Evidence]:
    return lambda evidence: attrs.evolve(
        evidence,
        memory=[
            attrs.evolve(sample, mib=mib(sample.life, sample.age)) for sample in evidence.memory
        ],
    )


def test_the_checker_finds_nothing_where_nothing_is() -> None:
    assert list(faults(flawless())) == []


@pytest.mark.parametrize(
    ("sabotage", "words"),
    [
        (without_history, "'w' was asked for, and is lost"),
        (without_last, "'w' is still open"),
        (without_third, "has a gap before 4"),
        (twice(e.WorkflowStarted), "'w' was started 2 times"),
        (twice(e.ActivityCompleted), "was completed 2 times"),
        (twice(e.SignalReceived), "took 's' 2 times"),
        (executed(), "is recorded, and was never executed"),
        (executed(EXECUTION, EXECUTION), "executed after kill 1, though its completion"),
        (promised(Promise("w")), "the client of workflow 'w' was never answered"),
        (promised(Promise("w", 2, 1)), "returned 2, and not 1"),
        (promised(Promise("v", 1, 1)), "'v' was asked for, and is lost"),
        (weighed(lambda life, age: 50 + 20 * age), "grew by .* MiB towards its end"),
        (weighed(lambda life, age: 50.0 * life), "took 50 MiB more than the first"),
        (lambda all_: attrs.evolve(all_, stuck={"w": "a defect"}), "is stuck: a defect"),
        (lambda all_: attrs.evolve(all_, undelivered=[("start", "v")]), r"\(start\) for 'v'"),
        (lambda all_: attrs.evolve(all_, unsound=["a hole"]), "not sound: a hole"),
    ],
)
def test_the_checker_finds_what_was_lost_stuck_or_doubled(
    sabotage: Callable[[Evidence], Evidence], words: str
) -> None:
    assert any(re.search(words, each) for each in faults(sabotage(flawless())))


def test_an_attempt_that_one_engine_made_twice_is_found() -> None:
    evidence = attrs.evolve(flawless(), executions=[EXECUTION, EXECUTION], kills=[])
    assert any("executed 2 times by one engine" in each for each in faults(evidence))
