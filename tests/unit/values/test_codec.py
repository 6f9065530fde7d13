"""What a session can hold, and that the next request reads exactly what this one stored."""

import collections
import dataclasses
import enum
import json
import math
import re
import subprocess
import sys
import threading
import tracemalloc
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from unittest.mock import MagicMock
from zoneinfo import ZoneInfo

import markupsafe
import msgspec
import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from support.values import TAGS, mixed, session_data, shape, strangers, text, values
from werkzeug.datastructures import CombinedMultiDict, ImmutableDict, MultiDict

from wsgi_session import JSONCodec
from wsgi_session._values import plain_json
from wsgi_session._values.codec import as_stored
from wsgi_session._values.value import convert, copied, is_mutable
from wsgi_session.errors import EncodeError, SessionTooLarge

CODEC = JSONCodec()
LIMIT = 64 * 1024
NAN = math.nan


class Role(enum.Enum):
    ADMIN = "admin"


class Size(enum.IntEnum):
    SMALL = 1


class Level(enum.Enum):
    ONE = 1


class Colour(enum.StrEnum):
    RED = "red"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Odd(enum.Enum):
    PAIR = (1, frozenset({2}))
    NOT_A_NUMBER = NAN
    HALF_A_PAIR = "\ud800"
    THING = object()
    TABLE = {"x": 1}  # noqa: RUF012  a value that no set can hold


@dataclasses.dataclass
class Item:
    sku: Any
    count: int = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: Any


class Plain(msgspec.Struct):
    x: Any


class Tagged(msgspec.Struct, tag="tagged", rename="camel"):
    some_value: Any
    left_out: Any = msgspec.UNSET


class Row(msgspec.Struct, array_like=True):
    x: Any
    y: Any = None


class TaggedRow(msgspec.Struct, array_like=True, tag=7):
    x: Any


class Pair(NamedTuple):
    left: Any
    right: Any


class Text(str):
    def __str__(self) -> str:
        return "another text"


class Tongue(str, enum.Enum):  # noqa: UP042  as before there was StrEnum
    ENGLISH = "en"


class Letters(tuple, enum.Enum):
    AB = ("a", "b")


class Number(int): ...


class Ratio(float): ...


class Blob(bytes): ...


class Names(list): ...


class Table(dict): ...


class Group(set): ...


class Row2(tuple): ...


class Day(date): ...


class Moment(datetime): ...


class Clock(time): ...


class Gap(timedelta): ...


class Price(Decimal): ...


class Ticket(uuid.UUID): ...


class SafeHTML(Markup): ...


class Form(dict):
    """One of the many that keep several values under a key, and show the first."""

    def items(self) -> Any:
        return [(key, values[0]) for key, values in super().items()]

    def getlist(self, key: str) -> Any:
        return super().__getitem__(key)

    def lists(self) -> Any:
        return super().items()


def stored(value: Any) -> Any:
    """Return what the next request reads under a key that *value* was set to."""
    data = CODEC.decode(CODEC.encode({"key": value}))
    assert data is not None
    return data["key"]


def nested(depth: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    return value


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


def test_json_stays_json() -> None:
    """Other tools can read a session: what JSON has is written as it is, and the rest says its type."""
    data = {"n": 1, "cart": [{"sku": "tea"}], "since": date(2026, 1, 31), "ids": {1: ("a",)}}

    assert json.loads(CODEC.encode(data)) == {
        "n": 1,
        "cart": [{"sku": "tea"}],
        "since": {"$date": "2026-01-31"},
        "ids": {"$dict": [[1, {"$tuple": ["a"]}]]},
    }


# --- stored by value -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param(Role.ADMIN, "admin", id="Enum"),
        pytest.param(Size.SMALL, 1, id="IntEnum"),
        pytest.param(Colour.RED, "red", id="StrEnum"),
        pytest.param(Rights.READ | Rights.WRITE, 3, id="Flag"),
        pytest.param(Odd.PAIR, (1, frozenset({2})), id="Enum of a tuple"),
        pytest.param(Odd.TABLE, {"x": 1}, id="Enum of a dict"),
        pytest.param(Item("tea"), {"sku": "tea", "count": 1}, id="dataclass"),
        pytest.param(Point(1), {"x": 1}, id="dataclass with slots"),
        pytest.param(Plain(1), {"x": 1}, id="Struct"),
        pytest.param(Tagged(1), {"type": "tagged", "someValue": 1}, id="Struct with a tag, renamed"),
        pytest.param(Row(1, 2), [1, 2], id="Struct like an array"),
        pytest.param(TaggedRow(1), [7, 1], id="Struct like an array, with a tag"),
        pytest.param(Tongue.ENGLISH, "en", id="Enum of str"),
        pytest.param(Letters.AB, ("a", "b"), id="Enum of tuple"),
    ],
)
def test_what_is_stored_by_value_is_plain_data(value: Any, read: Any) -> None:
    """Dataclasses, Structs and enums become plain data, alone and inside of others."""
    holders = [(value, read), ([value], [read]), ({"k": value}, {"k": read}), ({1: (value,)}, {1: (read,)})]
    holders += [(holder(value), {name: read}) for holder, name in ((Point, "x"), (Plain, "x"))]
    holders += [(Row([value]), [[read], None])]

    assert [shape(stored(given)) for given, _ in holders] == [shape(expected) for _, expected in holders]


