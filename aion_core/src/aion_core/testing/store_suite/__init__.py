"""The conformance kit: every promise of the store contract, as a test of its own.

A store's author subclasses `StoreSuite` in a test module, and gives it the store::

    class TestMyStore(StoreSuite):
        capabilities = StoreCapabilities(persistent=True, multi_process=False)

        @pytest.fixture
        def opener(self, tmp_path: Path) -> Opener:
            return lambda: my_store.open(tmp_path / "s")

``opener`` returns a function without arguments; each call of it gives an async context manager
that opens *one and the same* store. What a store can simulate besides is told by hooks, see
`SuiteBase`. Cases of what a store cannot do are not collected.
"""

from __future__ import annotations

from aion_core.testing.histories import Opener
from aion_core.testing.store_suite.appending import AppendingCases
from aion_core.testing.store_suite.base import SuiteBase, needs
from aion_core.testing.store_suite.cancellation import CancellationCases
from aion_core.testing.store_suite.feeding import FeedCases
from aion_core.testing.store_suite.heartbeats import HeartbeatCases
from aion_core.testing.store_suite.histories import HistoryCases
from aion_core.testing.store_suite.hostile_text import HostileTextCases
from aion_core.testing.store_suite.listing import ListingCases
from aion_core.testing.store_suite.messages import MessageCases
from aion_core.testing.store_suite.reopening import ReopeningCases
from aion_core.testing.store_suite.rows import RowCases
from aion_core.testing.store_suite.starts import StartCases
from aion_core.testing.store_suite.stateful import StatefulCases
from aion_core.testing.store_suite.upkeep import UpkeepCases
from aion_core.testing.store_suite.work import WorkCases
from aion_core.testing.store_suite.writers import WriterCases

__all__ = ["Opener", "StoreSuite", "SuiteBase", "needs"]


class StoreSuite(
    AppendingCases,
    HistoryCases,
    HostileTextCases,
    ListingCases,
    RowCases,
    WorkCases,
    StartCases,
    HeartbeatCases,
    MessageCases,
    FeedCases,
    WriterCases,
    UpkeepCases,
    CancellationCases,
    ReopeningCases,
    StatefulCases,
):
    """All cases."""
