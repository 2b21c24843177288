"""Steps: what a run decides about what has arrived, to be appended in one go, then acted upon."""

from __future__ import annotations

import enum
from typing import Literal, TypeAlias

import attrs

from aion_core import events as e
from aion_core.errors import AionError
from aion_core.history import Change
from aion_core.machine.outgoing import Outgoing
from aion_core.making import maker

__all__ = ["LATER", "Refusal", "Step", "new_step"]


class Later(enum.Enum):
    """An arrival has to wait: for the run that follows, or until the code begins."""

    LATER = "later"


LATER: Literal[Later.LATER] = Later.LATER

Refusal: TypeAlias = AionError | Literal[Later.LATER] | None
"""What became of an arrival: None when it was taken, or is not needed; `LATER` when it is to be
handed in again once the run has ended or begun; else what its sender is to be told.
"""


@attrs.frozen
class Step:
    """What one step decided.

    Attributes:
        events: to be appended after ``expected_seq``; none when every arrival was dropped.
        refusals: for each arrival.
        outgoing: what the events bring to other runs.
        changes: what `aion_core.history.changes` says of each event, for the store to take.
    """

    events: list[e.HistoryEvent]
    expected_seq: int
    refusals: list[Refusal]
    outgoing: list[Outgoing] = attrs.Factory(list)
    changes: list[Change | None] = attrs.Factory(list)


new_step = maker(Step)
"""A `Step`, for who makes one in every step."""