@pytest.mark.parametrize("holder", [Point, Plain], ids=["dataclass", "Struct"])
@given(value=values)
def test_what_a_dataclass_holds_is_as_exact_as_everywhere(holder: Any, value: Any) -> None:
    """A value keeps its type also inside of a dataclass or a Struct."""
    assert shape(stored(holder(value))) == shape({"x": value})


def test_a_field_that_was_never_set_is_refused() -> None:
    """Half an object is a mistake of the line that stores it, not of the codec."""

    @dataclasses.dataclass
    class Half:
        total: int = dataclasses.field(init=False)

    with pytest.raises(EncodeError, match=r"^session\['key'\]"):
        as_stored(CODEC, "key", [Half()])


@pytest.mark.parametrize("holder", [Point, Plain], ids=["dataclass", "Struct"])
def test_what_a_dataclass_holds_is_as_strict_as_everywhere(holder: Any) -> None:
    """Keys that would fall together are refused, as they are outside of it."""
    with pytest.raises(EncodeError, match="keys are str or int"):
        CODEC.encode({"key": holder({Role.ADMIN: 1, "admin": 2})})


def test_a_struct_is_read_back_as_itself() -> None:
    """What is stored by value is put together again by a typed read, renamed and tagged Structs included."""
    for value in (Tagged(1), Row(1, 2), TaggedRow(1), Plain([1]), Item("tea")):
        assert convert(stored(value), type(value), None) == value


def test_an_attrs_class_is_stored_by_value() -> None:
    """attrs classes are known by their protocol; the package itself never needs attrs."""

    class Field(NamedTuple):
        name: str

    class Held:
        __attrs_attrs__ = (Field("names"), Field("inner"))

        def __init__(self, names: Any, inner: Any) -> None:
            self.names, self.inner, self.cache = names, inner, object()

    assert shape(stored(Held({"a"}, Held(1, (2,))))) == shape({"names": {"a"}, "inner": {"names": 1, "inner": (2,)}})


def test_a_real_attrs_class_is_stored_by_value() -> None:
    """And put together again by a typed read."""
    attrs = pytest.importorskip("attrs")
    held = attrs.make_class("Held", {"names": attrs.field(type=set[str]), "count": attrs.field(type=int)})

    assert shape(stored(held({"a"}, 1))) == shape({"names": {"a"}, "count": 1})
    assert convert(stored([held({"a"}, 1)]), list[held], None) == [held({"a"}, 1)]  # type: ignore[valid-type]


