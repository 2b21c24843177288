"""The conformance kit by itself: which cases a store gets, and that no call is left out."""

from __future__ import annotations

import inspect
from typing import ClassVar

import pytest

from aion_core.contracts import EventStore, StoreCapabilities, StoreWriter
from aion_core.testing.store_suite import StoreSuite
from aion_core.testing.store_suite.writers import READS, WRITES


class Modest(StoreSuite):
    capabilities = StoreCapabilities(persistent=False, multi_process=False)


class Able(Modest):
    capabilities: ClassVar = StoreCapabilities(persistent=True, multi_process=True)

    @pytest.fixture
    def corrupt_event(self) -> None:
        """Stands for a hook."""


def test_a_case_of_what_a_store_cannot_do_is_not_collected() -> None:
    assert not _collected(Modest, "test_a_corrupt_event_is_named")
    assert not _collected(Modest, "test_a_second_writer_through_another_door_is_refused")


def test_a_case_that_needs_nothing_is_collected_by_every_store() -> None:
    assert _collected(Modest, "test_a_second_writer_is_refused_and_told_the_holder")


def test_a_hook_brings_its_cases() -> None:
    assert _collected(Able, "test_a_corrupt_event_is_named")
    assert not _collected(Able, "test_a_full_disk_is_an_error_that_leaves_nothing")


def test_a_capability_brings_its_cases() -> None:
    assert _collected(Able, "test_a_second_writer_through_another_door_is_refused")


def test_every_call_of_a_store_is_tried_for_its_checkpoint() -> None:
    assert set(READS) - {"writer"} == _coroutines(EventStore)


def test_every_call_of_a_writer_is_tried_for_its_checkpoint_and_its_fence() -> None:
    assert set(WRITES) == _coroutines(StoreWriter)


def _collected(suite: type[StoreSuite], case: str) -> bool:
    return callable(getattr(suite, case))


def _coroutines(contract: type[object]) -> set[str]:
    return {
        name
        for name, member in vars(contract).items()
        if inspect.iscoroutinefunction(member) and not name.startswith("_")
    }
