"""Inside an attempt of an activity: what its function can ask about the call, and say meanwhile."""

from __future__ import annotations

import contextvars
import hashlib
import json
from typing import Any, Protocol

import attrs

from aion_core.errors import AionError
from aion_core.ids import ActivityId, RunId, WorkflowId
from aion_core.payloads import Payload, PayloadConverter

__all__ = [
    "ActivityInfo",
    "RunningAttempt",
    "activity_info",
    "entered_activity",
    "heartbeat",
    "last_heartbeat",
]


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

    def heartbeat(self, details: Payload) -> None:
        """Keep details for the attempt that may follow. From any thread."""


_ATTEMPT: contextvars.ContextVar[RunningAttempt] = contextvars.ContextVar("aion_activity")


def entered_activity(attempt: RunningAttempt) -> None:
    """Say, in the context of an attempt, which one it is. For executors."""
    _ATTEMPT.set(attempt)


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
        AionError: no engine runs this function as an activity.
        PayloadError: JSON has no form for the details.
    """
    attempt = _attempt("heartbeat")
    attempt.heartbeat(attempt.converter.encode(details, Any))


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