# --- refused where it is set -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "where", "reason"),
    [
        pytest.param(value, where, reason, id=name)
        for name, (value, where, reason) in {
            "NaN": (NAN, "['key']", "NaN or infinite"),
            "infinity": (-math.inf, "['key']", "NaN or infinite"),
            "Decimal NaN": (Decimal("sNaN"), "['key']", "NaN or infinite"),
            "Decimal infinity": (Decimal("-Infinity"), "['key']", "NaN or infinite"),
            "an enum of NaN": (Odd.NOT_A_NUMBER, "['key']", "NaN or infinite"),
            "NaN in a list": ([0, [NAN]], "['key'][1][0]", "NaN or infinite"),
            "NaN in a dict": ({"a": {"b": NAN}}, "['key']['a']['b']", "NaN or infinite"),
            "NaN under an int key": ({1: {2: NAN}}, "['key'][1][2]", "NaN or infinite"),
            "NaN in a tuple": ((1, (NAN,)), "['key'][1][0]", "NaN or infinite"),
            "NaN in a set": ({NAN}, "['key'][0]", "NaN or infinite"),
            "NaN in a frozenset": (frozenset({(NAN,)}), "['key'][0][0]", "NaN or infinite"),
            "NaN in a dataclass": (Item([NAN]), "['key']['sku'][0]", "NaN or infinite"),
            "NaN in a Struct": ([Plain({"a": NAN})], "['key'][0]['x']['a']", "NaN or infinite"),
            "complex": (1j, "['key']", "complex"),
            "object": (object(), "['key']", "object"),
            "bytearray": (bytearray(b"x"), "['key']", "bytearray"),
            "memoryview": (memoryview(b"x"), "['key']", "memoryview"),
            "generator": ((number for number in ()), "['key']", "generator"),
            "iterator": (iter([]), "['key']", "list_iterator"),
            "range": (range(3), "['key']", "range"),
            "dict view": ({}.keys(), "['key']", "dict_keys"),
            "deque": (collections.deque([1]), "['key']", "deque"),
            "a class": (Item, "['key']", "type"),
            "a function": (len, "['key']", "builtin_function_or_method"),
            "a path": (Path(), "['key']", "Path"),
            "an enum of an object": (Odd.THING, "['key']", "object"),
            "raw JSON": (msgspec.Raw(b'{"$set":[]}'), "['key']", "Raw"),
            "an object in a list": ([1, object()], "['key'][1]", "object"),
            "a bytearray in a dict": ({"a": bytearray()}, "['key']['a']", "bytearray"),
            "a bytearray in a dataclass": (Item(bytearray()), "['key']['sku']", "bytearray"),
            "a memoryview in a Struct": (Plain([memoryview(b"")]), "['key']['x'][0]", "memoryview"),
            "an object in a dataclass": (Item({"a": object()}), "['key']['sku']['a']", "object"),
            "a time in a zone": (time(1, tzinfo=ZoneInfo("Europe/Berlin")), "['key']", "store a datetime"),
            "a moment half a second off UTC": (
                [datetime(2026, 1, 1, tzinfo=timezone(timedelta(seconds=-0.5)))],
                "['key'][0]",
                "less than a second off",
            ),
            "a time half a second off UTC": (time(1, tzinfo=timezone(timedelta(seconds=0.5))), "['key']", "off UTC"),
            "None as key": ({None: 1}, "['key'][None]", "NoneType; keys are str or int"),
            "True as key": ({True: 1}, "['key'][True]", "bool; keys are str or int"),
            "a float as key": ({1.0: 1}, "['key'][1.0]", "float; keys are str or int"),
            "bytes as key": ([{b"a": 1}], "['key'][0][b'a']", "bytes; keys are str or int"),
            "a tuple as key": ({(1, 2): 1}, "['key'][(1, 2)]", "tuple; keys are str or int"),
            "a date as key": ({date(2026, 1, 31): 1}, "['key'][datetime.date(2026, 1, 31)]", "date; keys are"),
            "an enum as key": ({Role.ADMIN: 1}, "['key'][<Role.ADMIN: 'admin'>]", "Role; keys are str or int"),
            "a surrogate": ("\ud800", "['key']", "holds text"),
            "a surrogate in a list": (["a", "\ud800"], "['key'][1]", "holds text"),
            "a surrogate in a tuple": (("a", "\ud800"), "['key'][1]", "holds text"),
            "a surrogate in a set": ({"\ud800"}, "['key']", "holds text"),
            "a surrogate in a frozenset in a tuple": ((1, frozenset({"\ud800"})), "['key'][1]", "holds text"),
            "a surrogate as key": ({"a": {"\ud800": 1}}, "['key']['a']['\\ud800']", "holds text"),
            "a surrogate beside an int key": ({1: {"\ud800": 1}}, "['key'][1]['\\ud800']", "holds text"),
            "a surrogate under an int key": ({1: ["\ud800"]}, "['key'][1][0]", "holds text"),
            "a surrogate in a dataclass": (Item("\ud800"), "['key']['sku']", "holds text"),
            "a surrogate in an enum": ([Odd.HALF_A_PAIR], "['key'][0]", "holds text"),
            "a surrogate after other text": ({"é": "ü", "a": "\ud800"}, "['key']['a']", "holds text"),
            "a surrogate after a set": ([{1}, b"", "\ud800"], "['key'][2]", "holds text"),
            "an int of 4301 digits": (10**4300, "['key']", "a number"),
            "an int of 4301 digits, nested": ({"a": [10**4300]}, "['key']['a'][0]", "a number"),
            "an int of 4301 digits in a set": ({10**4300}, "['key']", "a number"),
            "an int of 4301 digits as key": ({10**4300: 1}, "['key']", "a number"),
        }.items()
    ],
)
def test_what_cannot_be_stored_is_refused_where_it_is_set(value: Any, where: str, reason: str) -> None:
    """The error is a ``TypeError`` at the line that sets the value, and names key, path and reason."""
    with pytest.raises(EncodeError) as caught:
        as_stored(CODEC, "key", value)

    assert str(caught.value).startswith(f"session{where}"), str(caught.value)[:200]
    assert reason in str(caught.value)[: 200 + len(where)]
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("answer", [(), None, 5, MagicMock()], ids=["empty", "none", "number", "mock"])
def test_an_object_that_answers_to_any_name_is_refused(answer: Any) -> None:
    """A stand-in or a lazy object is no attrs class without fields: it would be stored as an empty dict."""

    class Obliging:
        def __getattr__(self, name: str) -> Any:
            return answer

    with pytest.raises(EncodeError, match="is of type Obliging, which cannot be stored"):
        as_stored(CODEC, "key", Obliging())


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({Point(1)}, id="a frozen dataclass in a set"),
        pytest.param(frozenset({Point(1)}), id="a frozen dataclass in a frozenset"),
        pytest.param([{(1, Point(2))}], id="a frozen dataclass in a tuple in a set"),
        pytest.param({Odd.TABLE}, id="an enum of a dict in a set"),
        pytest.param({Role.ADMIN, "admin"}, id="two that are stored as one"),
        pytest.param({1, Level.ONE}, id="two that are stored as one number"),
    ],
)
def test_a_set_of_what_no_set_can_hold_as_plain_data_is_refused(value: Any) -> None:
    """What would be stored but could not be read again would cost the user the whole session."""
    with pytest.raises(EncodeError, match=r"^session\['key'\]"):
        as_stored(CODEC, "key", value)


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
@pytest.mark.parametrize("digits", [3900, 3913, 3914, 4299, 4300, 4301, 5000])
def test_a_number_is_read_again_or_refused(digits: int, sign: int) -> None:
    """However long a number is: what is stored can be read."""
    number = sign * 10 ** (digits - 1)
    for value in (number, [number], {number: 1}, {number}, (number, "a")):
        try:
            payload = CODEC.encode({"key": value})
        except EncodeError:
            continue
        assert CODEC.decode(payload) == {"key": value}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param(1, "session[1]: the key is of type int", id="int"),
        pytest.param(True, "session[True]: the key is of type bool", id="bool"),
        pytest.param(None, "session[None]: the key is of type NoneType", id="None"),
        pytest.param(b"a", "session[b'a']: the key is of type bytes", id="bytes"),
        pytest.param(("a",), "session[('a',)]: the key is of type tuple", id="tuple"),
        pytest.param("\ud800", "session['\\ud800'] holds text", id="a lone surrogate"),
    ],
)
@pytest.mark.parametrize("value", [1, [1]], ids=["a plain value", "a list"])
def test_sec_69_a_session_key_is_text(key: Any, words: str, value: Any) -> None:
    """JSON would silently turn 1 into "1": keys are refused, not converted."""
    with pytest.raises(EncodeError) as setting:
        as_stored(CODEC, key, value)
    with pytest.raises(EncodeError) as storing:
        CODEC.encode({key: value})

    assert words in str(setting.value)
    assert words in str(storing.value)


