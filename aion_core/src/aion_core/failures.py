"""Failures as data: what an exception leaves in history.

Type name, message, notes, chain of causes and the members of a group are facts that replay sees;
the stack is kept for people only.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable
from typing import Any, Literal

import attrs

from aion_core.errors import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    SideEffectError,
)
from aion_core.payloads import JSON, Payload

__all__ = ["Failure", "FailureKind", "failure_from", "silence_failure", "timeout_failure"]

FailureKind = Literal["retryable", "terminal", "timeout", "cancelled", "crashed"]
"""How an activity attempt ended without a result."""

MAX_STACK = 8_000
MAX_TEXT = 8_000
MAX_CAUSES = 20


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _all_storable(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_storable, texts))


@attrs.frozen(kw_only=True)
class Failure:
    """An exception, as far as history keeps it.

    Its texts are made storable: a lone surrogate, as file names have them, must not cost the
    outcome.

    Attributes:
        type: the exception's class name, or the ``type`` of an `ApplicationError`.
        message: ``str()`` of the exception.
        kind: for an activity's failure, how the attempt ended.
        notes: what ``add_note`` attached.
        cause: the exception it was raised from, or while handling which it was raised.
        members: the exceptions of an exception group.
        stack: the formatted traceback, for display.
        details: what an `ApplicationError` said besides, as JSON.
    """

    type: str = attrs.field(converter=_storable)
    message: str = attrs.field(converter=_storable)
    kind: FailureKind | None = None
    notes: tuple[str, ...] = attrs.field(default=(), converter=_all_storable)
    cause: Failure | None = None
    members: tuple[Failure, ...] = ()
    stack: str = attrs.field(default="", converter=_storable)
    details: Payload | None = None

    def plain_details(self) -> Any:
        """The details as JSON has them; None when there are none, or none that can be read."""
        if self.details is None:
            return None
        try:
            return json.loads(self.details.data)
        except ValueError:
            return None


def failure_from(error: BaseException, kind: FailureKind | None = None) -> Failure:
    """Describe an exception."""
    return _describe(error, kind, ())


def timeout_failure(
    seconds: float, limit: str = "start_to_close", cause: Failure | None = None
) -> Failure:
    """What is left by an attempt, or by all of them, that did not end in their time.

    Args:
        limit: the setting that says how long they may take.
        cause: how the last attempt failed.
    """
    message = f"not finished within {seconds:g} s ({limit})"
    return Failure(type="TimeoutError", message=message, kind="timeout", cause=cause)


def silence_failure(activity_type: str, seconds: float, stack: str | None = None) -> Failure:
    """What an attempt leaves that has not been heard of for so long.

    Args:
        stack: where it kept its event loop meanwhile; None when it did not.
    """
    message = f"activity {activity_type!r} sent no heartbeat for {seconds:g} s (heartbeat_timeout)"
    if stack is None:
        return Failure(type="TimeoutError", message=message, kind="timeout")
    note = "it kept its event loop for all of this time; make it a plain function"
    stack = stack[-MAX_STACK:]
    return Failure(type="TimeoutError", message=message, kind="timeout", notes=(note,), stack=stack)


def _describe(
    error: BaseException, kind: FailureKind | None, outer: tuple[BaseException, ...]
) -> Failure:
    """``outer`` are those that it is a part of: chains can be circular."""
    cause = _cause_of(error)
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    notes = getattr(error, "__notes__", ())
    path = (*outer, error)

    def is_new(part: BaseException) -> bool:
        return len(path) <= MAX_CAUSES and not any(part is known for known in path)

    described = cause if isinstance(cause, Failure) else None
    if isinstance(cause, BaseException) and is_new(cause):
        described = _describe(cause, None, path)
    return Failure(
        type=_type_name(error),
        message=_text(error),
        kind=kind,
        notes=tuple(map(_text, notes)) if isinstance(notes, list | tuple) else (),
        cause=described,
        members=tuple(_describe(member, None, path) for member in members if is_new(member)),
        stack="".join(traceback.format_tb(error.__traceback__))[-MAX_STACK:],
        details=_details_of(error),
    )


def _details_of(error: BaseException) -> Payload | None:
    if not isinstance(error, ApplicationError) or error.details is None:
        return None
    try:
        text = json.dumps(error.details, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        # The failure matters more than what was to be said besides.
        text = json.dumps(_text(repr(error.details))).encode()
    return Payload(JSON, text)


def _cause_of(error: BaseException) -> BaseException | Failure | None:
    if error.__cause__ is not None:
        return error.__cause__
    if isinstance(error, ActivityError | ChildWorkflowError | SideEffectError):
        # The exception itself is long gone, with its attempt; this is what it left.
        return error.failure
    return None if error.__suppress_context__ else error.__context__


def _type_name(error: BaseException) -> str:
    if isinstance(error, ApplicationError) and error.type:
        return error.type
    return type(error).__name__


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception as broken:  # a user's __str__ may do anything
        return f"(its __str__ raised {type(broken).__name__})"
    if len(text) > MAX_TEXT:
        return f"{text[:MAX_TEXT]} … (cut: it had {len(text)} characters)"
    return text
