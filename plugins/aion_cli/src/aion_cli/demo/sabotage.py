"""Sabotage: take a recorded outcome away, so that the check has something to find.

Through the contract of stores only: what is left is a sound store of which one history ends too
early, just as if its last appends had been lost.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import attrs

import aion_runtime as aion
from aion_cli.demo.evidence import Histories
from aion_cli.demo.place import remove_companions, store_url
from aion_core import events as e
from aion_core.contracts import Append
from aion_core.ids import WorkflowId

__all__ = ["Cut", "choose_cut", "rewrite"]


@attrs.frozen
class Cut:
    """Where a history is cut: it keeps ``keep`` events, and loses the outcome after them."""

    workflow_id: str
    activity: str
    activity_id: str
    keep: int


def choose_cut(histories: Histories, rng: random.Random) -> Cut | None:
    """One of the completed charges, or None while there is none.

    Any completed activity would run again; that somebody pays twice is plainest.
    """
    cuts = [
        Cut(workflow_id, "charge", event.activity_id, event.seq - 1)
        for workflow_id, history in sorted(histories.items())
        for event in history
        if isinstance(event, e.ActivityCompleted) and event.activity_id in _charges(history)
    ]
    return rng.choice(cuts) if cuts else None


def _charges(history: Sequence[e.HistoryEvent]) -> set[str]:
    return {
        event.activity_id
        for event in history
        if isinstance(event, e.ActivityScheduled) and event.activity_type == "charge"
    }


async def rewrite(database: Path, histories: Histories, cut: Cut) -> None:
    """Put a store in the place of the database that has all histories, one of them cut."""
    fresh = database.with_name("sabotage.db")
    async with aion.open_store(store_url(fresh)) as store, store.writer() as writer:
        appends = [
            Append(
                WorkflowId(workflow_id),
                history[: cut.keep] if workflow_id == cut.workflow_id else history,
                expected_seq=0,
            )
            for workflow_id, history in histories.items()
        ]
        for refusal in await writer.append_many(appends):
            if refusal is not None:
                raise refusal
    remove_companions(database)
    fresh.replace(database)
    remove_companions(fresh)
    fresh.with_name(fresh.name + ".lock").unlink(missing_ok=True)
