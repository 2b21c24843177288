"""What a plugin in these tests names as ``module:attribute``."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from aion_core.contracts import StoreProvider


def opened(url: str) -> AbstractAsyncContextManager[Any]:
    return AsyncExitStack()


PROVIDER = StoreProvider(open=opened, description="opens nothing")
OTHER = "no provider"
