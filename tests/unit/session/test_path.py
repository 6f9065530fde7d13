"""Paths: through dicts, by text, and nowhere else."""

import copy
from typing import Any

import pytest

from wsgi_session._session.path import ABSENT, find, look, path_of, put

DATA: dict[str, Any] = {"d": {"e": {"x": 1}, 1: "int"}, "l": [{"x": 1}], "n": None, "t": "text"}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        pytest.param("a", ("a",), id="a key"),
        pytest.param(("a",), ("a",), id="a path of one key"),
        pytest.param(("a", "b"), ("a", "b"), id="a path"),
        pytest.param("", ("",), id="an empty key"),
        pytest.param(1, (1,), id="what is no key is refused where it is used"),
    ],
)
def test_a_key_is_a_path_of_one_step(key: Any, path: Any) -> None:
    """A tuple is a path, and everything else a key."""
    assert path_of(key) == path


@pytest.mark.parametrize(
    ("key", "message"),
    [
        pytest.param((), "is empty", id="empty"),
        pytest.param(("a", 1), "item 1 is a value of type int", id="an int"),
        pytest.param(("a", "b", None), "item 2 is a value of type NoneType", id="None"),
        pytest.param((("a",), "b"), "item 0 is a value of type tuple", id="a path in a path"),
        pytest.param((b"a", "b"), "item 0 is a value of type bytes", id="bytes"),
    ],
)
def test_a_path_holds_text_only(key: Any, message: str) -> None:
    """There is no index of a list: positions move when another request appends or removes."""
    with pytest.raises(TypeError, match=message):
        path_of(key)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(("d", "e", "x"), 1, id="an entry"),
        pytest.param(("d", "e"), {"x": 1}, id="a dict"),
        pytest.param(("d", "z"), ABSENT, id="no entry"),
        pytest.param(("z", "y", "x"), ABSENT, id="no dict"),
        pytest.param(("n",), None, id="None is a value"),
        pytest.param(("d", "1"), ABSENT, id="a number is no text"),
    ],
)
def test_a_path_finds_what_is_there(path: tuple[str, ...], value: Any) -> None:
    """What is not there is absent, however much of the way is missing."""
    assert find(DATA, path) == value
    assert look(DATA, path) == value


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param(("l", "0"), r"session\['l'\] holds a value of type list", id="a list"),
        pytest.param(("t", "x"), r"session\['t'\] holds a value of type str", id="a text"),
        pytest.param(("n", "x"), r"session\['n'\] holds a value of type NoneType", id="None"),
        pytest.param(("d", "e", "x", "y"), r"session\['d'\]\['e'\]\['x'\] holds a value of type int", id="deeper"),
    ],
)
def test_a_path_leads_through_dicts_only(path: tuple[str, ...], message: str) -> None:
    """The error says where, and shows no value."""
    with pytest.raises(TypeError, match=message):
        find(DATA, path)
    assert look(DATA, path) is ABSENT


@pytest.mark.parametrize(
    ("path", "value", "outcome"),
    [
        pytest.param(("a",), 1, {"d": {"x": 1}, "a": 1}, id="a key"),
        pytest.param(("d", "y"), 2, {"d": {"x": 1, "y": 2}}, id="an entry"),
        pytest.param(("e", "f", "g"), 1, {"d": {"x": 1}, "e": {"f": {"g": 1}}}, id="dicts are made"),
        pytest.param(("d", "x"), ABSENT, {"d": {}}, id="removed, and the dict stays"),
        pytest.param(("d",), ABSENT, {}, id="a key removed"),
        pytest.param(("e", "f"), ABSENT, {"d": {"x": 1}}, id="nothing to remove, and no dict is made"),
    ],
)
def test_a_value_is_put_at_its_path(path: tuple[str, ...], value: Any, outcome: dict[str, Any]) -> None:
    """Everything beside it stays."""
    data = copy.deepcopy({"d": {"x": 1}})

    put(data, path, value)

    assert data == outcome
