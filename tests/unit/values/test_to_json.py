"""What a value is as JSON, and what is refused at the line that sets it."""

import collections
import dataclasses
import enum
import json
import math
import re
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import MagicMock
from zoneinfo import ZoneInfo

import markupsafe
import msgspec
import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from markupsafe import Markup
from support.classes import CODEC, NAN, Item, Letters, Odd, Plain, Point, Role, Size, Tagged, stored
from support.values import mixed, shape, strangers, values
from support.whole import as_stored
from werkzeug.datastructures import CombinedMultiDict, ImmutableDict, MultiDict

from wsgi_session import JSONCodec
from wsgi_session._values.value import convert
from wsgi_session.errors import EncodeError


class Level(enum.Enum):
    ONE = 1


class Colour(enum.StrEnum):
    RED = "red"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


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
        as_stored(JSONCodec(), "key", [Half()])


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
        as_stored(JSONCodec(), "key", value)

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
        as_stored(JSONCodec(), "key", Obliging())


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
        as_stored(JSONCodec(), "key", value)


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
        as_stored(JSONCodec(), key, value)
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
        as_stored(JSONCodec(), "key", value)


def test_a_session_key_of_another_class_is_refused() -> None:
    """It would be read back as another object than the one that was used."""
    with pytest.raises(EncodeError, match=r"session\['a'\]: the key is of type Text, keys of a session are str"):
        CODEC.encode({Text("a"): 1})


def test_keys_that_are_stored_as_one_are_refused() -> None:
    """Two keys of one text have two values, of which one would be lost."""

    class Own(str, enum.Enum):  # noqa: UP042  with a comparison of its own
        RED = "red"
        __hash__ = object.__hash__
        __eq__ = object.__eq__

    with pytest.raises(EncodeError, match=r"session\['key'\] is a dict with two keys that are stored as the same"):
        as_stored(JSONCodec(), "key", {Own.RED: 1, "red": 2})


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
            as_stored(JSONCodec(), name, held)

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
            as_stored(JSONCodec(), "key", held)
        except EncodeError:
            continue
        assert shape(stored(held)) == shape(held)


@given(strangers())
def test_a_subclass_is_never_taken_for_its_type(value: Any) -> None:
    """However it looks: the line that sets it says so."""
    for held in (value, [value], {"a": {"b": value}}, (1, value), Point(value)):
        with pytest.raises(EncodeError, match="of type Stranger"):
            as_stored(JSONCodec(), "key", held)


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
    with pytest.raises(EncodeError, match="is a UUID whose is_safe is not a SafeUUID"):
        CODEC.encode({"key": uuid.UUID(int=3, is_safe=0)})  # type: ignore[arg-type]


def test_markup_stays_markup() -> None:
    """Text that is safe to put into a page is so in the next request, and other text is not."""
    data = {"html": Markup("<b>"), "text": "<b>"}

    assert shape(stored(data)) == shape(data)
    assert json.loads(JSONCodec().encode(data)) == {"html": {"$markup": "<b>"}, "text": "<b>"}
