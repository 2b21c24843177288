"""Appends made ready to be written. Whatever can be wrong with one alone is found out here,
before a transaction has begun and without looking at the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aion_core.contracts import Append
from aion_core.history import Change, changes
from aion_core.ids import WorkflowId
from aion_core.storing import EventRow, event_rows

__all__ = ["EncodedAppend", "encode"]


class EncodedAppend(NamedTuple):
    """An append as rows and changes."""

    workflow_id: WorkflowId
    expected_seq: int
    events: Sequence[EventRow]
    changes: Sequence[Change]


def encode(append: Append) -> EncodedAppend:
    """Encode an append.

    Raises:
        StoreError: it has no events, or others than the next ones of its workflow, or one of them
            has no stored form.
    """
    rows = event_rows(append)
    found = [change for event in append.events if (change := changes(event)) is not None]
    return EncodedAppend(append.workflow_id, append.expected_seq, rows, found)
