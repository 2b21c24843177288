"""Histories of former code, replayed over today's."""

from __future__ import annotations

from pathlib import Path

import pytest

import aion_runtime as aion
from aion_core.commands import AwaitSignal
from aion_runtime.testing import (
    Replayed,
    replay_history,
    save_history,
    test_engine,
)
from tests.replay.golden import GOLDEN, path_of, read

approval = aion.Signal("approval", str)


@aion.activity
async def charge() -> str:
    return "receipt"


@aion.activity
async def refund() -> str:
    return "refunded"


@aion.workflow(name="shop")
async def shop() -> str:
    return await charge() + await approval.receive()


@aion.workflow(name="shop")
async def changed_shop() -> str:
    return await refund()


@pytest.fixture
async def history() -> list[aion.events.HistoryEvent]:
    async with test_engine(workflows=[shop]) as engine:
        run = await engine.start(shop)
        await engine.clock.advance(0)
        return list(await run.history())


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_is_replayed(name: str) -> None:
    code = GOLDEN[name][0]
    replayed = replay_history(path_of(name), code)
    assert replayed.ended
    assert replay_history(read(name), code) == replay_history(str(path_of(name)), code) == replayed


async def test_an_open_run_says_what_it_waits_for(history: list[aion.events.HistoryEvent]) -> None:
    assert replay_history(history, shop) == Replayed(1, False, (AwaitSignal("approval", 0),))


async def test_code_that_does_not_fit_is_told_where(
    history: list[aion.events.HistoryEvent],
) -> None:
    with pytest.raises(aion.NonDeterminismError, match="'refund'") as caught:
        replay_history(history, changed_shop)
    assert caught.value.file == __file__
    assert caught.value.line is not None


async def test_a_saved_history_is_read_back(
    history: list[aion.events.HistoryEvent], tmp_path: Path
) -> None:
    save_history(history, tmp_path / "h.json")
    assert replay_history(tmp_path / "h.json", shop) == replay_history(history, shop)
    with pytest.raises(FileExistsError):
        save_history(history, tmp_path / "h.json")


async def test_a_history_of_another_workflow_is_refused(
    history: list[aion.events.HistoryEvent],
) -> None:
    with pytest.raises(aion.WorkflowUsageError, match=r"not of workflow 'retried' .*'shop'"):
        replay_history(history, GOLDEN["retried-then-failed"][0])


def test_an_empty_history_is_refused() -> None:
    with pytest.raises(aion.HistoryShapeError, match="empty"):
        replay_history([], shop)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no JSON", "Expecting value"),
        ("{}", "not a list"),
        ("[1]", "entry 1 is no event"),
        ('[{"seq": 1}]', "entry 1 is no event"),
    ],
)
def test_a_file_without_a_history_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(aion.HistoryShapeError, match=rf"h.json' holds no history: .*{reason}"):
        replay_history(tmp_path / "h.json", shop)


def test_an_event_that_cannot_be_read_is_corrupt(tmp_path: Path) -> None:
    row = '{"seq":1,"kind":"?","recorded_at":"2024-03-01T00:00:00+00:00","workflow_id":"w"'
    (tmp_path / "h.json").write_text(f'[{row},"fields":{{}}}}]')
    with pytest.raises(aion.CorruptHistoryError, match="unknown kind"):
        replay_history(tmp_path / "h.json", shop)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"h\.json"):
        replay_history(tmp_path / "h.json", shop)
