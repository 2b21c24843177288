"""Attributes in the SQLite store: kept with their types, and compared as filters compare them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aion_core.contracts import RunFilter
from aion_core.history import WorkflowSummary
from aion_core.ids import RunId, WorkflowId
from aion_core.status import WorkflowStatus
from aion_core.values import AttributeValue
from aion_store_sqlite.attributes import from_json, search_key, to_json

instants = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    min_value=datetime(2, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    max_value=datetime(9998, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
)
values: st.SearchStrategy[AttributeValue] = st.one_of(
    st.text(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    instants,
    st.lists(st.text()).map(tuple),
)
# Few, so that they often meet.
alike: st.SearchStrategy[AttributeValue] = st.sampled_from(
    [
        *(0, 0.0, -0.0, False, 1, 1.0, True, 1.5, "1", "True", "", (), ("",), ("1",)),
        *(2**53, 2**53 + 1, float(2**53), 10**300, 1e300, int(1e300)),
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2024, 3, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ]
)


def _found(stored: AttributeValue, asked: AttributeValue) -> bool:
    run = WorkflowSummary(
        workflow_id=WorkflowId("w"),
        run_id=RunId("r"),
        workflow_type="t",
        status=WorkflowStatus.RUNNING,
        started_at=datetime(2024, 3, 1, tzinfo=UTC),
        attributes={"a": stored},
    )
    return RunFilter(attributes={"a": asked}).matches(run)


@given(values | alike, values | alike)
def test_two_values_have_one_key_when_a_filter_takes_them_for_the_same(
    stored: AttributeValue, asked: AttributeValue
) -> None:
    assert (search_key(stored) == search_key(asked)) is _found(stored, asked)


@pytest.mark.parametrize("value", [float("nan"), datetime(2024, 3, 1), None, ["a"]])  # noqa: DTZ001
def test_what_nothing_is_equal_to_has_no_key(value: object) -> None:
    assert search_key(value) is None


@given(st.dictionaries(st.text(), values))
def test_attributes_come_back_with_their_types(attributes: dict[str, AttributeValue]) -> None:
    found = from_json(to_json(attributes))
    assert found == attributes
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in attributes.items()
    }


def test_no_attributes_need_no_text() -> None:
    assert to_json({}) is None
    assert from_json(None) == {}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a":null}', '{"a":[1]}', '{"a":{"datetime":"2024-03-01"}}', '{"a":{}}']
)
def test_a_text_that_holds_no_attributes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_json(text)
