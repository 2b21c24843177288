"""Runs end with their test: code that is left to the garbage collector runs its clean-up there."""

from collections.abc import Iterator

import pytest

from tests.machine.driver import close_all


@pytest.fixture(autouse=True)
def _runs_are_closed() -> Iterator[None]:
    yield
    close_all()
