"""What history holds of the activation under way: the intents recorded for the arrival applied."""

from __future__ import annotations

from collections.abc import Sequence

from aion_core import events as e

__all__ = ["RecordedIntents"]


class RecordedIntents:
    """Looked up by the position of the call that left them; none while a run is live.

    Attributes:
        is_open_ended: nothing is recorded after these, so the code may go further than it did.
    """

    __slots__ = ("_by_position", "_intents", "is_open_ended")

    def __init__(self) -> None:
        self.expect_nothing()

    def expect(self, intents: Sequence[e.HistoryEvent], *, is_last: bool) -> None:
        """Before an activation that is history."""
        self._intents = intents
        self._by_position: dict[str, e.HistoryEvent] | None = None
        self.is_open_ended = is_last

    def expect_nothing(self) -> None:
        """From now on all is new."""
        self.expect((), is_last=True)

    def __len__(self) -> int:
        return len(self._intents)

    def start_of(self, activity_id: str) -> e.ActivityScheduled | None:
        """The start of an activity."""
        # In most activations it is the only one: to look there costs less than to look it up.
        found = self._intents[0] if len(self._intents) == 1 else self._at(activity_id)
        if type(found) is e.ActivityScheduled and found.activity_id == activity_id:
            return found
        return None

    def marker_at(self, position: str) -> e.MarkerRecorded | None:
        """A marker."""
        found = self._at(position)
        return found if isinstance(found, e.MarkerRecorded) else None

    def _at(self, position: str) -> e.HistoryEvent | None:
        if not self._intents:
            return None
        if self._by_position is None:
            # Made when it is first asked for: few activations have need of it.
            self._by_position = {}
            for event in self._intents:
                place = _place_of(event)
                if place is not None:
                    self._by_position[place] = event
        return self._by_position.get(position)


def _place_of(event: e.HistoryEvent) -> str | None:
    if type(event) is e.ActivityScheduled:
        return event.activity_id
    return event.position if type(event) is e.MarkerRecorded else None
