"""Messages in hand: taken from the store, and not consumed there yet.

Each is handed over once, however often it is read; and those to a workflow that does not exist yet
wait for its start.
"""

from __future__ import annotations

from aion_core.ids import WorkflowId
from aion_runtime.entries import Mail

__all__ = ["InHand"]


class InHand:
    """The messages in hand, by id."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._kept: set[str] = set()
        self._undue: dict[WorkflowId, list[Mail]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def take(self, message_id: str) -> bool:
        """Take a message: False when it is in hand already."""
        if message_id in self._ids:
            return False
        self._ids.add(message_id)
        return True

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._ids

    def settle(self, message_id: str) -> None:
        """It is consumed, or may be taken again."""
        self._ids.discard(message_id)

    def keep(self, message_id: str) -> None:
        """It is about to be written by this engine, for a run that cannot take it now."""
        self._kept.add(message_id)

    def was_kept(self, message_id: str) -> bool:
        """Is it one of those? Asked by who reads it from the store, which is done once."""
        if message_id not in self._kept:
            return False
        self._kept.remove(message_id)
        return True

    def postpone(self, workflow_id: WorkflowId, mail: Mail) -> None:
        """It waits until its workflow starts."""
        self._undue.setdefault(workflow_id, []).append(mail)

    def take_postponed(self, workflow_id: WorkflowId) -> list[Mail]:
        """What has waited for a workflow to start, in the order in which it came."""
        return self._undue.pop(workflow_id, [])
