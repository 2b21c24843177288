"""Full garbage collections: put off while a long history is in memory. See ADR 16."""

from __future__ import annotations

import gc

from aion_runtime.clock import WorkSlice

__all__ = ["FullCollections"]

NEVER = 2**31 - 1
"""As a threshold: so many collections of what is young do not come before a full one."""

LONGEST_S = 15.0
"""Seconds after which full collections go on, although long histories are still being loaded."""


class FullCollections:
    """Those of this process, which look at every object there is, all in one go.

    What is young is collected as always. Who has switched the collector off, or sets other
    thresholds meanwhile, keeps what he has set.
    """

    def __init__(self) -> None:
        self._loads = 0
        self._threshold: int | None = None
        self._slice = WorkSlice(LONGEST_S)

    def put_off(self) -> None:
        """A long load is under way: none until `allow` has been called as often as this."""
        self._loads += 1
        first, second, third = gc.get_threshold()
        # Put off by another engine already, they are also allowed again by that one.
        if self._loads == 1 and third != NEVER:
            self._threshold = third
            self._slice = WorkSlice(LONGEST_S)
            gc.set_threshold(first, second, NEVER)

    def look(self) -> None:
        """Allow them when they have been put off for too long; for whoever loads, now and then."""
        if self._threshold is not None and self._slice.is_used_up:
            self._restore()

    def allow(self) -> None:
        """A long load has ended, and what it took is no longer in memory."""
        self._loads -= 1
        if self._loads == 0:
            self._restore()

    def _restore(self) -> None:
        threshold, self._threshold = self._threshold, None
        first, second, third = gc.get_threshold()
        if threshold is not None and third == NEVER:
            gc.set_threshold(first, second, threshold)
