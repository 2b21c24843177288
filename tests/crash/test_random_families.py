"""Families nobody thought of: whatever they do to each other, and whatever is killed meanwhile.

After a crash those who do not wait for each other may come in another order, so their histories are
not compared with anything. They are held against the rules of `family_rules`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from aion_core import events as e
from aion_core.contracts import Append, StoreWriter
from aion_core.errors import StoreError, StoreUnavailableError
from aion_core.ids import WorkflowId
from aion_runtime.assembling import installed_plugins
from aion_runtime.configuration import load_configuration
from aion_runtime.testing import Crash
from aion_runtime.testing import test_engine as open_test_engine
from aion_runtime.testing.exploring_comparing import Ending
from aion_runtime.testing.exploring_play import Play
from aion_runtime.testing.exploring_scene import Scene
from aion_runtime.testing.script import Script, bursts_of
from aion_runtime.testing.wrapping import WrappedStore, WrappedWriter
from aion_store_memory.store import MemoryStore
from tests.crash.families import EXPLORED, Deed, kin, plans, scripts
from tests.crash.family_rules import Histories, broken_rules

MANY = 1 << 30

lives = st.lists(
    st.builds(Crash, st.integers(1, 9), st.sampled_from(["before", "after"])), max_size=3
)


async def ended(
    plan: list[Deed], script: Script, crashes: Sequence[Crash], resident_bytes: int = MANY
) -> tuple[Ending, Sequence[str]]:
    """How a family ends, and what its engines did wrong on the way."""
    scene = Scene(
        workflow=kin,
        args=(plan,),
        keywords={},
        workflow_id=WorkflowId(EXPLORED),
        delay=None,
        workflows=[kin],
        store="memory:",
        plugins=installed_plugins(load_configuration()),
        resident_bytes=resident_bytes,
    )
    play = Play(scene, 0, bursts_of(script), crashes, skips=True)
    with trio.fail_after(30):
        ending = await play.perform()
    return ending, play.violations


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(plans(), scripts(), lives, st.sampled_from([0, MANY]))
def test_what_runs_send_to_each_other_arrives_once_whatever_is_killed(
    plan: list[Deed], script: Script, crashes: list[Crash], resident_bytes: int
) -> None:
    ending, violations = trio.run(ended, plan, script, crashes, resident_bytes)
    assert [*violations, *broken_rules(ending.histories, ending.messages)] == []


class UnsureStore(WrappedStore):
    """Its commits go wrong as they are told, one after the other; then all go well."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(MemoryStore())
        self._faults = iter(faults)

    def wrap(self, writer: StoreWriter) -> StoreWriter:
        return _UnsureWriter(self, writer)

    def next_fault(self) -> str:
        return next(self._faults, "none")


class _UnsureWriter(WrappedWriter):
    def __init__(self, store: UnsureStore, inner: StoreWriter) -> None:
        super().__init__(store, inner)
        self._next_fault = store.next_fault

    async def append_many(self, appends: Sequence[Append]) -> Sequence[StoreError | None]:
        fault = self._next_fault()
        if fault == "refused":
            raise StoreUnavailableError("the disk is on fire")
        refusals = await super().append_many(appends)
        if fault == "lost":
            raise StoreError("the answer was lost; read before trying again")
        return refusals


async def left_after(
    plan: list[Deed], faults: Sequence[str], resident_bytes: int
) -> tuple[Histories, Sequence[tuple[str, WorkflowId]]]:
    """What a family leaves in a store whose commits went wrong."""
    store = UnsureStore(faults)
    with trio.fail_after(30):
        async with open_test_engine(
            store, workflows=[kin], resident_bytes=resident_bytes
        ) as engine:
            await engine.start(kin, plan, workflow_id=EXPLORED)
            # Long enough for all waits of the plans, and for the pauses between tries.
            await engine.clock.advance(600)
    histories = {each: await store.read_history(each) for each in await store.list_workflow_ids()}
    return histories, [
        (stored.message.kind, stored.message.target) async for stored in store.all_messages()
    ]


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(
    plans(),
    st.lists(st.sampled_from(["none", "none", "refused", "lost"]), max_size=30),
    st.sampled_from([0, MANY]),
)
def test_what_runs_send_to_each_other_arrives_once_whatever_becomes_of_appends(
    plan: list[Deed], faults: list[str], resident_bytes: int
) -> None:
    histories, undelivered = trio.run(left_after, plan, faults, resident_bytes)
    assert list(broken_rules(histories, undelivered)) == []


FAMILY = [
    Deed("spawn", "ann", "cancel", [Deed("tell", EXPLORED), Deed("hear")]),
    Deed("spawn", "ben", "terminate", [Deed("hear")]),
    Deed("hear"),
    Deed("stop"),
    Deed("tell", "ann"),
    Deed("call", "cleo"),
    Deed("hear"),
]
"""It is what the rules are tried on; the one at the top goes on waiting."""


async def test_the_rules_hold_for_an_undisturbed_family() -> None:
    ending, _ = await ended(FAMILY, [], [])
    assert list(broken_rules(ending.histories, ending.messages)) == []


@pytest.mark.parametrize(
    ("workflow_id", "kind", "copies", "rule"),
    [
        ("ann", e.WorkflowStarted, 2, "was started more than once"),
        ("explored", e.ChildWorkflowCompleted, 2, "heard 2 times how its child"),
        ("explored", e.SignalReceived, 2, "received signal .* 2 times"),
        ("explored", e.SignalReceived, 0, "where came"),
        ("explored", e.ChildWorkflowCompleted, 0, "never heard of the end of its child"),
        ("ben", e.WorkflowCancelRequested, 2, "was asked to stop more than once"),
    ],
)
async def test_the_rules_see_what_was_taken_twice_or_not_at_all(
    workflow_id: str, kind: type[e.HistoryEvent], copies: int, rule: str
) -> None:
    ending, _ = await ended(FAMILY, [], [])
    histories = dict(ending.histories)
    histories[WorkflowId(workflow_id)] = [
        copy
        for event in histories[WorkflowId(workflow_id)]
        for copy in [event] * (copies if isinstance(event, kind) else 1)
    ]
    assert any(re.search(rule, each) for each in broken_rules(histories, ending.messages))