def test_a_key_that_is_an_enum_is_its_text_or_number() -> None:
    """An enum's member is a good key: its text counts, whatever ``str()`` makes of it."""
    data = {Colour.RED: 1, Tongue.ENGLISH: {Colour.RED: 2}, "sizes": {Size.SMALL: (3,), Tongue.ENGLISH: 4}}

    assert shape(CODEC.decode(CODEC.encode(data))) == shape({"red": 1, "en": {"red": 2}, "sizes": {1: (3,), "en": 4}})


@pytest.mark.parametrize(
    ("value", "where"),
    [
        pytest.param({Text("a"): 1}, "['key']['a'] is under a key of type Text; keys are str", id="str"),
        pytest.param([{Text("a"): (1,)}], "['key'][0]['a'] is under a key of type Text; keys are str", id="nested"),
        pytest.param({"x": {Markup("a"): 1}}, "['key']['x'][Markup('a')] is under a key of type Markup", id="Markup"),
        pytest.param({Number(1): 1}, "['key'][1] is under a key of type Number; keys are str or int", id="int"),
    ],
)
def test_a_key_of_another_class_is_refused(value: Any, where: str) -> None:
    """It may compare in its own way, or carry more than its text."""
    with pytest.raises(EncodeError, match=re.escape(f"session{where}")):
        as_stored(CODEC, "key", value)


def test_a_session_key_of_another_class_is_refused() -> None:
    """It would be read back as another object than the one that was used."""
    with pytest.raises(EncodeError, match=r"session\['a'\]: the key is of type Text, keys of a session are str"):
        CODEC.encode({Text("a"): 1})


def test_keys_that_are_stored_as_one_are_refused() -> None:
    """Whoever made two keys of one text has two values, of which one would be lost."""

    class Own(str, enum.Enum):  # noqa: UP042  with a comparison of its own
        RED = "red"
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    with pytest.raises(EncodeError, match=r"session\['key'\] is a dict of which two keys are stored as the same"):
        as_stored(CODEC, "key", {Own.RED: 1, "red": 2})


# --- refused, since it is more than what it would be stored as --------------------------------------------------------

SUBCLASSES = [
    pytest.param(Pair(1, 2), "tuple(pair)", id="namedtuple"),
    pytest.param(Text("text"), "str.__str__(text)", id="str"),
    pytest.param(Number(3), "int(number)", id="int"),
    pytest.param(Ratio(1.5), "float(ratio)", id="float"),
    pytest.param(Blob(b"b"), "bytes(blob)", id="bytes"),
    pytest.param(Names([1]), "list(names)", id="list"),
    pytest.param(Table(a=1), "dict(table)", id="dict"),
    pytest.param(collections.defaultdict(list, a=[1]), "dict(defaultdict)", id="defaultdict"),
    pytest.param(collections.OrderedDict(a=1), "dict(ordereddict)", id="OrderedDict"),
    pytest.param(collections.Counter("aab"), "dict(counter)", id="Counter"),
    pytest.param(Row2([1]), "tuple(row2)", id="tuple"),
    pytest.param(Group({1}), "set(group)", id="set"),
    pytest.param(Day(2026, 1, 31), "date(day.year, day.month, day.day)", id="date"),
    pytest.param(Moment(2026, 1, 31, tzinfo=UTC), "datetime.fromisoformat(moment.isoformat())", id="datetime"),
    pytest.param(Clock(1, 2), "time.fromisoformat(clock.isoformat())", id="time"),
    pytest.param(Gap(days=3), "timedelta(gap.days, gap.seconds, gap.microseconds)", id="timedelta"),
    pytest.param(Price("1.10"), "Decimal(price)", id="Decimal"),
    pytest.param(Ticket(int=3), "UUID(int=ticket.int)", id="UUID"),
    pytest.param(MultiDict([("size", "S"), ("size", "L")]), "multidict.to_dict(flat=False)", id="MultiDict"),
    pytest.param(
        CombinedMultiDict([MultiDict([("size", "S")])]), "combinedmultidict.to_dict(flat=False)", id="CombinedMultiDict"
    ),
    pytest.param(ImmutableDict(a=1), "dict(immutabledict)", id="ImmutableDict"),
    pytest.param(Form({"size": ["S", "L"]}), "dict(form.lists())", id="as Django's QueryDict"),
    pytest.param(SafeString("<b>"), "markupsafe.Markup(safestring)", id="safe HTML of Django's"),
    pytest.param(SafeHTML("<b>"), "markupsafe.Markup(safehtml)", id="Markup"),
]


