"""Classes of values as applications have them, and what a session makes of a value."""

import dataclasses
import enum
import math
from typing import Any

import msgspec

from support.whole import WholeSession

CODEC = WholeSession()

NAN = math.nan


class Role(enum.Enum):
    ADMIN = "admin"


class Size(enum.IntEnum):
    SMALL = 1


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


class Letters(tuple, enum.Enum):
    AB = ("a", "b")


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
