"""Families by plan: a workflow that does what its plan says, so that any family can be made up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs
from hypothesis import strategies as st

import aion_runtime as aion
from aion_runtime.testing.script import Item, cancel, fire, signal, terminate

__all__ = ["EXPLORED", "Deed", "kin", "plans", "scripts"]

EXPLORED = "explored"
NAMES = (EXPLORED, "ann", "ben", "cleo")
"""Of all who may exist; whoever wants to be somebody who exists already is refused."""

go = aion.Signal("go", int)

What = Literal["call", "spawn", "join", "stop", "tell", "hear", "wait", "endure", "again", "fail"]


@attrs.frozen
class Deed:
    """One thing that a workflow does.

    Attributes:
        what: ``call`` a child and wait for it, ``spawn`` one, ``join`` the child that was spawned
            last, ``stop`` it, ``tell`` somebody something, ``hear`` something, ``wait`` for a
            while, ``endure`` a cancellation and go on, go on ``again`` as another run, ``fail``.
        who: another workflow.
        policy: what becomes of a child when its parent closes.
        plan: of a child, or of the next run.
    """

    what: Literal[
        "call", "spawn", "join", "stop", "tell", "hear", "wait", "endure", "again", "fail"
    ]
    who: str = EXPLORED
    policy: Literal["cancel", "terminate", "abandon"] = "cancel"
    plan: list[Deed] = attrs.field(factory=list)


@aion.workflow
async def kin(plan: list[Deed]) -> list[str]:
    """Does one deed after the other; its result tells how each went."""
    log: list[str] = []
    children: list[aion.ChildHandle[list[str]]] = []
    for deed in plan:
        child = kin.options(workflow_id=deed.who, on_parent_close=deed.policy)
        match deed.what:
            case "call":
                log.append(await _ended(await child.spawn(deed.plan)))
            case "spawn":
                children.append(await child.spawn(deed.plan))
            case "join":
                log += [await _ended(each) for each in children[-1:]]
            case "stop":
                for each in children[-1:]:
                    each.cancel()
            case "tell":
                await go.send(deed.who, len(log))
            case "hear":
                log.append(f"heard {await go.receive()}")
            case "wait":
                await aion.sleep(10)
            case "endure":
                try:
                    log.append(f"heard {await go.receive()}")
                except aion.Cancelled:
                    log.append("was told to stop")
            case "again":
                kin.continue_as_new(deed.plan)
            case "fail":
                raise aion.ApplicationError(f"after {len(log)}", type="Failed")
    return log


async def _ended(child: aion.ChildHandle[list[str]]) -> str:
    try:
        return f"child returned {await child.result()}"
    except aion.ChildWorkflowError as error:
        return f"child ended by {error.failure.type}: {error.failure.message}"


def plans(depth: int = 3) -> st.SearchStrategy[list[Deed]]:
    """Plans of families of so many generations, successors included."""
    simple = st.builds(
        Deed,
        what=st.sampled_from(["join", "stop", "tell", "tell", "hear", "hear", "wait", "endure"]),
        who=st.sampled_from(NAMES),
    )
    if depth == 0:
        return st.lists(simple, max_size=3)
    branching = st.builds(
        Deed,
        what=st.sampled_from(["call", "spawn", "spawn", "again"]),
        # Not the one at the top: that start is refused, and whether the parent hears of that before
        # it hears of another child is nobody's promise.
        who=st.sampled_from(NAMES[1:]),
        policy=st.sampled_from(["cancel", "terminate", "abandon"]),
        plan=st.deferred(lambda: plans(depth - 1)),
    )
    ends = st.lists(st.just(Deed("fail")), max_size=1)
    return st.tuples(st.lists(st.one_of(simple, branching), max_size=4), ends).map(
        lambda parts: [*parts[0], *parts[1]]
    )


def scripts() -> st.SearchStrategy[Sequence[Item]]:
    """What may happen to a family from outside."""
    somebody = st.sampled_from(NAMES)
    return st.lists(
        st.one_of(
            st.builds(lambda who, value: signal(go, value, to=who), somebody, st.integers(0, 9)),
            st.builds(lambda who: cancel(to=who), somebody),
            st.builds(lambda who: terminate(to=who), somebody),
            st.just(fire()),
        ),
        max_size=6,
    )
