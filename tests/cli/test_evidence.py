"""Evidence says what a kill found."""

from aion_cli.demo.evidence import activity_states
from tests.cli.stories import ID, Story, kill, ran


def test_an_activity_is_in_flight_if_it_ran_in_the_killed_process_and_has_no_outcome() -> None:
    history = Story().scheduled(0).scheduled(1).scheduled(2).completed(1).events
    in_flight, settled, of_another = ran(0, pid=1), ran(1, pid=1), ran(2, pid=9)
    assert kill(1, [in_flight, settled, of_another], history, pid=1).in_flight == [in_flight]


def test_an_attempt_whose_failure_is_on_disk_is_not_in_flight() -> None:
    history = Story().scheduled(0).failed(0, retried=True).events
    assert kill(1, [ran(0, pid=1)], history).in_flight == []


def test_a_run_waits_if_it_has_a_timer_and_no_open_activity() -> None:
    story = Story().scheduled(0).completed(0).waiting()
    assert kill(1, [], story.events).waiting == [ID]
    assert kill(1, [], story.answered().events).waiting == []


def test_a_run_with_an_open_activity_does_not_wait() -> None:
    assert kill(1, [], Story().waiting().scheduled(0).events).waiting == []


def test_a_run_that_is_over_is_not_open() -> None:
    assert kill(1, [], Story().scheduled(0).completed(0).ended().events).open_runs == []


def test_a_retryable_failure_leaves_the_activity_open_at_its_next_attempt() -> None:
    states = activity_states(Story().scheduled(0).failed(0, retried=True).events)
    assert (states["activity:0"].attempt, states["activity:0"].settled) == (2, False)


def test_a_final_failure_settles_the_activity_without_completing_it() -> None:
    states = activity_states(Story().scheduled(0).failed(0, retried=False).events)
    assert (states["activity:0"].settled, states["activity:0"].completed) == (True, False)
