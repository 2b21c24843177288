"""Somebody must approve an expense. Who does not answer is reminded, and may ask for a rest.

    python examples/approval.py                # in a temporary store
    python examples/approval.py expenses.db    # in a file that stays

The reminder is a named timer: it survives restarts, and a signal starts it anew. The query shows
how things stand, also when the workflow has ended.
"""

import sys
import tempfile
from datetime import timedelta

import attrs
import trio

import aion_runtime as aion


@attrs.frozen
class Expense:
    text: str
    approver: str
    remind_every: timedelta
    lapses_after: timedelta


@attrs.frozen
class Decision:
    by: str
    granted: bool


@attrs.frozen
class Standing:
    stage: str
    reminders: int


decision = aion.Signal("decision", Decision)
snooze = aion.Signal("snooze", timedelta)
standing = aion.Query("standing", Standing)


@aion.activity
async def send_mail(to: str, text: str) -> None:
    print(f"mail to {to}: {text}")


@aion.workflow(accepts=[decision, snooze, standing])
async def approve(expense: Expense) -> str:
    stage, reminders = "waiting", 0
    standing.answer(lambda: Standing(stage, reminders))

    async def remind() -> None:
        nonlocal reminders
        while True:
            await reminder.wait()
            await send_mail(expense.approver, f"still to be approved: {expense.text}")
            reminders += 1
            aion.start_timer("reminder", expense.remind_every)

    async def put_off() -> None:
        async for rest in snooze:
            aion.start_timer("reminder", rest)  # the same timer: who waits for it waits longer

    await send_mail(expense.approver, f"to be approved: {expense.text}")
    reminder = aion.start_timer("reminder", expense.remind_every)
    verdict = None
    async with aion.open_nursery() as nursery:
        nursery.start_soon(remind)
        nursery.start_soon(put_off)
        with aion.move_on_after(expense.lapses_after):
            verdict = await decision.receive()
        nursery.cancel_scope.cancel()
    if verdict is None:
        stage = "lapsed"
    else:
        stage = f"{'granted' if verdict.granted else 'refused'} by {verdict.by}"
    return stage


async def main(store: str) -> None:
    # In a real office: days.
    lunch = Expense("lunch, 21 EUR", "kim", timedelta(seconds=0.2), timedelta(seconds=10))
    async with aion.open_engine(store, workflows=[approve]) as engine:
        run = await engine.start(approve, lunch, workflow_id="lunch")
        await trio.sleep(0.5)  # kim takes some time
        # The id makes it count once, however often this program is run.
        await run.signal(decision, Decision("kim", granted=True), signal_id="kim-1")
        print(await run.result())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        path = sys.argv[1] if len(sys.argv) > 1 else f"{directory}/approval.db"
        trio.run(main, f"sqlite:///{path}")
