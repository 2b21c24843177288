"""What the kit wraps is handed on whole, also what will be added."""

from __future__ import annotations

import inspect

from aion_core.contracts import EventStore, StoreWriter
from aion_runtime.opening import open_engine
from aion_runtime.testing.engines import EngineOptions
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter

READ_BY_PAGES = {"all_messages", "all_activities"}
"""Made of other calls, page by page."""


def calls_of(cls: type) -> set[str]:
    return {name for name, each in vars(cls).items() if callable(each) and name[0] != "_"}


def test_a_wrapped_store_hands_on_every_call() -> None:
    assert calls_of(EventStore) - calls_of(WrappedStore) == READ_BY_PAGES


def test_a_wrapped_writer_hands_on_every_call() -> None:
    assert calls_of(StoreWriter) <= calls_of(WrappedWriter)


def test_a_test_engine_takes_all_options_of_an_engine() -> None:
    options = set(inspect.signature(open_engine).parameters)
    assert options == EngineOptions.__annotations__.keys() | {"store", "workflows", "clock"}
