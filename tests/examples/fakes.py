"""Stand-ins for activities, which note how they are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

__all__ = ["HangsOn"]


class HangsOn:
    """Does what a function does; but some of its calls hang until the engine is killed.

    Args:
        fn: what it does otherwise.
        calls: which ones, from 1.

    Attributes:
        calls: arguments of all calls.
        hangs: set when the last one of those hangs.
    """

    def __init__(self, fn: Callable[..., Any], calls: range) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.hangs = trio.Event()
        self._fn = fn
        self._hanging = calls

    async def __call__(self, *args: Any) -> Any:
        self.calls.append(args)
        number = len(self.calls)
        if number in self._hanging:
            if number == self._hanging[-1]:
                self.hangs.set()
            await trio.sleep_forever()
        return self._fn(*args)
