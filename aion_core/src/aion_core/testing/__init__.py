"""For authors of stores: the conformance kit, and histories to write. Needs the extra ``testing``.

Nothing else in the core imports this package, and only here trio and pytest may be imported.
"""

from __future__ import annotations

import pytest

__all__: list[str] = []

# Before they are imported, or a case that fails would only say so.
pytest.register_assert_rewrite(
    "aion_core.testing.histories", "aion_core.testing.model", "aion_core.testing.store_suite"
)
