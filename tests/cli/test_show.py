"""``aion show``: how a workflow stands, and why it does not go on."""

from __future__ import annotations

from aion_cli.exit_codes import ExitCode
from tests.cli.shop import Shop


def test_an_ended_workflow_shows_input_result_and_events(shop: Shop) -> None:
    shop.start("checkout", "o-1", "7", attributes={"customer": "kim"}, memo={"by": "lee"})
    lines = shop.aion("show", "o-1").out.splitlines()
    assert lines[0] == "o-1: Completed"
    assert 'input {"order": "7", "rest": 0.0}' in lines
    assert 'result "receipt for 7"' in lines
    assert "attributes customer=kim" in lines
    assert 'memo {"by": "lee"}' in lines
    assert "  - it has ended (Completed); it waits for nothing" in lines
    assert lines[-1].split()[3] == "WorkflowCompleted"


def test_a_failed_one_says_why(shop: Shop) -> None:
    shop.start("checkout", "o-1", "bad")
    assert "it has ended (Failed): ActivityError: " in shop.aion("show", "o-1").out


def test_without_an_engine_the_store_says_what_is_waited_for(shop: Shop) -> None:
    shop.start("approve", "o-1")
    out = shop.aion("show", "o-1", "--timeout", "0.05").out
    assert "timer 'timer:0' fires in 59 min" in out
    assert "no engine has answered" in out


def test_offline_nobody_is_asked(shop: Shop) -> None:
    shop.start("approve", "o-1")
    told = shop.json("show", "o-1", "--offline")["explanation"]
    assert told["engine"] == "not asked"
    assert [wait["kind"] for wait in told["waits"]] == ["timer"]
    assert told["next_at"] == told["waits"][0]["next_at"]


def test_a_held_activity_is_told_with_its_id_and_the_failure(shop: Shop) -> None:
    shop.start("deliver", "o-1")
    out = shop.aion("show", "o-1", "--offline").out
    assert "activity 'ship' (activity:0) is held for 0 s, after OSError: no lorry" in out


def test_how_many_events_are_shown_can_be_said(shop: Shop) -> None:
    shop.start("checkout", "o-1", "7")
    out = shop.aion("show", "o-1", "--events", "1").out
    assert "The last 1 of 4 events" in out
    assert "WorkflowStarted" not in out
    assert "events" not in shop.aion("show", "o-1", "--events", "0").out


def test_hostile_text_has_no_power_over_the_terminal(shop: Shop) -> None:
    shop.start("checkout", "o-1", "\x1b[31m\u202e")
    out = shop.aion("show", "o-1").out
    assert all(character.isprintable() for character in out if character != "\n")


def test_json_holds_all_of_it(shop: Shop) -> None:
    shop.start("checkout", "o-1", "7")
    told = shop.json("show", "o-1")
    assert told["result"] == "receipt for 7"
    assert told["input"] == {"order": "7", "rest": 0.0}
    assert told["status"] == "Completed"
    assert len(told["history"]) == told["events"] == 4
    assert told["explanation"]["sentences"] == ["it has ended (Completed); it waits for nothing"]


def test_an_unknown_id_is_one_line(shop: Shop) -> None:
    shop.start("checkout", "o-1")
    done = shop.aion("show", "zzz")
    assert done.code == ExitCode.NOT_FOUND
    assert done.error == "aion: no workflow has the id 'zzz'; see 'aion list'"
