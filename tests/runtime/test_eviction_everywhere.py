"""What is so of workflows and activities is so when every run is evicted whenever it rests."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import aion_runtime as aion
from tests.runtime.conftest import Bench
from tests.runtime.test_activities import *  # noqa: F403  # the tests, with the fixture below
from tests.runtime.test_workflows import *  # noqa: F403


class EvictingBench(Bench):
    """Its engines have room for no run."""

    def engine(self, *workflows: Any, **options: Any) -> AbstractAsyncContextManager[aion.Engine]:
        return super().engine(*workflows, **{"resident_bytes": 0, **options})


@pytest.fixture
def bench() -> Bench:
    return EvictingBench()
