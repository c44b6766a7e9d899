"""Events on their way to JSON and back."""

import json
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baker import events
from baker.events import EVENT_TYPES, Event, Record, from_json, to_json

TEXT = st.text(max_size=40)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    if typing.get_origin(hint) is tuple and typing.get_args(hint)[-1] is Ellipsis:
        return st.lists(_values(typing.get_args(hint)[0]), max_size=3).map(tuple)
    if typing.get_origin(hint) is tuple:
        return st.tuples(*(_values(part) for part in typing.get_args(hint)))
    if typing.get_origin(hint) in (Mapping, dict):
        return st.dictionaries(TEXT, TEXT, max_size=3)
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    if type(None) in typing.get_args(hint):
        return st.none() | st.one_of(*(_values(part) for part in typing.get_args(hint) if part is not type(None)))
    simple = {
        str: TEXT,
        int: st.integers(),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
    }
    return simple[hint]


def _events(cls: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(cls, vars(events))
    return st.builds(cls, **{field.name: _values(hints[field.name]) for field in fields(cls)})


ANY_EVENT = st.one_of(*(_events(cls) for cls in EVENT_TYPES.values()))


@given(
    st.builds(
        Record, seq=st.integers(min_value=0), at=st.floats(allow_nan=False, allow_infinity=False), event=ANY_EVENT
    )
)
def test_a_log_is_as_good_as_the_run(record: Record) -> None:
    assert from_json(json.loads(json.dumps(to_json(record)))) == record


@given(ANY_EVENT)
def test_a_record_is_one_flat_object(event: Event) -> None:
    data = to_json(Record(seq=0, at=0.0, event=event))
    assert list(data)[:3] == ["seq", "at", "event"]
    assert len(data) == 3 + len(fields(event))


@pytest.mark.parametrize("data", [{}, {"event": "Nothing", "seq": 0, "at": 0}, {"event": "Notice", "seq": 0, "at": 0}])
def test_what_is_no_record_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError)):
        from_json(data)


def test_every_event_is_frozen_and_in_the_union() -> None:
    declared = {
        value
        for value in vars(events).values()
        if getattr(value, "__module__", "") == "baker.events" and isinstance(value, type)
    }
    assert declared - {Record} == set(EVENT_TYPES.values())
    assert all(cls.__dataclass_params__.frozen for cls in declared)  # type: ignore[attr-defined]
