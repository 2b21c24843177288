"""The golden rule finds what it is made to find; of the engine itself `test_golden_rule` says that
it keeps the rule in the same tales.
"""

from __future__ import annotations

import pytest

from aion_runtime.testing import CrashDifference
from tests.golden.exploration import explored
from tests.golden.mutants import MUTANTS, Mutant
from tests.golden.workflows import tale_of


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_mutant_breaks_the_golden_rule(mutant: Mutant) -> None:
    with mutant(), pytest.raises(CrashDifference):
        explored(tale_of(MUTANTS[mutant]))
