"""Fixtures: ``pytest_plugins = ["aion_runtime.testing.pytest"]`` in the top ``conftest.py``.

Each can be overridden by one of the same name: `aion_store` to test on another store, say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from os import PathLike
from typing import Any, TypeAlias

import pytest

from aion_core.contracts import EventStore
from aion_runtime.testing.engines import TestEngine, test_engine
from aion_runtime.testing.virtual_clock import VirtualClock

__all__ = ["AionEngine", "aion_engine", "aion_store", "virtual_clock"]

AionEngine: TypeAlias = Callable[..., AbstractAsyncContextManager[TestEngine]]
"""What `aion_engine` gives: takes workflows, and by name the options of `test_engine`."""


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """The time of `aion_engine`."""
    return VirtualClock()


@pytest.fixture
def aion_store() -> str | PathLike[str] | EventStore:
    """Where `aion_engine` keeps its histories: in memory, new for each test."""
    return "memory:"


@pytest.fixture
def aion_engine(
    aion_store: str | PathLike[str] | EventStore, virtual_clock: VirtualClock
) -> AionEngine:
    """Opens test engines over `aion_store`, each by an ``async with``."""

    def opened(*workflows: Any, **options: Any) -> AbstractAsyncContextManager[TestEngine]:
        return test_engine(aion_store, workflows=workflows, **{"clock": virtual_clock, **options})

    return opened
