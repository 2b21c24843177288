"""Runs end with their test: code that is left to the garbage collector runs its clean-up there."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.machine.driver import close_all

# A law does not depend on how busy the machine is.
settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def _runs_are_closed() -> Iterator[None]:
    yield
    close_all()
