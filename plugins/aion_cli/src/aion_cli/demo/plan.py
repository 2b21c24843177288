"""When to kill: seeded, but only where it hurts. Decides, and does nothing itself."""

from __future__ import annotations

import random

import attrs

__all__ = ["KillPlan", "Sighting"]

MIN_LIFE_S = 0.3
"""Longer than any activity takes, so that no attempt is hit in one life after the other."""

MIN_PROGRESS = 4
"""Executions between two kills."""

PATIENCE_S = 1.5
"""How long a kill is put off to find a run that waits."""

EXTRA_KILLS = 3
"""As many more, while no kill has yet found what is to be found."""


@attrs.frozen(kw_only=True)
class Sighting:
    """What the parent sees at a moment.

    Attributes:
        now: seconds of a steady clock.
        executions: lines in the ledger, of all processes.
        fresh: an activity began a few milliseconds ago.
        waiting: a run waited, when last looked at.
        kills: how many there were.
        proved: they have found both an activity in flight and a run that waited.
    """

    now: float
    executions: int
    fresh: bool
    waiting: bool
    kills: int
    proved: bool


class KillPlan:
    """Spreads kills over the work.

    Args:
        expected: how many executions the work takes, about.
    """

    def __init__(self, kills: int, expected: int, rng: random.Random) -> None:
        self._kills = kills
        self._rng = rng
        share = 0.85 * expected / kills
        self._due = [share * (index + rng.uniform(0.3, 0.8)) for index in range(kills)]
        self._born: float | None = None
        self._executions_at_birth = 0
        self._overdue: float | None = None

    def restarted(self) -> None:
        """A new process takes over."""
        self._born = self._overdue = None

    def wants_kill(self, sighting: Sighting) -> bool:
        """Is this the moment?"""
        if self._born is None:
            if not sighting.fresh:
                return False
            self._born, self._executions_at_birth = sighting.now, sighting.executions
        if not self._is_due(sighting):
            return False
        if self._overdue is None:
            self._overdue = sighting.now
        out_of_patience = sighting.now - self._overdue > PATIENCE_S
        return sighting.fresh and (sighting.waiting or out_of_patience)

    def delay(self) -> float:
        """Seconds from the moment to the kill."""
        return self._rng.uniform(0, 0.01)

    def _is_due(self, sighting: Sighting) -> bool:
        assert self._born is not None
        if sighting.now - self._born < MIN_LIFE_S:
            return False
        if sighting.executions - self._executions_at_birth < MIN_PROGRESS:
            return False
        if sighting.kills < self._kills:
            return sighting.executions >= self._due[sighting.kills]
        return not sighting.proved and sighting.kills < self._kills + EXTRA_KILLS
