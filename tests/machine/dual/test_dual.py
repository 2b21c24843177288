"""Each scenario runs on trio, under many orders, and in a workflow: what they say is the same."""

from types import ModuleType

import pytest

from tests.machine.dual import (
    scenarios_cancelling,
    scenarios_channels,
    scenarios_deadlines,
    scenarios_generators,
    scenarios_nurseries,
    scenarios_sync,
)
from tests.machine.dual.worlds import SEEDS, Scenario, on_aion, on_trio


def scenarios_of(*modules: ModuleType) -> list[Scenario]:
    return [
        each for module in modules for each in vars(module).values() if isinstance(each, Scenario)
    ]


SCENARIOS = scenarios_of(
    scenarios_cancelling,
    scenarios_deadlines,
    scenarios_nurseries,
    scenarios_sync,
    scenarios_channels,
    scenarios_generators,
)
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)


@each_scenario
def test_trio_does_what_the_scenario_says(scenario: Scenario) -> None:
    for seed in SEEDS:
        assert on_trio(scenario, seed) in scenario.allowed


@each_scenario
def test_a_workflow_does_what_trio_does(scenario: Scenario) -> None:
    outcomes = [on_trio(scenario, seed) for seed in SEEDS]
    ours = on_aion(scenario)
    assert ours in scenario.allowed
    if all(outcome == outcomes[0] for outcome in outcomes):
        assert ours == outcomes[0]
    else:
        assert ours in outcomes


@each_scenario
def test_a_workflow_does_the_same_each_time(scenario: Scenario) -> None:
    assert on_aion(scenario) == on_aion(scenario)


@each_scenario
def test_a_workflow_whose_start_waited_does_the_same_later(scenario: Scenario) -> None:
    assert on_aion(scenario, begins_at=3_600) == on_aion(scenario)


def test_there_are_enough_scenarios() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 60
