"""Forgetting: answers to clients are kept for a while, and then deleted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from aion_core.contracts import StoreWriter
from aion_core.errors import FencedError, StoreError
from aion_runtime.clock import Clock

__all__ = ["KEPT_FOR", "AnswerRetention"]

logger = logging.getLogger("aion_runtime")

KEPT_FOR = timedelta(days=1)
"""How long a client may be away that waits for an answer."""

INTERVAL_S = 60.0


class AnswerRetention:
    """Deletes old answers."""

    def __init__(
        self, writer: StoreWriter, clock: Clock, on_fenced: Callable[[FencedError], None]
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._on_fenced = on_fenced

    async def run(self) -> None:
        """Delete, for ever."""
        while True:
            # First of all: there is nothing to be deleted that would be missed in a minute.
            await self._clock.nap(INTERVAL_S)
            try:
                await self._writer.forget_answers(self._clock.now() - KEPT_FOR)
            except FencedError as error:
                self._on_fenced(error)
                return
            except StoreError as error:
                logger.warning("old answers are not deleted yet: %s", error)
