"""Whatever is done to a store, it says what the model says."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aion_core.testing.histories import Opener
from aion_core.testing.store_suite.base import SuiteBase
from aion_core.testing.store_suite.side_by_side import STEPS, SideBySide, Step, emptied

__all__ = ["StatefulCases", "drive_side_by_side", "lives"]

EXAMPLES = 50

lives = st.lists(
    st.lists(
        st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(0, 9)),
        min_size=12,
        max_size=60,
    ),
    min_size=1,
    max_size=2,
)
"""What happens to a store; after each part of it the store and its model are asked everything."""


def drive_side_by_side(opener: Opener, life: Sequence[Sequence[Step]]) -> None:
    """Empty a store, and have it and a model of it live the same life.

    Raises:
        AssertionError: they say different things.
    """

    async def drive() -> None:
        async with opener() as store, store.writer() as writer:
            await emptied(store, writer)
            pair = SideBySide(store, writer, f"limit-{uuid.uuid4()}")
            for part in life:
                await pair.take(part)
                await pair.compare()

    trio.run(drive)


class StatefulCases(SuiteBase):
    """A store and its model, side by side."""

    @given(life=lives)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        # Not to explain: that runs a failing example many times more.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            # One function is the case of many classes.
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    def test_a_store_says_what_its_model_says(
        self, opener: Opener, life: Sequence[Sequence[Step]]
    ) -> None:
        drive_side_by_side(opener, life)
