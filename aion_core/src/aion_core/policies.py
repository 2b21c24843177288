"""Policies recorded with an activity: retries and time limits. Arithmetic only, no clock."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Literal, TypeAlias, get_args

import attrs

from aion_core.failures import Failure

__all__ = [
    "ActivityOptions",
    "Limit",
    "OnCancel",
    "OnExhausted",
    "Rate",
    "RetryPolicy",
    "seconds",
]

OnCancel: TypeAlias = Literal["wait", "abandon"]
"""What the caller of an activity does when it is cancelled."""

OnExhausted: TypeAlias = Literal["fail", "pause"]
"""What becomes of an activity that failed for good: its caller is told, or an operator is asked."""

MAX_SECONDS = 3_000 * 365.25 * 24 * 3600
"""Longest duration: three thousand years, so that every instant stays a valid ``datetime``."""


def seconds(duration: float | timedelta) -> float:
    """A duration as seconds.

    Raises:
        ValueError: it is negative, NaN, or longer than three thousand years.
        TypeError: it is neither a number nor a ``timedelta``.
    """
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif type(duration) in (int, float):
        # An int may be too long for a float.
        value = float(min(duration, 2 * MAX_SECONDS))
    else:
        raise TypeError(f"a duration is seconds or a timedelta, not {duration!r}")
    if math.isnan(value) or value < 0 or value > MAX_SECONDS:
        raise ValueError(
            f"a duration is between 0 seconds and three thousand years, not {duration!r}"
        )
    return value


def _positive(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if seconds(value) == 0:
        raise ValueError(f"{attribute.name} must be more than 0 seconds")


def _at_least_one(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None and type(value) is not int:
        raise TypeError(f"{attribute.name} is a whole number, not {value!r}")
    if value is not None and value < 1:
        raise ValueError(f"{attribute.name} must be at least 1, not {value}; None is without end")


def _whole(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if type(value) is not int:
        raise TypeError(f"{attribute.name} is a whole number, not {value!r}")


def _factor(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 1 <= value < math.inf:
        raise ValueError(f"{attribute.name} must be at least 1 and finite, not {value}")


def _names(value: Iterable[str]) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"non_retryable takes names of exception types, not {names!r}")
    return names


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed activity is tried again.

    Attributes:
        max_attempts: how often it is tried in all; None for without end.
        initial_interval: seconds before the second attempt.
        backoff: factor from one interval to the next.
        max_interval: seconds; no interval is longer.
        non_retryable: type names of exceptions that end the attempts at once.
        on_exhausted: when there is no further attempt, ``fail``, or ``pause`` the call until an
            operator has it tried again or supplies its outcome. The run goes on beside it.
    """

    max_attempts: int | None = attrs.field(default=5, validator=_at_least_one)
    initial_interval: float = attrs.field(default=1.0, converter=seconds)
    backoff: float = attrs.field(default=2.0, converter=float, validator=_factor)
    max_interval: float = attrs.field(default=100.0, converter=seconds)
    non_retryable: tuple[str, ...] = attrs.field(default=(), converter=_names)
    on_exhausted: OnExhausted = attrs.field(
        default="fail", validator=attrs.validators.in_(get_args(OnExhausted))
    )

    def delay_after(self, attempt: int, failure: Failure, *, non_retryable: bool) -> float | None:
        """Seconds until the attempt after ``attempt``; None when there is none.

        ``non_retryable`` says that the exception itself forbade it.
        """
        if non_retryable or failure.type in self.non_retryable:
            return None
        if self.max_attempts is not None and attempt >= self.max_attempts:
            return None
        try:
            growth = self.backoff ** (attempt - 1)
        except OverflowError:
            growth = sys.float_info.max
        return min(self.initial_interval * growth, self.max_interval)


@attrs.frozen
class Rate:
    """So many starts in any window of time.

    Attributes:
        count: starts.
        window: seconds.
    """

    count: int = attrs.field(validator=_at_least_one)
    window: float = attrs.field(converter=seconds, validator=_positive)


def _rate(value: Rate | tuple[int, float] | None) -> Rate | None:
    return value if value is None or isinstance(value, Rate) else Rate(*value)


@attrs.frozen
class Limit:
    """What many activities share that must not be used too much, by a name.

    Attributes:
        name: which one; everything that names it counts together.
        concurrency: attempts at a time; None for any number.
        rate: attempts begun in a window of time, ``(100, 60)``; None for any number.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    concurrency: int | None = attrs.field(default=None, kw_only=True, validator=_at_least_one)
    rate: Rate | None = attrs.field(default=None, kw_only=True, converter=_rate)


@attrs.frozen(kw_only=True, cache_hash=True)
class ActivityOptions:
    """How the attempts of one activity call are made; recorded, so a change meets new calls only.

    Attributes:
        retry: when it is tried again.
        start_to_close: seconds one attempt may take; None for no limit.
        key: the author's name for this call, unique in the run.
        schedule_to_close: seconds for all attempts, waiting included; None for no limit.
        heartbeat_timeout: seconds between two heartbeats of an attempt; None for no limit.
        limit: what its attempts share with others.
        on_cancel: ``wait`` for the outcome of an activity that is to stop, or ``abandon`` it.
        cancel_grace: seconds for which the outcome is waited for; None for as long as it takes.
        priority: of two attempts that wait for a limit the higher one begins first.
    """

    retry: RetryPolicy = RetryPolicy()
    start_to_close: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(seconds),
        validator=attrs.validators.optional(_positive),
    )
    key: str | None = None
    schedule_to_close: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(seconds),
        validator=attrs.validators.optional(_positive),
    )
    heartbeat_timeout: float | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(seconds),
        validator=attrs.validators.optional(_positive),
    )
    limit: Limit | None = None
    on_cancel: OnCancel = attrs.field(
        default="wait", validator=attrs.validators.in_(get_args(OnCancel))
    )
    cancel_grace: float | None = attrs.field(
        default=None, converter=attrs.converters.optional(seconds)
    )
    priority: int = attrs.field(default=0, validator=_whole)
