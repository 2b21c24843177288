"""Kills are spread over the work and fall where they hurt."""

import random

import attrs

from aion_cli.demo.plan import EXTRA_KILLS, MIN_LIFE_S, PATIENCE_S, KillPlan, Sighting

RIPE = Sighting(now=0, executions=1000, fresh=True, waiting=True, kills=0, proved=False)


def begun_plan(kills: int = 3, *, executions: int = 0) -> KillPlan:
    plan = KillPlan(kills, 100, random.Random(1))
    plan.restarted()
    assert not plan.wants_kill(attrs.evolve(RIPE, executions=executions))
    return plan


def at(now: float, **changes: object) -> Sighting:
    return attrs.evolve(RIPE, now=now, **changes)  # type: ignore[arg-type]


def test_a_young_process_is_spared_so_that_every_life_gets_something_done() -> None:
    plan = begun_plan()
    assert not plan.wants_kill(at(MIN_LIFE_S / 2))
    assert plan.wants_kill(at(MIN_LIFE_S + 0.1))


def test_a_process_that_has_done_nothing_new_is_spared() -> None:
    plan = begun_plan(executions=1000)
    assert not plan.wants_kill(at(10, executions=1001))


def test_a_kill_comes_only_when_an_activity_has_just_begun() -> None:
    plan = begun_plan()
    assert not plan.wants_kill(at(1, fresh=False))
    assert plan.wants_kill(at(1))


def test_a_kill_waits_for_a_waiting_run_but_not_for_ever() -> None:
    plan = begun_plan()
    assert not plan.wants_kill(at(1, waiting=False))
    assert not plan.wants_kill(at(1 + PATIENCE_S / 2, waiting=False))
    assert plan.wants_kill(at(1.1 + PATIENCE_S, waiting=False))


def test_kills_are_spread_over_the_work() -> None:
    moments = []
    for kills in range(3):
        plan = begun_plan()
        moments.append(
            next(n for n in range(5, 200) if plan.wants_kill(at(1, executions=n, kills=kills)))
        )
    assert moments == sorted(moments)
    assert moments[0] < 30
    assert 55 < moments[2] < 85


def test_the_same_seed_gives_the_same_plan() -> None:
    delays = [KillPlan(3, 100, random.Random(7)).delay() for _ in range(2)]
    assert delays[0] == delays[1]


def test_there_are_a_few_more_kills_while_they_have_not_proved_anything() -> None:
    plan = begun_plan()
    assert plan.wants_kill(at(1, kills=3))
    assert not plan.wants_kill(at(1, kills=3, proved=True))
    assert not plan.wants_kill(at(1, kills=3 + EXTRA_KILLS))
