"""What a session can hold, and that the next request reads exactly what this one stored."""

import enum
import json
import os
import subprocess
import sys
import tracemalloc
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from markupsafe import Markup
from support.classes import CODEC, NAN, Item, Letters, Plain, Role, Size, nested, stored
from support.values import TAGS, session_data, shape
from support.whole import as_stored

import wsgi_session
from wsgi_session import JSONCodec
from wsgi_session._values.frame_codec import FrameCodec
from wsgi_session.errors import EncodeError, SessionTooLarge

LIMIT = 64 * 1024


# --- the round trip --------------------------------------------------------------------------------------------------


@given(session_data)
def test_what_is_read_equals_what_was_stored_type_and_all(data: dict[str, Any]) -> None:
    """Every value type comes back as it was: type, exact digits, order, however deep it lies."""
    assert shape(CODEC.decode(CODEC.encode(data))) == shape(data)


@given(session_data)
def test_reading_and_storing_again_changes_no_byte(data: dict[str, Any]) -> None:
    """The same data gives the same bytes: that is how nested changes are noticed."""
    payload = CODEC.encode(data)

    assert CODEC.encode(CODEC.decode(payload) or {}) == payload


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(value, id=name)
        for name, value in {
            "None": None,
            "True": True,
            "zero": 0,
            "an int beyond 64 bits": 2**64,
            "an int of 300 digits": -(10**300),
            "minus zero": -0.0,
            "a whole float": 1.0,
            "a large float": 1e308,
            "the smallest float": 5e-324,
            "a float like an int": 1e22,
            "empty text": "",
            "text with NUL and line ends": "a\x00\r\n\u2028",
            "text beyond the BMP": "\U0001f600",
            "text like a tag": '{"$set": [1]}',
            "bytes": bytes(range(256)),
            "no bytes": b"",
            "datetime": datetime(2026, 1, 31, 12, 30, 0, 1),  # noqa: DTZ001  naive on purpose
            "the first datetime": datetime.min,  # noqa: DTZ901
            "datetime in UTC": datetime(2026, 1, 31, tzinfo=UTC),
            "datetime with an offset": datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=5, minutes=-30))),
            "datetime with an odd offset": datetime(
                1900, 1, 1, tzinfo=timezone(timedelta(seconds=3723, microseconds=5))
            ),
            "date": date(2026, 1, 31),
            "time": time(23, 59, 59, 999999),
            "time with an offset": time(1, 2, tzinfo=UTC),
            "timedelta": timedelta(days=-1, microseconds=1),
            "the longest timedelta": timedelta.max,
            "Decimal": Decimal("1.10"),
            "Decimal with an exponent": Decimal("1E+1000"),
            "Decimal, minus zero": Decimal("-0E-10"),
            "UUID": uuid.UUID(int=3),
            "tuple": (1, "a", (2.0, None)),
            "empty tuple": (),
            "set": {1, "1", 1.5, None, b"1", (1, 2), Decimal("2.50")},
            "empty set": set(),
            "set of sets": {frozenset(), frozenset({frozenset({1})})},
            "frozenset": frozenset({1, 2}),
            "list of all": [[], {}, (), [{}], {"a": [()]}],
            "dict with int keys": {1: "int", "1": "str", -(2**70): "big"},
            "dict with an empty key": {"": 1},
            **{f"dict like the tag {tag}": {tag: 1} for tag in TAGS},
            "dict like a tag, nested": {"$dict": {"$set": {"$": [{"$tuple": ()}]}}},
            "dict with a tag among others": {"$set": 1, "b": 2},
            "dict with one int key like a tag's": {1: {"$set": [1]}},
        }.items()
    ],
)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    """One case for every type, at its edges, alone and inside of everything that can hold it."""
    holders = [[value], (value,), {"k": value}, {1: value}, {"$set": value}]

    assert [shape(stored(one)) for one in (value, *holders)] == [shape(one) for one in (value, *holders)]


def test_without_a_session_the_error_calls_it_a_value() -> None:
    """For an application that uses the codec itself."""
    with pytest.raises(EncodeError, match=r"^value\['cart'\]\[1\] "):
        JSONCodec().encode({"cart": [1, object()]})


