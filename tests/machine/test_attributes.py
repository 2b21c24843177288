"""Attributes: what a workflow is searched by, set by its code."""

from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
import pytest

from aion_core import events as e
from aion_core.authoring.concurrency import gather
from aion_core.authoring.info import set_attributes, workflow_info
from aion_core.authoring.signals import Signal
from aion_core.authoring.workflows import workflow
from aion_core.errors import NotInWorkflowError
from tests.machine.driver import Driver, check_replays, driven, kinds, start_request

go = Signal("go", int)


def test_attributes_are_recorded_and_shown() -> None:
    async def main() -> None:
        set_attributes(stage="charged", amount=3)
        set_attributes({"due date": datetime(2024, 3, 1, tzinfo=UTC)}, tags=["a", "b"])
        await go.receive()

    driver = driven(main)
    first = driver.history[1]
    assert isinstance(first, e.SearchAttributesUpdated)
    assert (first.position, first.attributes) == (
        "attributes:0",
        {"stage": "charged", "amount": 3},
    )
    assert driver.run.projection.summary is not None
    assert driver.run.projection.summary.attributes == {
        "stage": "charged",
        "amount": 3,
        "due date": datetime(2024, 3, 1, tzinfo=UTC),
        "tags": ("a", "b"),
    }
    driver.signal("go", 1)
    check_replays(driver)


def test_the_code_sees_what_it_was_started_with_and_what_it_has_set() -> None:
    seen: list[Mapping[str, object]] = []

    @workflow
    async def main() -> None:
        seen.append(workflow_info().attributes)
        set_attributes(stage="b", late=True, gone=None)
        seen.append(workflow_info().attributes)

    driver = Driver(main)
    driver.step(attrs.evolve(start_request(), attributes={"stage": "a", "gone": 1}))
    assert seen == [{"stage": "a", "gone": 1}, {"stage": "b", "late": True}]
    check_replays(driver)


def test_each_task_has_places_of_its_own() -> None:
    async def mark(name: str) -> None:
        set_attributes({name: True})

    async def main() -> None:
        await gather(mark("a"), mark("b"))

    places = [
        event.position
        for event in driven(main).history
        if isinstance(event, e.SearchAttributesUpdated)
    ]
    assert places == ["attributes:0/0", "attributes:1/0"]


@pytest.mark.parametrize(
    ("value", "error"), [({}, TypeError), (float("nan"), ValueError), (object(), TypeError)]
)
def test_a_value_that_cannot_be_stored_is_refused(value: object, error: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(error, match="attribute 'a'"):
            set_attributes(a=value)

    assert kinds(driven(main).history) == ["WorkflowStarted", "WorkflowCompleted"]


def test_attributes_are_set_in_a_workflow() -> None:
    with pytest.raises(NotInWorkflowError):
        set_attributes(a=1)
