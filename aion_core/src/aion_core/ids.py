"""Identifiers: which texts are ids, and how structural positions are written.

Only spelling and validation belong here. Nothing in this module draws a random number or reads a
clock: fresh ids are made by the shell and handed in.
"""

from __future__ import annotations

import json
import uuid
from typing import Literal, NewType, overload

from aion_core.errors import InvalidIdError

__all__ = [
    "ROOT_PATH",
    "START_TIMER",
    "ActivityId",
    "ChildKey",
    "PackageVersion",
    "PositionKind",
    "RunId",
    "TaskPath",
    "TimerId",
    "WorkflowId",
    "child_path",
    "child_workflow_id",
    "is_name",
    "keyed_position",
    "named_timer",
    "position",
    "validated_workflow_id",
]

WorkflowId = NewType("WorkflowId", str)
"""Text chosen by the user (their idempotency key), or a UUIDv7 made by the engine."""

RunId = NewType("RunId", str)
"""UUID text of one execution of a workflow."""

ActivityId = NewType("ActivityId", str)
"""Structural position of an activity call, unique in its run: ``activity:1/0``."""

ChildKey = NewType("ChildKey", str)
"""Structural position of the start of a child workflow, unique in its run: ``child:0``."""

TimerId = NewType("TimerId", str)
"""Structural position of an anonymous timer, ``timer:0``, or ``timer:named:<name>``."""

PackageVersion = NewType("PackageVersion", str)
"""Content hash of a workflow's code, or ``unversioned``."""

TaskPath = NewType("TaskPath", str)
"""Where a workflow task stands in the tree of tasks: the root is empty, its second child ``1``."""

PositionKind = Literal["activity", "timer", "child", "signal", "marker", "attributes"]
"""What is counted. Each kind has its own counter in each task."""

ROOT_PATH = TaskPath("")

START_TIMER = TimerId("timer:named:aion.start")
"""The timer of a start that waits: the code of the run begins when it fires."""

MAX_WORKFLOW_ID_LENGTH = 255


def validated_workflow_id(text: str) -> WorkflowId:
    """Check a workflow id given by a user.

    Raises:
        InvalidIdError: the text is not 1 to 255 printable characters without surrounding space.
    """
    if not isinstance(text, str):
        raise InvalidIdError(f"a workflow id is text, not {type(text).__name__}: {text!r}")
    if not 1 <= len(text) <= MAX_WORKFLOW_ID_LENGTH:
        raise InvalidIdError(
            f"workflow id {text[:40]!r} has {len(text)} characters; "
            f"it must have 1 to {MAX_WORKFLOW_ID_LENGTH}"
        )
    if text != text.strip():
        raise InvalidIdError(f"workflow id {text!r} begins or ends with white space; strip it")
    if not text.isprintable():
        raise InvalidIdError(
            f"workflow id {text!r} holds characters that cannot be printed; leave them out"
        )
    return WorkflowId(text)


def child_path(parent: TaskPath, ordinal: int) -> TaskPath:
    """Path of the task that ``parent`` starts with its ``ordinal``-th ``start_soon``."""
    return TaskPath(f"{parent}/{ordinal}" if parent else str(ordinal))


@overload
def position(kind: Literal["activity"], task: TaskPath, ordinal: int) -> ActivityId: ...
@overload
def position(kind: PositionKind, task: TaskPath, ordinal: int) -> str: ...
def position(kind: PositionKind, task: TaskPath, ordinal: int) -> str:
    """Structural id of the ``ordinal``-th call of its kind in a task: ``activity:1/0``."""
    return f"{kind}:{task}/{ordinal}" if task else f"{kind}:{ordinal}"


def is_name(value: object) -> bool:
    """Is it non-empty printable text, whatever it was said to be?"""
    return isinstance(value, str) and bool(value) and value.isprintable()


@overload
def keyed_position(kind: Literal["activity"], key: str) -> ActivityId: ...
@overload
def keyed_position(kind: PositionKind, key: str) -> str: ...
def keyed_position(kind: PositionKind, key: str) -> str:
    """Id of a call that its author named: ``activity:key:<key>``.

    Raises:
        InvalidIdError: the key is empty or holds characters that cannot be printed.
    """
    if not is_name(key):
        raise InvalidIdError(f"key {key!r} must be non-empty printable text")
    return f"{kind}:key:{key}"


def named_timer(name: str) -> TimerId:
    """Id of a timer that its author named: ``timer:named:<name>``.

    Raises:
        InvalidIdError: the name is empty, holds characters that cannot be printed, or begins with
            ``aion.``, as the engine's own do.
    """
    if not is_name(name):
        raise InvalidIdError(f"timer name {name!r} must be non-empty printable text")
    if name.startswith(_OURS):
        raise InvalidIdError(
            f"timer name {name!r} begins with {_OURS!r}, which is the engine's own; "
            "choose another name"
        )
    return TimerId(f"timer:named:{name}")


def child_workflow_id(parent: WorkflowId, run_id: RunId, child_key: ChildKey) -> WorkflowId:
    """The id of a child whose author gave it none: the same whenever the run is replayed.

    A version 5 UUID: RFC 9562, section 5.5.
    """
    name = json.dumps([parent, run_id, child_key])
    return WorkflowId(str(uuid.uuid5(_CHILDREN, name)))


_OURS = "aion."
_CHILDREN = uuid.UUID("5a1f3f0e-8a52-5d0b-9a55-0d1c7f8f6a31")