def test_the_order_of_a_dict_is_kept() -> None:
    """Keys come back in the order in which they were set, in a session and below."""
    data = {"b": {2: 0, 1: 0, "$": 0}, "a": {"z": 0, "y": 0}}

    read = CODEC.decode(CODEC.encode(data))

    assert list(read or ()) == ["b", "a"]
    assert read is not None
    assert list(read["b"]) == [2, 1, "$"]
    assert list(read["a"]) == ["z", "y"]


@pytest.mark.parametrize("key", ["", "$set", "$dict", "a b", "\x00", "é"])
def test_a_session_key_is_any_text(key: str) -> None:
    """At the top there are no tags: a key that looks like one is a key."""
    assert CODEC.decode(CODEC.encode({key: {key: [1]}})) == {key: {key: [1]}}


def test_equal_sets_give_equal_bytes() -> None:
    """The order of a set is an accident of its past."""
    numbers = [8 * number for number in range(20)]

    assert CODEC.encode({"s": {*numbers}}) == CODEC.encode({"s": {*reversed(numbers)}})


def test_equal_sets_give_equal_bytes_in_every_process() -> None:
    """Hashes of text differ between processes; what is stored does not, wherever the set lies."""
    script = """
import dataclasses, sys
from wsgi_session import JSONCodec
from wsgi_session._values.frame_codec import FrameCodec
@dataclasses.dataclass
class Held:
    names: object
names = {"a", "b", "c", "d", "e", (1, "f"), frozenset("ghij")}
sys.stdout.buffer.write(JSONCodec().encode({"set": names, "held": Held(set("abcdef"))}))
"""
    payloads = {
        subprocess.run([sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, stdout=-1, check=True).stdout
        for seed in ("1", "2", "3")
    }

    assert len(payloads) == 1


def test_equal_sessions_have_equal_bytes_in_every_process() -> None:
    """Whatever was read, changed, merged or adopted on the way: keys stay in order, and no set decides one."""
    script = """
import sys
from support.managed import managed
site = managed()
cookie = site.begin(**{f"key{number}": {str(number), "a", "b", "c"} for number in range(30)})
session = site.open(cookie)
held = [session[f"key{number}"] for number in range(20)]
for number in (3, 17, 5):
    held[number].add("mine")
session.append("log", "entry")
site.write(cookie, key4={"theirs"}, key5={"theirs", "too"}, new=1)
session.save()
held[2].add("late")
session.update(p=("t",), q={1: {"u", "v"}}, r=None)
site.commit(session)
(record,) = site.records().values()
sys.stdout.buffer.write(record.data)
"""
    path = os.pathsep.join(map(str, (Path(str(wsgi_session.__file__)).parents[1], Path(__file__).parents[2])))
    payloads = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed, "PYTHONPATH": path}, stdout=-1, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }

    (payload,) = payloads
    assert b"late" in payload


def test_json_stays_json() -> None:
    """Other tools can read a session: what JSON has is written as it is, and the rest says its type."""
    data = {"n": 1, "cart": [{"sku": "tea"}], "since": date(2026, 1, 31), "ids": {1: ("a",)}}

    assert json.loads(JSONCodec().encode(data)) == {
        "n": 1,
        "cart": [{"sku": "tea"}],
        "since": {"$date": "2026-01-31"},
        "ids": {"$dict": [[1, {"$tuple": ["a"]}]]},
    }


# --- what equality ignores -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(["hunter2", NAN], id="beside what cannot be stored"),
        pytest.param("hunter2\ud800", id="in the text that cannot be stored"),
        pytest.param({"a": Item("hunter2", 1j)}, id="in a dataclass"),  # type: ignore[arg-type]
        pytest.param({frozenset({"hunter2", "\ud800"})}, id="in a set"),
        pytest.param("hunter2" * LIMIT, id="too large"),
    ],
)
def test_sec_90_no_value_is_in_an_error(value: Any) -> None:
    """Errors name keys and types; what a session holds never gets into a log that way, nor by the chain of causes."""
    with pytest.raises(EncodeError) as caught:
        CODEC.encode({"key": value})

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


