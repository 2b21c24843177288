"""Each race in every order, live, replayed and recovered: the same order, the same outcome."""

from __future__ import annotations

import pytest

from tests.machine.driver import check_replays
from tests.races.racing import Order, Race, run_in_one_batch, run_in_steps
from tests.races.table import RACES

CASES = [
    pytest.param(race, order, id=f"{race.name}: {' before '.join(order)}")
    for race in RACES
    for order in race.orders()
]

every_order = pytest.mark.parametrize(("race", "order"), CASES)


@every_order
def test_the_order_of_steps_settles_it(race: Race, order: Order) -> None:
    assert run_in_steps(race, order).outcome == race.outcomes[order]


@every_order
def test_the_order_within_a_batch_settles_it(race: Race, order: Order) -> None:
    finished = run_in_one_batch(race, order)
    assert finished.outcome == race.outcomes[finished.order]


@every_order
def test_one_batch_gives_the_history_of_as_many_steps(race: Race, order: Order) -> None:
    in_one = run_in_one_batch(race, order)
    in_steps = run_in_steps(race, in_one.order)
    assert in_one.driver.history == in_steps.driver.history


@every_order
def test_a_replay_asks_for_the_same(race: Race, order: Order) -> None:
    check_replays(run_in_steps(race, order).driver)
    check_replays(run_in_one_batch(race, order).driver)


@every_order
def test_a_crash_between_two_steps_changes_nothing(race: Race, order: Order) -> None:
    undisturbed = run_in_steps(race, order)
    steps = range(undisturbed.driver.steps)
    for crashes in [*([step] for step in steps), list(steps)]:
        recovered = run_in_steps(race, order, crashes)
        assert recovered.driver.history == undisturbed.driver.history
        assert recovered.outcome == undisturbed.outcome


@every_order
def test_a_batch_that_was_lost_is_decided_again_in_the_same_way(race: Race, order: Order) -> None:
    undisturbed = run_in_one_batch(race, order)
    tried_again = run_in_one_batch(race, order, is_lost=True)
    assert tried_again.driver.history == undisturbed.driver.history
    assert tried_again.outcome == undisturbed.outcome


@every_order
def test_recorded_time_never_goes_back(race: Race, order: Order) -> None:
    times = [event.recorded_at for event in run_in_steps(race, order).driver.history]
    assert times == sorted(times)


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
def test_every_order_has_its_outcome(race: Race) -> None:
    assert set(race.outcomes) == set(race.orders())