@pytest.mark.parametrize(("value", "remedy"), SUBCLASSES)
@pytest.mark.parametrize("beside", [{}, {"since": date(2026, 1, 31)}], ids=["alone", "beside a date"])
def test_a_subclass_of_a_carried_type_is_refused_with_the_remedy(value: Any, remedy: str, beside: Any) -> None:
    """It would read back as another type than was stored, and perhaps with less: whatever lies beside it."""
    name = type(value).__name__.lower()
    holders = [(value, ""), ([1, {name: value}], f"[1]['{name}']"), (Item({name: value}), f"['sku']['{name}']")]

    for held, where in holders:
        with pytest.raises(EncodeError) as caught:
            CODEC.encode({name: held, **beside})
        with pytest.raises(EncodeError):
            as_stored(CODEC, name, held)

        assert str(caught.value).startswith(f"session['{name}']{where} is of type {type(value).__name__}, which would ")
        assert str(caught.value).endswith(f"; store {remedy}")


@pytest.mark.parametrize(("value", "remedy"), SUBCLASSES)
def test_the_remedy_can_be_stored(value: Any, remedy: str) -> None:
    """What the error says to write is no subclass any more."""
    names = {"date": date, "datetime": datetime, "time": time, "timedelta": timedelta, "Decimal": Decimal}
    names |= {"UUID": uuid.UUID, "markupsafe": markupsafe, type(value).__name__.lower(): value}

    plain = eval(remedy, names)

    assert shape(stored(plain)) == shape(plain)


def test_a_key_that_is_no_name_makes_no_odd_remedy() -> None:
    """The remedy is a line that one could write."""
    for key in ("a b", "class-name", ""):
        with pytest.raises(EncodeError, match=r"store dict\(value\)"):
            CODEC.encode({key: collections.OrderedDict()})


@given(mixed)
def test_whatever_class_a_value_is_of_it_reads_back_exactly_or_is_refused(value: Any) -> None:
    """Subclasses with methods, attributes or slots of their own, anywhere among plain values: never almost the same."""
    for held in (value, [value], {"key": value}, {1: (value,)}):
        try:
            as_stored(CODEC, "key", held)
        except EncodeError:
            continue
        assert shape(stored(held)) == shape(held)


@given(strangers())
def test_a_subclass_is_never_taken_for_its_type(value: Any) -> None:
    """However it looks: the line that sets it says so."""
    for held in (value, [value], {"a": {"b": value}}, (1, value), Point(value)):
        with pytest.raises(EncodeError, match="of type Stranger"):
            as_stored(CODEC, "key", held)


def stand_in(base: type, **body: Any) -> Any:
    """Return what freezegun puts in the place of *base* while it holds the clock."""

    class Meta(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, base)

    return Meta(f"Fake{base.__name__}", (base,), body)


def test_the_stand_ins_of_a_frozen_clock_are_carried() -> None:
    """A test that freezes the time gets dates of a class that takes every date for one of its own."""
    fake_date, fake_datetime = stand_in(date), stand_in(datetime, isoformat=lambda self: "never")
    berlin = ZoneInfo("Europe/Berlin")

    assert shape(stored([fake_date(2026, 1, 31)])) == shape([date(2026, 1, 31)])
    assert shape(stored(fake_datetime(2026, 10, 25, tzinfo=UTC))) == shape(datetime(2026, 10, 25, tzinfo=UTC))
    assert shape(stored(fake_datetime(2026, 10, 25, tzinfo=berlin))) == shape(datetime(2026, 10, 25, tzinfo=berlin))


def test_a_stand_in_that_carries_something_is_refused() -> None:
    """It is no mere stand-in then."""
    day = stand_in(date)(2026, 1, 31)
    day.note = "payday"

    with pytest.raises(EncodeError, match="of type Fakedate, which would read back as a plain date"):
        CODEC.encode({"day": day})


# --- what equality ignores -------------------------------------------------------------------------------------------


def test_a_uuid_keeps_how_it_was_made() -> None:
    """Equality does not look at ``is_safe``, which a version 1 UUID has."""
    for safety in uuid.SafeUUID:
        assert stored(uuid.UUID(int=3, is_safe=safety)).is_safe is safety


def test_a_uuid_that_was_made_in_no_known_way_is_refused() -> None:
    """Its ``is_safe`` can be anything."""
    with pytest.raises(EncodeError, match="is a UUID whose is_safe is no SafeUUID"):
        CODEC.encode({"key": uuid.UUID(int=3, is_safe=0)})  # type: ignore[arg-type]


def test_markup_stays_markup() -> None:
    """Text that is safe to put into a page is so in the next request, and other text is not."""
    data = {"html": Markup("<b>"), "text": "<b>"}

    assert shape(stored(data)) == shape(data)
    assert json.loads(CODEC.encode(data)) == {"html": {"$markup": "<b>"}, "text": "<b>"}


def test_a_dict_that_once_had_another_key_is_looked_at_as_closely() -> None:
    """Python keeps its keys in another kind of table."""
    had_another: dict[Any, Any] = {1: "gone", "a": 1.5, "b": None}
    del had_another[1]

    assert shape(stored([had_another])) == shape([{"a": 1.5, "b": None}])
    assert shape(stored([had_another | {2: "two"}])) == shape([{"a": 1.5, "b": None, 2: "two"}])


