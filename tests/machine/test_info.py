"""What a workflow can know of its own run."""

import attrs
import pytest

from aion_core import events as e
from aion_core.authoring.info import SUGGESTED_LENGTH, WorkflowInfo, is_replaying, workflow_info
from aion_core.authoring.signals import Signal
from aion_core.authoring.workflows import workflow
from aion_core.errors import NotInWorkflowError
from aion_core.ids import ChildKey, RunId, WorkflowId
from aion_core.payloads import Payload
from tests.machine.driver import Driver, at, check_replays, driven, payload, start_request

go = Signal("go", int)


def test_a_run_knows_how_it_was_started() -> None:
    seen: list[WorkflowInfo] = []

    @workflow
    async def main() -> None:
        seen.append(workflow_info())

    parent = e.ParentRef(
        workflow_id=WorkflowId("p"), run_id=RunId("pr"), child_key=ChildKey("child:0")
    )
    driver = Driver(main)
    driver.step(
        attrs.evolve(
            start_request(), parent=parent, memo=payload({"by": "kim"}), attributes={"n": 1}
        )
    )
    assert seen[0] == WorkflowInfo(
        workflow_id=WorkflowId("w"),
        run_id=RunId("run"),
        workflow_type="main",
        started_at=at(0),
        parent=parent,
        continued_from=None,
        attributes={"n": 1},
        memo={"by": "kim"},
        history_length=1,
        all_handlers_finished=True,
    )


def test_the_length_of_the_history_is_that_of_what_the_code_reacts_to() -> None:
    lengths: list[int] = []

    async def main() -> None:
        async for value in go:
            lengths.append(workflow_info().history_length)
            if value:
                return

    driver = driven(main)
    driver.signal("go", 0)
    driver.signal("go", 1)
    assert lengths == [2, 3]
    check_replays(driver)
    assert lengths == [2, 3, 2, 2, 3]


def test_the_history_of_a_former_run_does_not_count() -> None:
    @workflow
    async def main(is_second: bool) -> int:
        if not is_second:
            await go.receive()
            main.continue_as_new(True)
        return workflow_info().history_length

    driver = Driver(main)
    driver.start(is_second=False)
    driver.signal("go", 1)
    assert driver.result == 1


@pytest.mark.parametrize(
    ("length", "suggested"), [(SUGGESTED_LENGTH - 1, False), (SUGGESTED_LENGTH, True)]
)
def test_a_long_history_suggests_to_continue_as_new(length: int, suggested: bool) -> None:
    seen: list[WorkflowInfo] = []

    async def main() -> None:
        seen.append(workflow_info())

    driven(main)
    info = attrs.evolve(seen[0], history_length=length)
    assert info.continue_as_new_suggested is suggested


def test_a_memo_that_cannot_be_read_is_an_error_of_the_asking() -> None:
    @workflow
    async def main() -> None:
        workflow_info()

    driver = Driver(main)
    driver.step(attrs.evolve(start_request(), memo=Payload("application/x", b"?")))
    assert driver.failure.type == "PayloadError"


def test_the_code_can_know_whether_it_is_replayed() -> None:
    seen: list[bool] = []

    async def main() -> None:
        seen.append(is_replaying())
        await go.receive()
        seen.append(is_replaying())

    driver = driven(main)
    driver.reload()
    driver.signal("go", 1)
    assert seen == [False, True, False]


@pytest.mark.parametrize("ask", [workflow_info, is_replaying])
def test_outside_a_workflow_there_is_nothing_to_know(ask: object) -> None:
    with pytest.raises(NotInWorkflowError):
        ask()  # type: ignore[operator]
