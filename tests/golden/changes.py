"""Tales of what a run decides or draws once, and of what it tells about itself."""

from __future__ import annotations

import aion_runtime as aion
from aion_runtime.testing.script import cancel, fire, outcome, signal
from tests.golden.acts import charge, ship
from tests.golden.tales import Tale, Value

go = aion.Signal("go", int)


def fixed() -> int:
    return 7


def failing() -> int:
    raise OSError("no such thing")


@aion.workflow
async def patching() -> list[Value]:
    done: list[Value] = []
    if aion.patched("ship first"):
        done.append(await ship("a"))
    done.append(await charge(1))
    done.append(aion.patched("ship first"))
    done.append(aion.patched("wait"))
    return done


@aion.workflow
async def with_side_effects() -> list[Value]:
    done: list[Value] = [await aion.side_effect(fixed)]
    await aion.sleep(10)
    done.append(await aion.side_effect(lambda: "seen", str))
    try:
        await aion.side_effect(failing)
    except aion.SideEffectError as error:
        done.append(error.failure.type)
    done.append(await ship("a"))
    return done


@aion.workflow
async def drawing() -> list[str]:
    drawn = [str(aion.uuid4()), str(aion.rng().randrange(1_000_000))]
    await aion.sleep(10)

    async def child() -> None:
        drawn.append(str(aion.uuid4()))
        await aion.sleep(5)
        drawn.append(str(aion.rng().random()))

    async with aion.open_nursery() as nursery:
        nursery.start_soon(child)
        nursery.start_soon(child)
    return [*drawn, str(aion.uuid4())]


@aion.workflow
async def well_known() -> list[str]:
    aion.set_attributes(stage="begun", count=1)
    await go.receive()
    aion.set_attributes({"late": True}, stage="going", count=None)
    info = aion.workflow_info()
    await aion.sleep(5)
    known = aion.workflow_info()
    return [
        f"{info.workflow_type} {info.workflow_id} {info.history_length} {info.parent}",
        f"{sorted(known.attributes.items())} {known.history_length} {known.memo}",
        f"{known.continue_as_new_suggested} {known.started_at:%H:%M} {known.continued_from}",
    ]


@aion.workflow
async def talking() -> str:
    aion.logger.info("begun: %s", aion.now())
    for _ in range(2):
        value = await go.receive()
        if not aion.is_replaying():
            aion.logger.warning("got %s", value)
    aion.logger.debug("over")
    return "said"


TALES = [
    Tale(
        patching,
        [outcome(ship, "sent"), outcome(charge, 2)],
        ["sent", 2, True, True],
        extras=[cancel()],
    ),
    Tale(
        with_side_effects,
        [fire(), outcome(ship, "sent")],
        [7, "seen", "OSError", "sent"],
        extras=[cancel(), [fire(), cancel()]],
    ),
    Tale(
        drawing,
        [fire(), fire()],
        [
            "9a339384-09b6-4742-ae9a-aac9688a560e",
            "944610",
            "150bdfad-c349-415f-bde1-3826c1007cb0",
            "4d79966e-3817-4dac-9415-bcd96ee4a474",
            "0.9601224946444351",
            "0.4573212138830347",
            "c85f1156-effd-44a7-a0a9-6d880fa2f905",
        ],
        extras=[cancel()],
    ),
    Tale(
        well_known,
        [signal(go, 1), fire()],
        [
            "well_known explored 3 None",
            "[('late', True), ('stage', 'going')] 6 None",
            "False 00:00 None",
        ],
        extras=[cancel()],
    ),
    Tale(talking, [signal(go, 1), signal(go, 2)], "said", extras=[cancel()]),
]
