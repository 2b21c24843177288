"""What is the memory store's own: its URL, and that it lives as long as its object."""

from __future__ import annotations

import pytest

from aion_core.contracts import EventStore
from aion_core.errors import ConfigError
from aion_core.plugins import PluginManager
from aion_core.testing.histories import Story, write
from aion_store_memory import plugin
from aion_store_memory.store import MemoryStore


async def test_each_opening_of_the_url_is_a_new_store() -> None:
    manager = PluginManager()
    manager.register(plugin, name="memory")
    for _ in range(2):
        async with manager.open_store("memory:") as store, store.writer() as writer:
            assert (await store.list_runs()).runs == []
            await write(writer, Story().started())


@pytest.mark.parametrize("url", ["memory:orders", "memory:///", "memory:?durability=full"])
async def test_a_url_with_a_place_is_a_mistake(url: str) -> None:
    manager = PluginManager()
    manager.register(plugin, name="memory")
    with pytest.raises(ConfigError, match="write 'memory:'"):
        async with manager.open_store(url):
            pass


async def test_a_store_keeps_its_data_across_writers() -> None:
    store: EventStore = MemoryStore()
    story = Story().started()
    async with store.writer() as writer:
        await write(writer, story)
    async with store.writer() as writer:
        await write(writer, story.signal())
    assert list(await store.read_history(story.workflow_id)) == story.events
