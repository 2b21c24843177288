"""For all tests: one that hangs fails, and says where it stands."""

from __future__ import annotations

import functools
import inspect
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from tests.installing import wheels

__all__ = ["wheels"]

PATIENCE_S = 60.0
"""No test takes a quarter of it: one that still waits then waits for ever."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _with_patience(item.obj)


def _with_patience(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        with trio.fail_after(PATIENCE_S):
            await test(*args, **kwargs)

    return bounded


def pytest_configure() -> None:
    # What a shell runs in the background has Ctrl-C ignored, and hands that on to its children. The
    # tests press it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