@pytest.mark.parametrize(
    "is_every_dict_seen", [plain_json._IS_EVERY_DICT_SEEN, False], ids=["here", "from Python 3.13 on"]
)
def test_the_attributes_of_an_object_are_looked_at_as_closely(
    is_every_dict_seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python may keep them in the object itself, beside a dict that seems to hold as many things."""
    monkeypatch.setattr(plain_json, "_IS_EVERY_DICT_SEEN", is_every_dict_seen)
    item = Item("pear", (1, 2))  # type: ignore[arg-type]
    attributes = vars(item)

    assert shape(stored([attributes])) == shape([attributes])
    assert shape(stored([attributes, {1: "a", 2: "b"}, {}])) == shape([attributes, {1: "a", 2: "b"}, {}])
    assert stored([{"a": [1.5, None]}]) == [{"a": [1.5, None]}]


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
        as_stored(CODEC, "key", nested(33, wrap))
    with pytest.raises(EncodeError):
        as_stored(CODEC, "key", nested(3000, wrap))


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
        as_stored(CODEC, "key", value)


def test_sec_67_a_session_has_64_kib() -> None:
    """The last byte that fits is stored and read; one more is refused, naming the largest value and the remedy."""
    room = LIMIT - len(CODEC.encode({"small": 1, "big": ""}))
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
    as_stored(CODEC, "key", value)
    for _ in range(27):
        value = double(value)

    tracemalloc.start()
    try:
        with pytest.raises(SessionTooLarge, match=r"^session\['key'\] has more than 65536 parts"):
            as_stored(CODEC, "key", value)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 500 * LIMIT


def test_sec_67_an_oversized_record_is_not_even_parsed() -> None:
    """A giant that somebody planted in the store reads as none of ours."""
    assert CODEC.decode(b'{"key":"' + b"x" * (LIMIT - 10) + b'"}') is not None
    assert CODEC.decode(b'{"key":"' + b"x" * (LIMIT - 9) + b'"}') is None


# --- reading what is not ours ----------------------------------------------------------------------------------------


def assert_is_none_or_ours(payload: bytes) -> None:
    """What is read can be stored, and is the same again."""
    data = CODEC.decode(payload)
    if data is not None:
        try:
            again = CODEC.encode(data)
        except SessionTooLarge:
            return  # another spelling of it was shorter
        assert shape(CODEC.decode(again)) == shape(data)


json_like = st.text('{}[]"$:,01e.-\\u truefalsn', max_size=60)


@given(st.binary(max_size=200) | (text | json_like).map(str.encode))
def test_sec_70_no_bytes_raise(payload: bytes) -> None:
    """Arbitrary bytes read as a session or as none."""
    assert_is_none_or_ours(payload)


@given(
    data=session_data,
    position=st.integers(0, 10_000),
    length=st.integers(0, 3),
    piece=st.binary(max_size=3) | st.sampled_from([b"$", b"{", b'"$', b"[", b"null", b"1.5", b"\\u0000", b"\xff"]),
)
def test_sec_72_no_damage_raises(data: dict[str, Any], position: int, length: int, piece: bytes) -> None:
    """A record with some bytes changed, lost or added reads as a session or as none."""
    payload = CODEC.encode(data)
    position %= len(payload) + 1

    assert_is_none_or_ours(payload[:position] + piece + payload[position + length :])


contents = st.sampled_from(["2026-01-31", "12:00", "1E+5", "NaN", "sNaN", "AA==", "x" * 32, "0" * 32])
tags = st.sampled_from([*TAGS, "$date", "$time", "a"])
foreign = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | text | contents,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(tags, inner, max_size=2),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=3), foreign, max_size=3))
def test_sec_70_no_tag_raises_whatever_it_holds(data: dict[str, Any]) -> None:
    """A tag with a content that is never written makes the record none of ours."""
    assert_is_none_or_ours(msgspec.json.encode(data))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'[{"$set":[]}]', id="a list with a tag"),
        pytest.param(b'"{}"', id="text"),
        pytest.param(b"{}{}", id="two objects"),
        pytest.param(b'{"k":1', id="half of an object"),
        pytest.param(b'{"k":NaN}', id="NaN"),
        pytest.param(b'{"k":-Infinity}', id="Infinity"),
        pytest.param(b'{"k":1e999}', id="a float beyond all floats"),
        pytest.param(b'{"k":"\\ud800"}', id="an escaped surrogate"),
        pytest.param(b'{"k":"\xed\xa0\x80"}', id="a surrogate"),
        pytest.param(b'{"k":"\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 60_000, id="a tower of lists"),
        pytest.param(b'{"a":' * 10_000, id="a tower of objects"),
        pytest.param(b'{"k":' + b"[" * 33 + b"]" * 33 + b"}", id="33 lists"),
        pytest.param(b'{"k":' + b'{"a":' * 33 + b"1" + b"}" * 34, id="33 objects"),
        pytest.param(b'{"k":' + b'{"$tuple":[' * 33 + b"]}" * 33 + b"}", id="33 tuples"),
        pytest.param(b'{"k":' + b'{"$dict":[["a",' * 33 + b"1" + b"]]}" * 33 + b"}", id="33 dicts"),
        pytest.param(b'{"k":' + b"1" * 5000 + b"}", id="a number of 5000 digits"),
        pytest.param(b'{"k":{"$new":1}}', id="an unknown tag"),
        pytest.param(b'{"k":{"$":1}}', id="a tag without a name"),
        pytest.param(b'{"k":{"$set":[[1]]}}', id="a set of lists"),
        pytest.param(b'{"k":{"$set":"ab"}}', id="a set of text"),
        pytest.param(b'{"k":{"$tuple":{"a":1}}}', id="a tuple of a dict"),
        pytest.param(b'{"k":{"$dict":{"ab":1}}}', id="a dict of a dict"),
        pytest.param(b'{"k":{"$dict":["ab"]}}', id="a dict of text"),
        pytest.param(b'{"k":{"$dict":[[1]]}}', id="a dict of single values"),
        pytest.param(b'{"k":{"$dict":[[null,1]]}}', id="a dict with a null key"),
        pytest.param(b'{"k":{"$dict":[[true,1]]}}', id="a dict with a bool key"),
        pytest.param(b'{"k":{"$dict":[[1.5,1]]}}', id="a dict with a float key"),
        pytest.param(b'{"k":{"$dict":[[[],1]]}}', id="a dict with a list as key"),
        pytest.param(b'{"k":{"$bytes":"A"}}', id="bytes that are no base64"),
        pytest.param(b'{"k":{"$bytes":"\xc3\xa9"}}', id="bytes beyond ASCII"),
        pytest.param(b'{"k":{"$bytes":null}}', id="bytes of null"),
        pytest.param(b'{"k":{"$datetime":"yesterday"}}', id="a datetime in words"),
        pytest.param(b'{"k":{"$datetime":1}}', id="a datetime of a number"),
        pytest.param(b'{"k":{"$date":"2026-02-30"}}', id="a day that never was"),
        pytest.param(b'{"k":{"$time":"25:00"}}', id="an hour that never was"),
        pytest.param(b'{"k":{"$timedelta":"12"}}', id="a timedelta of text"),
        pytest.param(b'{"k":{"$timedelta":[1e308,0,0]}}', id="an endless timedelta"),
        pytest.param(b'{"k":{"$timedelta":["1",0,0]}}', id="a timedelta with text"),
        pytest.param(b'{"k":{"$decimal":"NaN"}}', id="a Decimal that is none"),
        pytest.param(b'{"k":{"$decimal":"sNaN"}}', id="a signalling Decimal"),
        pytest.param(b'{"k":{"$decimal":"Infinity"}}', id="an infinite Decimal"),
        pytest.param(b'{"k":{"$decimal":"1E+99999999999999999999"}}', id="a Decimal beyond all"),
        pytest.param(b'{"k":{"$decimal":1.5}}', id="a Decimal of a float"),
        pytest.param(b'{"k":{"$uuid":"1"}}', id="a short UUID"),
        pytest.param(b'{"k":{"$uuid":5}}', id="a UUID of a number"),
        pytest.param(b'{"k":{"$uuid":["' + b"0" * 32 + b'",1]}}', id="a UUID made in an unknown way"),
        pytest.param(b'{"k":{"$uuid":["' + b"0" * 32 + b'"]}}', id="half of a UUID"),
        pytest.param(b'{"k":{"$markup":1}}', id="markup of a number"),
        pytest.param(b'{"k":{"$markup":{"__html__":1}}}', id="markup of an object"),
        pytest.param(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00}\x94.", id="a pickle"),
    ],
)
def test_sec_70_what_was_never_written_is_not_ours(payload: bytes) -> None:
    """Whatever somebody planted in the store reads as no session at all, never as a part of one."""
    assert CODEC.decode(payload) is None


def test_sec_70_a_type_whose_package_is_missing_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a time zone that this machine does not know: whoever plants it raises nothing."""
    payload = CODEC.encode({"html": Markup("<b>")})
    monkeypatch.setitem(sys.modules, "markupsafe", None)

    assert CODEC.decode(payload) is None


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
    assert as_stored(CODEC, "key", value) is value


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
    assert shape(as_stored(CODEC, "key", value)) == shape(held)


def test_another_codec_may_forget() -> None:
    """A codec that cannot read back what it wrote does not lose the value of this request."""

    class Forgetful(JSONCodec):
        __slots__ = ()

        def decode(self, payload: bytes, /) -> dict[str, Any] | None:
            return None

    assert as_stored(Forgetful(), "key", Role.ADMIN) is Role.ADMIN


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            pytest.param(value, False, id=type(value).__name__)
            for value in (None, True, 1, 1.5, "", b"", Decimal(1), uuid.UUID(int=1), date.min, time(), timedelta())
        ),
        pytest.param(frozenset(), False, id="frozenset"),
        *(pytest.param(value, True, id=type(value).__name__) for value in ([], {}, set(), ([],))),
    ],
)
def test_only_what_can_change_is_watched(value: Any, expected: bool) -> None:
    """Values that cannot be mutated cost nothing."""
    assert is_mutable(value) is expected