# --- bounds ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda value: [value], id="list"),
        pytest.param(lambda value: {"a": value}, id="dict"),
        pytest.param(lambda value: {1: value}, id="dict with int keys"),
        pytest.param(lambda value: {"$set": value}, id="dict like a tag"),
        pytest.param(lambda value: (value,), id="tuple"),
        pytest.param(lambda value: frozenset({value}), id="frozenset"),
        pytest.param(Item, id="dataclass"),
        pytest.param(Plain, id="Struct"),
    ],
)
def test_sec_70_a_session_has_32_levels(wrap: Any) -> None:
    """What has 32 levels is stored and read, however it is written; the 33rd is refused."""
    assert CODEC.decode(CODEC.encode({"key": nested(32, wrap)})) is not None

    with pytest.raises(EncodeError, match="more than 32 levels"):
        as_stored(JSONCodec(), "key", nested(33, wrap))
    with pytest.raises(EncodeError):
        as_stored(JSONCodec(), "key", nested(3000, wrap))


def cycles() -> dict[str, Any]:
    names: list[Any] = []
    names.append(names)
    table: dict[Any, Any] = {}
    table["self"] = table
    numbered: dict[Any, Any] = {}
    numbered[1] = (numbered,)
    item = Item(None)
    item.sku = item
    parts = Plain([])
    parts.x.append(parts)
    return {"list": names, "dict": table, "dict and tuple": numbered, "dataclass": item, "Struct": parts}


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in cycles().items()])
def test_a_value_that_contains_itself_is_refused(value: Any) -> None:
    """A cycle has no end, so no JSON either; the error says so."""
    with pytest.raises(EncodeError, match=r"^session\['key'\].*or contains itself$"):
        as_stored(JSONCodec(), "key", value)


def test_sec_67_a_session_has_64_kib() -> None:
    """The last byte that fits is stored and read; one more is refused, naming the largest value and the remedy."""
    # The length of a value takes a byte more from 256 bytes on.
    room = LIMIT - len(CODEC.encode({"small": 1, "big": ""})) - 1
    fits, too_large = {"small": 1, "big": "x" * room}, {"small": 1, "big": "x" * (room + 1)}

    assert CODEC.decode(CODEC.encode(fits)) == fits
    with pytest.raises(SessionTooLarge) as caught:
        CODEC.encode(too_large)
    assert f"{LIMIT + 1} bytes" in str(caught.value)
    assert f"at most {LIMIT}" in str(caught.value)
    assert "session['big']" in str(caught.value)
    assert "Keep large things in a store of their own" in str(caught.value)


@pytest.mark.parametrize(
    "double",
    [
        pytest.param(lambda part: [part, part], id="list"),
        pytest.param(lambda part: {"a": part, "b": part}, id="dict"),
        pytest.param(lambda part: (part, part), id="tuple"),
        pytest.param(lambda part: {1: part, 2: part}, id="int keys"),
        pytest.param(lambda part: Item(part, part), id="dataclass"),
        pytest.param(lambda part: Plain([part, part]), id="Struct"),
        pytest.param(lambda part: frozenset([(part, 1), (part, 2)]), id="frozenset"),
    ],
)
def test_sec_67_a_part_that_is_in_several_others_counts_in_each(double: Any) -> None:
    """Thirty small lists, each twice in the next one, would be gigabytes: refused before any is written."""
    value: Any = 1
    for _ in range(3):
        value = double(value)
    as_stored(JSONCodec(), "key", value)
    for _ in range(27):
        value = double(value)

    tracemalloc.start()
    try:
        with pytest.raises(
            EncodeError, match=r"^session\['key'\].* (takes more than 1048576 bytes|more than 32 levels)"
        ):
            as_stored(JSONCodec(), "key", value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 500 * LIMIT


LONG = "x" * 60_000


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([LONG] * 200_000, id="text"),
        pytest.param({str(number): LONG for number in range(20_000)}, id="text in a dict"),
        pytest.param([{LONG: 1}] * 20_000, id="key"),
        pytest.param([{LONG: []}] * 20_000, id="key of containers only"),
        pytest.param([{LONG: 1}] * 900, id="key of one dict, not very often"),
        pytest.param([{LONG: number} for number in range(900)], id="key of many dicts"),
        pytest.param([10**3800] * 20_000, id="number"),
        pytest.param((LONG,) * 200_000, id="text in a tuple"),
        pytest.param([{1: LONG}] * 20_000, id="text under a number"),
        pytest.param([{(1,): 1, LONG: 1}] * 20_000, id="key beside one that is refused"),
        pytest.param([LONG.encode()] * 20_000, id="bytes"),
        pytest.param([{10**3800: 1}] * 20_000, id="numbers as keys"),
        pytest.param([Decimal("1" * 60_000)] * 20_000, id="Decimal"),
        pytest.param([Markup(LONG)] * 20_000, id="Markup"),
        pytest.param([enum.Enum("Text", {"LONG": LONG}).LONG] * 20_000, id="enum"),
        pytest.param([Item(LONG)] * 20_000, id="dataclass"),
    ],
)
def test_sec_67_a_long_part_counts_with_its_length(value: Any) -> None:
    """Gigabytes when written, from some megabytes in memory: refused before any is written."""
    tracemalloc.start()
    try:
        with pytest.raises(SessionTooLarge, match=r"^session\['key'\] takes more than 1048576 bytes"):
            as_stored(JSONCodec(), "key", value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50 * 1024 * 1024


def test_sec_67_an_oversized_record_is_not_even_parsed() -> None:
    """A giant that somebody planted in the store reads as none of ours."""
    assert CODEC.decode(b'{"key":"' + b"x" * (LIMIT - 10) + b'"}') is not None
    assert CODEC.decode(b'{"key":"' + b"x" * (LIMIT - 9) + b'"}') is None


# --- what the session asks of the codec ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([Role.ADMIN], id="list"),
        pytest.param({"a": [1]}, id="dict"),
        pytest.param({1, 2}, id="set"),
        pytest.param(([1],), id="tuple"),
        pytest.param("text", id="text"),
        pytest.param("é" * LIMIT, id="too large: judged at commit"),
        pytest.param(["x" * LIMIT], id="too large a list: judged at commit"),
    ],
)
def test_a_container_stays_the_applications_own(value: Any) -> None:
    """Later changes in it are noticed, so the session holds the very object."""
    assert as_stored(JSONCodec(), "key", value) is value


