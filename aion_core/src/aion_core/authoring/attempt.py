"""Inside an attempt of an activity: what its function can ask about the call, and say meanwhile."""

from __future__ import annotations

import contextvars
import hashlib
import json
from typing import Any, Protocol, TypeVar

import attrs

from aion_core.authoring.resources import Resources
from aion_core.errors import AionError, Cancelled
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.payloads import Payload, PayloadConverter

__all__ = [
    "ActivityInfo",
    "RunningAttempt",
    "activity_info",
    "attempt_in",
    "check_cancelled",
    "entered_activity",
    "heartbeat",
    "last_heartbeat",
    "resource",
]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class ActivityInfo:
    """What an activity can know about its call.

    Attributes:
        attempt: from 1; a crash does not count as one.
    """

    workflow_id: WorkflowId
    run_id: RunId
    activity_id: ActivityId
    activity_type: str
    attempt: int

    @property
    def idempotency_key(self) -> str:
        """The same for all attempts of this call, and for no other call: for APIs that want one."""
        text = json.dumps([self.workflow_id, self.run_id, self.activity_id])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class RunningAttempt(Protocol):
    """What is needed of the attempt that an executor was given."""

    @property
    def info(self) -> ActivityInfo:
        """Which call it is of."""

    @property
    def converter(self) -> PayloadConverter:
        """How values are stored."""

    @property
    def last_heartbeat(self) -> Payload | None:
        """Details of the last heartbeat of any attempt before this one."""

    @property
    def resources(self) -> Resources:
        """What the engine was given for its activities."""

    @property
    def is_in_thread(self) -> bool:
        """It is a plain function: nothing stops it that it does not ask for."""

    @property
    def is_to_stop(self) -> bool:
        """Nobody waits for more of it than its clean-up. From any thread."""

    def heartbeat(self, details: Payload) -> None:
        """Keep details for the attempt that may follow. From any thread."""


_ATTEMPT: contextvars.ContextVar[RunningAttempt] = contextvars.ContextVar("aion_activity")


def entered_activity(attempt: RunningAttempt) -> None:
    """Say, in the context of an attempt, which one it is. For executors."""
    _ATTEMPT.set(attempt)


def attempt_in(context: contextvars.Context) -> RunningAttempt | None:
    """The attempt that the context of a task is of. For who watches tasks."""
    return context.get(_ATTEMPT)


def activity_info() -> ActivityInfo:
    """Which call this is, asked from inside an activity.

    Raises:
        AionError: no engine runs this function as an activity.
    """
    return _attempt("activity_info").info


def heartbeat(details: object = None) -> None:
    """Say, from inside an activity, that it is still at work, and how far it is.

    Heartbeats are gathered and written now and then; after a crash the details that
    `last_heartbeat` gives may be some seconds old. Callable from the activity's thread, too. An
    activity with a ``heartbeat_timeout`` has to call this more often than that.

    Args:
        details: kept for the next attempt, as JSON has it: texts, numbers, lists, dicts with text
            keys.

    Raises:
        Cancelled: a plain function is to stop, as for `check_cancelled`; the details are kept.
        AionError: no engine runs this function as an activity.
        PayloadError: JSON has no form for the details.
    """
    attempt = _attempt("heartbeat")
    attempt.heartbeat(attempt.converter.encode(details, Any))
    if attempt.is_in_thread and attempt.is_to_stop:
        raise Cancelled


def check_cancelled() -> None:
    """Leave the activity here if it is to stop: its workflow has cancelled it, its time is over, or
    the engine ends.

    For plain functions, which nothing else stops; call it between two pieces of work. Clean up in
    ``finally`` and let the exception pass. In an async function an ``await`` does the same.

    Raises:
        Cancelled: it is to stop.
        AionError: no engine runs this function as an activity.
    """
    if _attempt("check_cancelled").is_to_stop:
        raise Cancelled


def resource(wanted: type[T]) -> T:
    """What the engine was given for its activities: ``open_engine(resources=[pool])``.

    Args:
        wanted: its class, or a base class that only one of the resources has.

    Raises:
        AionError: there is none, or more than one; or no engine runs this function as an activity.
    """
    return _attempt("resource").resources.find(wanted)


def last_heartbeat() -> Any:
    """The details that the last heartbeat of a former attempt gave; None when there was none.

    Raises:
        AionError: no engine runs this function as an activity.
    """
    attempt = _attempt("last_heartbeat")
    payload = attempt.last_heartbeat
    return None if payload is None else attempt.converter.decode(payload, Any)


def _attempt(what: str) -> RunningAttempt:
    attempt = _ATTEMPT.get(None)
    if attempt is None:
        raise AionError(f"{what}() works only inside an activity that an engine runs")
    return attempt