class Address(TypedDict):
    street: str


@pytest.mark.parametrize(
    ("value", "kind", "read"),
    [
        pytest.param(1, int, 1, id="int"),
        pytest.param("1", int, "default", id="text is no int"),
        pytest.param(True, int, "default", id="True is no int"),
        pytest.param(1.0, int, "default", id="a float is no int"),
        pytest.param(None, int, "default", id="None is no int"),
        pytest.param(None, int | None, None, id="None where it is allowed"),
        pytest.param([{"sku": "tea", "count": 2}], list[Item], [Item("tea", 2)], id="a list of dataclasses"),
        pytest.param({"sku": "tea", "count": "2"}, Item, "default", id="a dataclass with a wrong field"),
        pytest.param([Item("tea")], list[Item], [Item("tea")], id="dataclasses set in this request"),
        pytest.param({"street": "A"}, Address, {"street": "A"}, id="TypedDict"),
        pytest.param({}, Address, "default", id="TypedDict with a key missing"),
        pytest.param("admin", Role, Role.ADMIN, id="Enum"),
        pytest.param("root", Role, "default", id="no member of the Enum"),
        pytest.param({"type": "tagged", "someValue": 1}, Tagged, Tagged(1), id="Struct"),
        pytest.param({1: "a"}, dict[int, str], {1: "a"}, id="int keys"),
        pytest.param({1, 2}, set[int], {1, 2}, id="set"),
        pytest.param((1, "a"), tuple[int, str], (1, "a"), id="tuple"),
        pytest.param(b"x", bytes, b"x", id="bytes"),
        pytest.param(b"x", str, "default", id="bytes are no text"),
        pytest.param(Decimal("1.10"), Decimal, Decimal("1.10"), id="Decimal"),
        pytest.param(uuid.UUID(int=1), uuid.UUID, uuid.UUID(int=1), id="UUID"),
        pytest.param(datetime(2026, 1, 31, tzinfo=UTC), datetime, datetime(2026, 1, 31, tzinfo=UTC), id="datetime"),
        pytest.param(nested(3000, lambda value: [value]), list, "default", id="too deep to copy"),
    ],
)
def test_a_typed_read_fits_or_is_absent(value: Any, kind: Any, read: Any) -> None:
    """What does not fit the asked type gives the default, as if it were not there."""
    assert convert(value, kind, "default") == read


