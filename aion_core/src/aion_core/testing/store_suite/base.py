"""What the cases of the suite share: fixtures, and what a store can simulate of its misfortunes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar, TypeVar

import pytest

from aion_core.contracts import EventStore, StoreCapabilities, StoreWriter
from aion_core.testing.histories import Opener

__all__ = ["SuiteBase", "needs"]

Case = TypeVar("Case", bound=Callable[..., Any])

_NEEDS = "_aion_needs"


def needs(*what: str) -> Callable[[Case], Case]:
    """A case for stores that have these capabilities, or offer these hooks.

    For others it is not collected: nothing is skipped that could ever run.
    """

    def mark(case: Case) -> Case:
        setattr(case, _NEEDS, what)
        return case

    return mark


class SuiteBase:
    """Fixtures of all cases. A store's class gives `capabilities` and `opener`, perhaps hooks.

    The hooks are fixtures that a class may define. None, as here, says that the store cannot
    simulate it:

    * ``crash`` gives a function that returns an `Opener` of what a process would leave that is
      killed now;
    * ``fill_disk`` gives a function that returns a context manager in which the store finds no
      room to write;
    * ``corrupt_event`` gives a function ``(workflow_id, seq)`` that damages an event where it is
      stored;
    * ``corrupt_message`` gives a function ``(message_id)`` that damages a message so.
    """

    capabilities: ClassVar[StoreCapabilities]
    crash: ClassVar[Any] = None
    fill_disk: ClassVar[Any] = None
    corrupt_event: ClassVar[Any] = None
    corrupt_message: ClassVar[Any] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not hasattr(cls, "capabilities"):
            return
        for base in cls.__mro__[1:]:
            for name, case in list(vars(base).items()):
                wanted = getattr(case, _NEEDS, ())
                if wanted and name not in vars(cls):
                    # What is no function is not collected.
                    setattr(cls, name, case if all(map(cls._has, wanted)) else None)

    @classmethod
    def _has(cls, what: str) -> bool:
        return bool(getattr(cls.capabilities, what, None) or getattr(cls, what, None) is not None)

    @pytest.fixture
    def opener(self) -> Opener:
        """Opens one and the same store, as often as it is called."""
        raise NotImplementedError("a class of the suite gives the fixture `opener`")

    @pytest.fixture
    async def store(self, opener: Opener) -> AsyncIterator[EventStore]:
        """The store, open."""
        async with opener() as opened:
            yield opened

    @pytest.fixture
    async def writer(self, store: EventStore) -> AsyncIterator[StoreWriter]:
        """The writer of the store."""
        async with store.writer() as opened:
            yield opened