@pytest.mark.parametrize(
    ("value", "held"),
    [
        pytest.param(Role.ADMIN, "admin", id="Enum"),
        pytest.param(Size.SMALL, 1, id="IntEnum"),
        pytest.param(Letters.AB, ("a", "b"), id="Enum of tuple"),
        pytest.param(Markup("<b>"), Markup("<b>"), id="Markup"),
        pytest.param(Item("tea"), {"sku": "tea", "count": 1}, id="dataclass"),
        pytest.param("é", "é", id="text beyond ASCII"),
        pytest.param(10**400, 10**400, id="a large int"),
        pytest.param(None, None, id="None"),
        pytest.param(True, True, id="True"),
        pytest.param(frozenset({Size.SMALL}), frozenset({1}), id="frozenset"),
    ],
)
def test_what_is_stored_by_value_is_plain_at_once(value: Any, held: Any) -> None:
    """This request reads what the next one will."""
    assert shape(as_stored(JSONCodec(), "key", value)) == shape(held)


def test_another_codec_may_forget() -> None:
    """A codec that cannot read back what it wrote does not lose the value of this request."""

    class Forgetful(JSONCodec):
        __slots__ = ()

        def decode(self, payload: bytes, /) -> Any:
            raise ValueError

    assert as_stored(Forgetful(), "key", Role.ADMIN) is Role.ADMIN


@pytest.mark.parametrize(
    "made", [pytest.param(str, id="str"), pytest.param(lambda text: bytearray(text, "ascii"), id="bytearray")]
)
def test_a_codec_that_returns_no_bytes_is_told_at_the_line(made: Callable[[str], Any]) -> None:
    """In the frame it would make all values of the session unreadable: everybody would be logged out in silence."""

    class Loose(JSONCodec):
        __slots__ = ()

        def encode(self, value: Any, /) -> bytes:
            payload: bytes = made(json.dumps(value))
            return payload

    codec = FrameCodec(Loose())
    told = rf"session\['key'\]: Codec.encode\(\) must return bytes, and returned a {type(made('')).__name__}$"

    with pytest.raises(EncodeError, match=told):
        codec.prove("key", "a secret")
    with pytest.raises(EncodeError, match=told):
        codec.encode("key", ["a secret"])


def test_repr_is_what_one_would_write() -> None:
    """It shows up in the repr of options."""
    assert repr(JSONCodec()) == "JSONCodec()"