def test_a_typed_read_is_a_copy() -> None:
    """Changing it changes nothing in the session."""
    value = {"names": ["a"]}

    convert(value, dict[str, list[str]], None)["names"].append("b")
    convert(value, Any, None)["names"].append("c")

    assert value == {"names": ["a"]}


def test_a_typed_read_of_objects_is_a_copy() -> None:
    """Also of what this request put in as it is."""
    value = [Item("tea"), Plain([1])]

    convert(value, list[Any], [])[1]["x"].append(2)
    convert(value[:1], list[Item], [])[0].count = 9

    assert value == [Item("tea"), Plain([1])]


def test_a_copy_of_what_cannot_be_stored_is_a_copy() -> None:
    """The default of an ``apply()`` may be a Counter that becomes a dict: it is not what the function changes."""
    default = collections.Counter(a=1)

    copy = copied([default])[0]
    copy["a"] += 1
    copy["b"] += 1

    assert (type(copy), copy, default) == (collections.Counter, {"a": 2, "b": 1}, {"a": 1})


@given(values)
def test_a_typed_read_is_what_the_next_request_reads(value: Any) -> None:
    """Without a wish of its own it gives the value as it is stored."""
    held = [value, Point(value), Role.ADMIN]

    assert shape(convert(held, Any, None)) == shape(convert(stored(held), Any, None))
    assert shape(convert(held, Any, None)) == shape([value, {"x": value}, "admin"])


def test_a_typed_read_of_what_cannot_be_copied_is_absent() -> None:
    """A list may hold what the commit will refuse; a read does not fail over it."""
    assert convert([threading.Lock()], list[int], "default") == "default"


def test_a_type_that_makes_no_sense_is_the_callers_mistake() -> None:
    """Only values are forgiven, not programs."""
    with pytest.raises(TypeError):
        convert(1, Odd, None)


def test_repr_is_what_one_would_write() -> None:
    """It shows up in the repr of options."""
    assert repr(CODEC) == "JSONCodec()"


def alternating(levels: int) -> Any:
    value: Any = ']}[{\\"'
    for level in range(levels):
        value = [value] if level % 2 else {"key": value}
    return value


@pytest.mark.parametrize("levels", [1, 16, 31, 32])
def test_wide_data_comes_back_at_every_depth(levels: int) -> None:
    """Many containers, strings full of brackets: up to the limit it is carried."""
    data = {"wide": [{"a": "{[", "b": [1]} for _ in range(50)], "deep": alternating(levels)}

    assert JSONCodec().decode(JSONCodec().encode(data)) == data


@pytest.mark.parametrize("levels", [33, 34, 60, 64, 66])
def test_wide_data_is_refused_beyond_the_depth(levels: int) -> None:
    """However the containers alternate: what is too deep is neither stored nor read."""
    data = {"wide": [{"a": "{[", "b": [1]} for _ in range(50)], "deep": alternating(levels)}

    with pytest.raises(EncodeError, match="levels deep"):
        JSONCodec().encode(data)
    assert JSONCodec().decode(json.dumps(data).encode()) is None


def test_deep_data_takes_no_more_memory_than_wide_data() -> None:
    """Whoever plants it, or sends what an application stores: neither way takes more than some times its size."""
    deep: Any = [1] * 30_000
    for _ in range(500):
        deep = [deep]
    payload = msgspec.json.encode({"deep": deep})

    tracemalloc.start()
    try:
        assert JSONCodec().decode(payload) is None
        with pytest.raises(EncodeError, match="levels deep"):
            JSONCodec().encode({"deep": deep})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 50 * len(payload)
