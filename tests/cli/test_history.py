"""``aion history``: everything recorded."""

from __future__ import annotations

from aion_cli.exit_codes import ExitCode
from aion_cli.loading import load_module
from aion_runtime.testing import replay_history
from tests.cli.shop import Shop, forgotten_modules


def test_every_event_is_a_line_with_its_number_and_what_it_says(shop: Shop) -> None:
    shop.start("checkout", "o-1", "7")
    _, *lines = shop.aion("history", "o-1").out.splitlines()
    assert [line.split()[0] for line in lines] == [str(n) for n in range(1, 5)]
    assert 'checkout({"order": "7", "rest": 0.0})' in lines[0]
    assert 'activity:0 charge({"order": "7"})' in lines[1]
    assert 'activity:0: "receipt for 7"' in lines[2]
    assert lines[3].split()[3] == "WorkflowCompleted"


def test_with_json_it_is_a_history_that_can_be_replayed(shop: Shop) -> None:
    shop.start("checkout", "o-1", "7")
    (shop.directory / "o-1.json").write_text(shop.aion("history", "o-1", "--json").out)
    with forgotten_modules():
        replayed = replay_history("o-1.json", load_module("app.py").checkout)
    assert replayed.ended


def test_an_unknown_id_names_the_nearest(shop: Shop) -> None:
    shop.start("checkout", "order-1")
    done = shop.aion("history", "ordr-1")
    assert done.code == ExitCode.NOT_FOUND
    assert done.error == "aion: no workflow has the id 'ordr-1'; did you mean 'order-1'?"
