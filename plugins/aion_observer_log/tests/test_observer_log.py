"""The log of an engine: what stands in it, where it goes, and that it harms nobody."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import aion_runtime as aion
from aion_core.errors import ConfigError
from aion_core.ids import WorkflowId
from aion_observer_log import LogObserver
from aion_observer_log.lines import stuck_line
from aion_observer_log.places import LOGGER, place_of
from aion_runtime.testing import test_engine as open_test_engine

pytestmark = pytest.mark.trio

PLUGIN = "observer-log"
go = aion.Signal("go", int)

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@aion.activity(retry=aion.RetryPolicy(max_attempts=2, initial_interval=1))
async def charge(card: str) -> str:
    if aion.activity_info().attempt == 1:
        raise ConnectionError("hung up")
    return f"charged {card}"


@aion.workflow
async def order(card: str) -> str:
    return await charge(card)


async def run_order(**settings: object) -> aion.PluginManager:
    plugins = aion.PluginManager.installed()
    async with open_test_engine(
        workflows=[order], plugins=plugins, settings={PLUGIN: settings}
    ) as engine:
        run = await engine.start(order, "4111", workflow_id="order-1")
        assert await run.result() == "charged 4111"
    return plugins


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_events_and_attempts_are_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    await run_order(file=str(path))
    lines = read(path)
    events = [line for line in lines if "seq" in line]
    assert [(line["seq"], line["what"]) for line in events] == [
        (1, "WorkflowStarted"),
        (2, "ActivityScheduled"),
        (3, "ActivityFailed"),
        (4, "ActivityCompleted"),
        (5, "WorkflowCompleted"),
    ]
    attempts = [line for line in lines if line["what"] == "attempt"]
    assert [(line["attempt"], line["outcome"]) for line in attempts] == [
        (1, "failed"),
        (2, "completed"),
    ]
    assert events[2]["error"] == "ConnectionError: hung up"
    assert all(line["workflow_id"] == "order-1" and "at" in line for line in lines)


async def test_values_of_users_are_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    await run_order(file=str(path))
    assert "4111" not in path.read_text()


async def test_without_a_file_the_lines_go_to_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger=LOGGER):
        await run_order()
    whats = [
        json.loads(record.message)["what"] for record in caplog.records if record.name == LOGGER
    ]
    assert whats.count("attempt") == 2
    assert whats[-1] == "WorkflowCompleted"


async def test_what_was_logged_before_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"what": "before"}\n')
    await run_order(file=str(path))
    assert read(path)[0] == {"what": "before"}


async def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    place = place_of({"file": str(path)})
    place.write(['{"number": 1}'])
    path.rename(tmp_path / "log.1.jsonl")
    place.write(['{"number": 2}'])
    assert read(path) == [{"number": 2}]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"flie": "log"}, "has no setting 'flie'; did you mean 'file'"),
        ({"level": 3}, "the settings are: file"),
        ({"file": 3}, "give the path of a file"),
        ({"file": ""}, "give the path of a file"),
        ({"file": "no/such/directory/log"}, "name a file in a directory that exists"),
        ({"file": "a\0b"}, "name a file in a directory that exists"),
    ],
)
async def test_settings_that_cannot_be_used_keep_the_engine_from_opening(
    settings: dict[str, object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=words):
        await run_order(**settings)


async def test_a_log_that_cannot_be_written_harms_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "logs" / "log.jsonl"
    path.parent.mkdir()
    plugins = aion.PluginManager.installed()
    settings = {PLUGIN: {"file": str(path)}}
    async with open_test_engine(workflows=[order], plugins=plugins, settings=settings) as engine:
        path.unlink()
        path.parent.rmdir()
        run = await engine.start(order, "4111")
        assert await run.result() == "charged 4111"
    assert "an observer of plugin 'observer-log' raised in committed" in caplog.text


async def test_a_stuck_run_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    @aion.workflow
    async def defective() -> None:
        await go.receive()
        raise SystemExit("a defect")

    async with open_test_engine(
        workflows=[defective],
        plugins=aion.PluginManager.installed(),
        settings={PLUGIN: {"file": str(path)}},
    ) as engine:
        run = await engine.start(defective, workflow_id="w")
        await run.signal(go, 1)
        await engine.clock.advance(1)
    (line,) = [line for line in read(path) if line["what"] == "stuck"]
    assert line["workflow_id"] == "w"
    assert "a defect" in line["reason"]


async def test_a_line_is_one_line_whatever_stands_in_it() -> None:
    line = stuck_line(WorkflowId("w\n1"), 'it says "no"\nand more — ünïcode', NOON)
    assert "\n" not in line
    assert json.loads(line)["reason"] == 'it says "no"\nand more — ünïcode'


async def test_nothing_is_written_out_for_a_logger_that_is_off() -> None:
    class Unwritable:
        """An event that nobody may look at."""

    logging.getLogger(LOGGER).setLevel(logging.WARNING)
    try:
        LogObserver(place_of({})).committed([Unwritable()])  # type: ignore[list-item]
    finally:
        logging.getLogger(LOGGER).setLevel(logging.NOTSET)
