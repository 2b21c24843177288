"""Policies: durations, delays between attempts, their bounds."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core.failures import Failure
from aion_core.policies import MAX_SECONDS, ActivityOptions, RetryPolicy, seconds

FAILURE = Failure(type="Declined", message="")


def delay(policy: RetryPolicy, attempt: int, *, non_retryable: bool = False) -> float | None:
    return policy.delay_after(attempt, FAILURE, non_retryable=non_retryable)


@pytest.mark.parametrize("duration", [1.5, timedelta(seconds=1.5)])
def test_a_duration_is_seconds_or_a_timedelta(duration: float | timedelta) -> None:
    assert seconds(duration) == 1.5


@pytest.mark.parametrize(
    "duration",
    [-1, -0.001, float("nan"), float("inf"), MAX_SECONDS * 1.01, 10**400, timedelta(seconds=-1)],
    ids=str,
)
def test_a_duration_is_neither_negative_nor_endless(duration: float | timedelta) -> None:
    with pytest.raises(ValueError, match="between 0 seconds and"):
        seconds(duration)


@pytest.mark.parametrize("duration", [True, "1", None, 1j])
def test_nothing_else_is_a_duration(duration: object) -> None:
    with pytest.raises(TypeError, match="seconds or a timedelta"):
        seconds(duration)  # type: ignore[arg-type]


def test_intervals_grow_by_the_factor_up_to_the_longest() -> None:
    policy = RetryPolicy(max_attempts=None, initial_interval=1, backoff=3, max_interval=10)
    assert [delay(policy, attempt) for attempt in range(1, 6)] == [1, 3, 9, 10, 10]


def test_the_last_attempt_has_no_successor() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert [delay(policy, attempt) is None for attempt in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]


def test_one_attempt_means_no_retry() -> None:
    assert delay(RetryPolicy(max_attempts=1), 1) is None


def test_an_exception_that_forbids_a_retry_has_none() -> None:
    assert delay(RetryPolicy(), 1, non_retryable=True) is None


def test_an_exception_named_by_the_policy_is_not_retried() -> None:
    assert delay(RetryPolicy(non_retryable=("Declined",)), 1) is None


def test_one_name_alone_is_a_name_and_not_its_letters() -> None:
    assert RetryPolicy(non_retryable="Declined").non_retryable == ("Declined",)


def test_a_class_where_its_name_belongs_is_refused() -> None:
    with pytest.raises(TypeError, match="names of exception types"):
        RetryPolicy(non_retryable=(ValueError,))  # type: ignore[arg-type]


@pytest.mark.parametrize("attempts", [0, -1])
def test_there_is_at_least_one_attempt(attempts: int) -> None:
    with pytest.raises(ValueError, match="max_attempts must be at least 1"):
        RetryPolicy(max_attempts=attempts)


@pytest.mark.parametrize("attempts", [True, 2.0, "3"], ids=repr)
def test_attempts_are_counted_in_whole_numbers(attempts: Any) -> None:
    with pytest.raises(TypeError, match="max_attempts is a whole number"):
        RetryPolicy(max_attempts=attempts)


@pytest.mark.parametrize("backoff", [0.5, float("nan"), float("inf")])
def test_intervals_never_shrink(backoff: float) -> None:
    with pytest.raises(ValueError, match="backoff must be at least 1"):
        RetryPolicy(backoff=backoff)


@given(
    st.integers(1, 10**9),
    st.floats(0, 1e6),
    st.floats(1, 1e300),
    st.floats(0, 1e6),
)
def test_a_delay_never_overflows_its_bounds(
    attempt: int, initial: float, backoff: float, longest: float
) -> None:
    policy = RetryPolicy(
        max_attempts=None, initial_interval=initial, backoff=backoff, max_interval=longest
    )
    found = delay(policy, attempt)
    assert found is not None
    assert 0 <= found <= longest


def test_no_interval_at_first_stays_none_for_ever() -> None:
    policy = RetryPolicy(max_attempts=None, initial_interval=0, backoff=1e100)
    assert delay(policy, 1_000) == 0


def test_an_attempt_needs_some_time() -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        ActivityOptions(start_to_close=0)


def test_a_time_limit_is_kept_in_seconds() -> None:
    assert ActivityOptions(start_to_close=timedelta(minutes=1)).start_to_close == 60
