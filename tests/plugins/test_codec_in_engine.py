"""A payload codec, chosen by configuration, between an engine and its store."""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import aion_runtime as aion
import aion_runtime.plugin
import aion_store_memory.plugin
from aion_core import events as e
from aion_core.hookspecs import hookimpl
from aion_core.payloads import Payload, PayloadCodec
from aion_core.plugins import PluginManager
from aion_store_memory.store import MemoryStore

SECRET = "nobody may read this"

go_on = aion.Signal("go on", str)


@aion.activity
async def shout(text: str) -> str:
    return text.upper()


@aion.workflow
async def shouting(text: str) -> str:
    loud = await shout(text)
    return loud + await go_on.receive()


class Deflating(PayloadCodec):
    """Compresses what it stores."""

    def encode(self, payload: Payload) -> Payload:
        head = payload.content_type.encode() + b"\n"
        return Payload("application/x-deflated", zlib.compress(head + payload.data))

    def decode(self, payload: Payload) -> Payload:
        if payload.content_type != "application/x-deflated":
            return payload
        content_type, _, data = zlib.decompress(payload.data).partition(b"\n")
        return Payload(content_type.decode(), data)


class Plugin:
    @hookimpl
    def aion_payload_codecs(
        self,
    ) -> Mapping[str, Callable[[Mapping[str, object]], PayloadCodec]]:
        return {"deflate": lambda settings: Deflating()}


def plugins() -> PluginManager:
    manager = PluginManager()
    manager.register(aion_runtime.plugin, name="runtime")
    manager.register(aion_store_memory.plugin, name="memory")
    manager.register(Plugin(), name="deflating")
    return manager


@pytest.fixture(autouse=True)
def _deflating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("aion.toml").write_text('payload_codecs = ["deflate"]')


async def test_values_pass_the_codec_on_their_way_to_the_store_and_back() -> None:
    store = MemoryStore()
    async with aion.open_engine(store, workflows=[shouting], plugins=plugins()) as engine:
        await engine.start(shouting, SECRET, workflow_id="w")
    async with aion.open_engine(store, workflows=[shouting], plugins=plugins()) as engine:
        run = engine.get("w")
        await run.signal(go_on, "!")
        assert await run.result() == SECRET.upper() + "!"
        # Asked for again, it is the same start, although its stored form is no JSON.
        await engine.start(shouting, SECRET, workflow_id="w")
        history = await run.history()
    (started, *_) = history
    assert isinstance(started, e.WorkflowStarted)
    assert started.input.content_type == "application/x-deflated"
    assert SECRET not in repr(history)
