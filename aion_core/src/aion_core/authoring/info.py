"""What a workflow can know of its own run, and what it can tell those who look for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from aion_core.commands import UpdateSearchAttributes
from aion_core.events import ParentRef
from aion_core.ids import RunId, WorkflowId, position
from aion_core.machine.tasks import current_task
from aion_core.values import AttributeValue, checked_attributes, merged_attributes

__all__ = ["WorkflowInfo", "is_replaying", "set_attributes", "workflow_info"]

SUGGESTED_LENGTH = 10_000
"""Events of a run: with more it takes long to replay."""


@attrs.frozen(kw_only=True)
class WorkflowInfo:
    """A run as its code sees it, at the moment of asking.

    Attributes:
        started_at: when this run was begun.
        parent: whose child it is; None when it was started from outside.
        continued_from: the run that it goes on from; None for the first.
        attributes: what the workflow is searched by.
        memo: the note that it was started with, as JSON has it.
        history_length: events of this run, up to what the code reacts to now.
        continue_as_new_suggested: the history is so long that it is time to continue as new.
        all_handlers_finished: no handler of an update is at work.
    """

    workflow_id: WorkflowId
    run_id: RunId
    workflow_type: str
    started_at: datetime
    parent: ParentRef | None
    continued_from: RunId | None
    attributes: Mapping[str, AttributeValue]
    memo: Any
    history_length: int
    all_handlers_finished: bool

    @property
    def continue_as_new_suggested(self) -> bool:
        """Is it time to continue as new?"""
        return self.history_length >= SUGGESTED_LENGTH


def workflow_info() -> WorkflowInfo:
    """The run that this code belongs to.

    Raises:
        PayloadError: its memo cannot be read.
    """
    environment = current_task().environment
    started = environment.started
    memo = started.memo
    return WorkflowInfo(
        workflow_id=started.workflow_id,
        run_id=started.run_id,
        workflow_type=started.workflow_type,
        started_at=started.recorded_at,
        parent=started.parent,
        continued_from=started.continued_from,
        attributes=merged_attributes({}, environment.attributes),
        memo=None if memo is None else environment.converter.decode(memo, Any),
        history_length=environment.seq - started.seq + 1,
        all_handlers_finished=not environment.updates,
    )


def is_replaying() -> bool:
    """Whether what the code does now has been done before. Decide nothing by it."""
    return current_task().environment.is_replaying


def set_attributes(attributes: Mapping[str, object] | None = None, /, **named: object) -> None:
    """Set what the workflow is searched by: ``set_attributes(stage="paid", late=None)``.

    What is not named stays as it is; None takes an attribute away.

    Args:
        attributes: for names that are no keywords.

    Raises:
        TypeError: a value is no text, number, bool, instant or list of texts.
        ValueError: a name or a value cannot be stored.
    """
    task = current_task()
    if not isinstance(attributes, Mapping | None):
        raise TypeError(
            f"set_attributes takes a mapping, not {attributes!r}; "
            "write set_attributes(stage='paid')"
        )
    environment = task.environment
    changed = checked_attributes({**(attributes or {}), **named})
    environment.check_may_change("a change of attributes")
    place = position("attributes", task.path, task.next_ordinal("attributes"))
    environment.issue(UpdateSearchAttributes(place, changed), task)
    known = merged_attributes({}, environment.attributes)
    environment.attributes = merged_attributes(known, changed)
