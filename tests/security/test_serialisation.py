"""Section K: what is stored is data and only data; what is damaged is nobody's session (SEC-68 … 72)."""

import ast
import marshal
import math
import os
import pickle
import re
import sqlite3
import traceback
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.forge import NAME, make_token, mint
from support.visitor import Visitor, visitor_of
from support.whole import WholeSession

import wsgi_session
from wsgi_session import JSONCodec, Record, Session
from wsgi_session._http.token import store_key
from wsgi_session._values.frame import split_frame
from wsgi_session.errors import EncodeError
from wsgi_session.importers.payload import inflated
from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.testing import FakeClock

SOURCES = sorted(Path(str(wsgi_session.__file__)).parent.rglob("*.py"))


def plant(visitor: Visitor, data: bytes) -> str:
    """Put *data* in the store, as whoever can write there could, and return the cookie of that session."""
    token = make_token()
    record = Record(data=data, created_at=1.7e9, seen_at=1.7e9, expires_at=1.7e9 + 3600)
    assert visitor.spy.real.create(store_key(token), record)
    visitor.events.clear()
    return f"{NAME}={mint(token)}"


def reasons(visitor: Visitor) -> list[Any]:
    return [getattr(event, "reason", None) for event in visitor.events]


# --- never executable ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_sec_68_nothing_that_runs_data_is_imported(source: Path) -> None:
    """No pickle, marshal, shelve or yaml, no ``eval``, and no library that pickles for its callers."""
    banned = {"pickle", "cPickle", "marshal", "shelve", "yaml", "dill", "jsonpickle", "cachelib", "dogpile", "joblib"}
    imported, called = set(), set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                imported |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module), level=0):
                imported.add(module.partition(".")[0])
            case ast.Call(func=ast.Name(id=name)):
                called.add(name)

    assert imported & banned == set()
    assert called & {"eval", "exec", "compile", "__import__"} == set()


class Bomb:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path(os.environ["BOMB"]),))


@pytest.mark.parametrize(
    "disguise",
    [
        pytest.param(lambda bomb: bomb, id="pickle"),
        pytest.param(lambda bomb: b'{"a":{"$pickle":"' + bomb.hex().encode() + b'"}}', id="as a tag"),
        pytest.param(lambda bomb: b'{"a":{"py/reduce":[{"py/type":"os.system"},["true"]]}}', id="jsonpickle"),
        pytest.param(lambda bomb: b"!!python/object/apply:os.system ['true']", id="yaml"),
        pytest.param(lambda bomb: marshal.dumps(compile("1", "", "eval")), id="marshal"),
    ],
)
def test_sec_68_a_planted_pickle_is_never_run(
    visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disguise: Callable[[bytes], bytes]
) -> None:
    """Who can write to the store gets no code executed; there is no way back to an older format."""
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    cookie = plant(visitor, disguise(pickle.dumps(Bomb())))

    answer = visitor.visit(dict, cookie=cookie)

    assert not (tmp_path / "exploded").exists()
    assert answer.status == 200
    assert answer.value in ({}, {"a": {"py/reduce": [{"py/type": "os.system"}, ["true"]]}})


# --- the writer ------------------------------------------------------------------------------------------------------


class Unknown:
    """A class that nobody knows how to store."""


RECURSIVE: list[Any] = []
RECURSIVE.append(RECURSIVE)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(Unknown(), id="an object"),
        pytest.param([{"deep": Unknown()}], id="an object inside"),
        pytest.param(math.nan, id="NaN"),
        pytest.param(-math.inf, id="infinity"),
        pytest.param([math.inf], id="infinity inside"),
        pytest.param(Decimal("NaN"), id="a Decimal NaN"),
        pytest.param({None: 1}, id="a key None"),
        pytest.param({True: 1}, id="a key True"),
        pytest.param({1.5: 1}, id="a key float"),
        pytest.param({(1, 2): 1}, id="a key tuple"),
        pytest.param(lambda: 1, id="a function"),
        pytest.param(Unknown, id="a class"),
        pytest.param((n for n in range(3)), id="a generator"),
        pytest.param(1j, id="complex"),
        pytest.param(10**5000, id="5000 digits"),
        pytest.param("\ud800", id="a lone surrogate"),
        pytest.param(nested(33), id="33 levels"),
        pytest.param(nested(5000), id="5000 levels"),
        pytest.param(RECURSIVE, id="contains itself"),
        pytest.param(Exception("secret"), id="an exception"),
    ],
)
def test_sec_69_what_cannot_be_stored_raises_where_it_is_set(visitor: Visitor, value: Any) -> None:
    """In the application's own line, naming the key and not the value, with nothing changed."""
    visitor.visit(lambda session: session.set("user", "ada"))

    def view(session: Session) -> tuple[str, list[str]]:
        with pytest.raises(EncodeError) as caught:
            session["bad"] = value
        assert isinstance(caught.value, TypeError)
        frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        return str(caught.value), frames

    answer = visitor.visit(view)

    text, frames = answer.value
    assert frames[0] == "view"
    assert "bad" in text
    assert "secret" not in text
    assert answer.calls == ["load"]
    assert visitor.read() == {"user": "ada"}


@pytest.mark.parametrize("key", [1, True, None, 1.5, b"user", ("a",)], ids=repr)
def test_sec_69_keys_are_text(visitor: Visitor, key: Any) -> None:
    """JSON would turn 1 into "1" and True into "true", and let them collide."""

    def view(session: Session) -> None:
        for change in (
            lambda: session.__setitem__(key, 1),
            lambda: session.update({key: 1}),
            lambda: session.setdefault(key, 1),
            # For these, a tuple is a path, and what is on it is text.
            lambda: session.increment((*key, 1) if isinstance(key, tuple) else key),
            lambda: session.append((*key, 1) if isinstance(key, tuple) else key, 1),
        ):
            with pytest.raises(TypeError, match=r"key|path") as caught:
                change()
            assert isinstance(caught.value, EncodeError) or isinstance(key, tuple)

    assert visitor.visit(view).cookies == []


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((1, (2, [3])), id="tuple"),
        pytest.param({1, 2}, id="set"),
        pytest.param(frozenset({"a"}), id="frozenset"),
        pytest.param(datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))), id="datetime"),
        pytest.param(b"\x00\xff", id="bytes"),
        pytest.param(Decimal("1.10"), id="Decimal"),
        pytest.param(UUID(int=7), id="UUID"),
        pytest.param({1: "one", 2: {3: "three"}}, id="int keys"),
        pytest.param({"$set": [1]}, id="looks like a tag"),
        pytest.param({"$dict": [[1, 2]]}, id="looks like the tag of a dict"),
        pytest.param({"$pickle": "x"}, id="looks like an unknown tag"),
        pytest.param([{"$tuple": [1], "b": 2}], id="looks like a tag with more"),
        pytest.param({"__proto__": 1, "": 2}, id="odd keys"),
        pytest.param("</script>\r\n\x00\u2028\U0001f600", id="odd text"),
        pytest.param(nested(31), id="31 levels"),
        pytest.param(-0.0, id="minus zero"),
        pytest.param(2**80, id="more than 64 bits"),
        pytest.param([True, 1, 1.0, "1", None], id="alike"),
    ],
)
def test_sec_69_what_can_be_stored_comes_back_the_same(visitor: Visitor, value: Any) -> None:
    """Nothing is dropped or turned into something else on the way, and no value can pass for another."""
    visitor.visit(lambda session: session.set("value", value))

    read = visitor.read()["value"]

    assert (type(read), repr(read)) == (type(value), repr(value))


def test_sec_69_a_nested_change_that_cannot_be_stored_raises_before_the_head(visitor: Visitor) -> None:
    """It names the path, stores nothing and sends no cookie."""
    visitor.visit(lambda session: session.set("cart", []))

    with pytest.raises(EncodeError, match=re.escape("session['cart'][0]['item']")):
        visitor.visit(lambda session: session["cart"].append({"item": Unknown()}))

    assert visitor.read() == {"cart": []}


# --- the reader ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"a":1}x', id="more behind"),
        pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="infinity"),
        pytest.param(b'{"a":1e400}', id="too big a float"),
        pytest.param(b"1" * 5000, id="5000 digits"),
        pytest.param(b'{"a":' + b"1" * 5000 + b"}", id="5000 digits inside"),
        pytest.param(b"[" * 60_000, id="60000 brackets"),
        pytest.param(b'{"a":' * 10_000, id="10000 braces"),
        pytest.param(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", id="40 levels"),
        pytest.param(b'{"a":' + b'{"$set":[' * 40 + b"]}" * 40 + b"}", id="40 levels of tags"),
        pytest.param(b'{"a":"\xff"}', id="no UTF-8"),
        pytest.param(b'{"a":"\\ud800"}', id="a lone surrogate"),
        pytest.param(b'{"a":{"$unknown":1}}', id="an unknown tag"),
        pytest.param(b'{"a":{"$":1}}', id="an empty tag"),
        pytest.param(b'{"a":{"$datetime":5}}', id="a datetime of a number"),
        pytest.param(b'{"a":{"$timedelta":[1000000000,0,0]}}', id="too long a time"),
        pytest.param(b'{"a":{"$timedelta":{}}}', id="a time of nothing"),
        pytest.param(b'{"a":{"$decimal":"Infinity"}}', id="an infinite decimal"),
        pytest.param(b'{"a":{"$decimal":true}}', id="a decimal of a bool"),
        pytest.param(b'{"a":{"$tuple":"abc"}}', id="a tuple of text"),
        pytest.param(b'{"a":{"$tuple":{"b":1}}}', id="a tuple of a dict"),
        pytest.param(b'{"a":{"$set":[[]]}}', id="a set of lists"),
        pytest.param(b'{"a":{"$bytes":"="}}', id="no base64"),
        pytest.param(b'{"a":{"$uuid":"x"}}', id="no UUID"),
        pytest.param(b'{"a":{"$dict":[[null,1]]}}', id="a key None"),
        pytest.param(b'{"a":{"$dict":[[true,1]]}}', id="a key True"),
        pytest.param(b'{"a":{"$dict":[[1.5,1]]}}', id="a key float"),
        pytest.param(b'{"a":{"$dict":[[[1],1]]}}', id="a key list"),
        pytest.param(b'{"a":{"$dict":[["b"]]}}', id="a key without a value"),
        pytest.param(b'{"a":{"$dict":["bc"]}}', id="a pair of text"),
    ],
)
def test_sec_70_what_the_writer_never_writes_is_not_read(visitor: Visitor, data: bytes) -> None:
    """Planted or damaged: anonymous and an event, never an error and never a part of it."""
    cookie = plant(visitor, data)

    answer = visitor.visit(dict, cookie=cookie)

    assert (answer.status, answer.value, answer.cookies) == (200, {}, [])
    assert "unreadable" in reasons(visitor)
    assert WholeSession().decode(data) is None


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:$0123abdeilst\\', max_size=60).map(str.encode))
def test_sec_70_no_bytes_make_the_reader_raise(data: bytes) -> None:
    """Whatever is read is either nothing or something that can be written again."""
    codec = WholeSession()
    read = codec.decode(data)

    assert read is None or codec.decode(codec.encode(read)) == read


# --- no compression --------------------------------------------------------------------------------------------------


def test_sec_71_nothing_is_ever_decompressed(visitor: Visitor) -> None:
    """A bomb is only unreadable bytes: what the package stores is not compressed."""
    cookie = plant(visitor, zlib.compress(b'{"a":"' + b"x" * 50_000_000 + b'"}', 9)[:60_000])

    assert visitor.visit(dict, cookie=cookie).value == {}
    assert "unreadable" in reasons(visitor)
    for source in SOURCES:
        if source.parts[-2:] != ("importers", "payload.py"):  # other libraries compress: see the next test
            assert not re.search(r"\b(zlib|gzip|bz2|lzma|zipfile)\b", source.read_text(encoding="utf-8")), source.name


def test_sec_71_a_bomb_of_another_library_fills_no_memory() -> None:
    """What reads other libraries' sessions inflates no more than a session may have."""
    bomb = zlib.compress(b"x" * 50_000_000)

    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long"):
            inflated(bomb, 65536)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# --- damage ----------------------------------------------------------------------------------------------------------

HELD = {"user": "ada", "since": datetime(2026, 1, 31, tzinfo=UTC), "sizes": {38, 40}, "cart": [{"n": 1}]}


def test_sec_72_any_byte_may_flip(visitor: Visitor) -> None:
    """Each of the first 64 bytes, each bit: never a part of the session; a 503 only if the frame is sound."""
    data = WholeSession().encode(HELD)
    assert len(data) > 64
    for position in range(64):
        for bit in (0x01, 0x20, 0x80):
            damaged = bytearray(data)
            damaged[position] ^= bit
            cookie = plant(visitor, bytes(damaged))

            answer = visitor.visit(dict, cookie=cookie)

            is_sound = split_frame(bytes(damaged)) is not None
            assert is_sound != ("unreadable" in reasons(visitor))
            if is_sound and answer.status == 503:
                assert answer.cookies == []
                assert WholeSession().decode(bytes(damaged)) is None
                continue
            assert answer.status == 200
            assert len(answer.value) == (len(HELD) if is_sound else 0)


def test_sec_72_a_damaged_record_is_kept_and_the_visitor_starts_anew(visitor: Visitor, store: Store) -> None:
    """It is left for an operator to look at, or to expire; what is stored now gets an id of its own."""
    cookie = plant(visitor, b'{"user":"ada')
    ((key, _),) = store.scan()  # type: ignore[attr-defined]

    visitor.visit(lambda session: session.set("note", 1), cookie=cookie)

    assert visitor.read() == {"note": 1}
    assert {key for key, _ in store.scan()} > {key}  # type: ignore[attr-defined]
    assert visitor.visit(dict, cookie=cookie).value == {}


SPOILED = {
    "data is text": "frame = CAST(frame AS TEXT)",
    "data is no UTF-8 text": "frame = CAST(X'ff736563726574' AS TEXT)",
    "data is a number": "frame = 5",
    "data is empty": "frame = X''",
    "label is no UTF-8": "label = CAST(X'ff736563726574' AS TEXT)",
    "label is bytes": "label = X'00ff'",
    "user is no UTF-8": "user_id = CAST(X'ff736563726574' AS TEXT)",
    "user is bytes": "user_id = X'00ff'",
    "a time is text": "created_at = 'yesterday'",
    "a time is bytes": "seen_at = X'00'",
    "the end is text": "expires_at = 'never'",
    "login is text": "authenticated_at = 'x'",
    "times are infinite": "created_at = 9e999, seen_at = 9e999, expires_at = 9e999",
    "begun before time": "created_at = -9e999",
    "own limits are endless": "idle_s = 9e999, absolute_s = 9e999",
    "persistence is text": "persistent = 'x'",
    "meta is a giant": "meta = zeroblob(10000000)",
    "the successor is no key": "successor = 'x'",
    "the format is text": "format = 'x'",
    "the version is text": "version = 'x'",
    "the version is negative": "version = -1",
}


@pytest.mark.parametrize("spoil", SPOILED)
def test_sec_72_any_column_may_be_damaged(tmp_path: Path, clock: FakeClock, spoil: str) -> None:
    """Whatever a broken disk or another writer left in a row: no error for its visitor, nor for the operator."""
    with closing(SQLiteStore(tmp_path / "s.sqlite3", clock=clock)) as store:
        visitor = visitor_of(store, clock=clock)
        visitor.visit(lambda session: session.set("user", "ada"))
        bystander = visitor.another()
        bystander.visit(lambda session: session.set("user", "bob"))
        with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as file:
            file.execute(f"UPDATE wsgi_sessions SET {SPOILED[spoil]} WHERE rowid = 1")
            file.commit()
        handle = visitor.app.handle()  # type: ignore[attr-defined]

        answer = visitor.visit(dict)

        assert answer.status == 200
        assert answer.value in ({}, {"user": "ada"})
        assert visitor.visit(lambda session: session.set("n", 1)).status == 200
        assert visitor.read()["n"] == 1
        assert visitor.visit(lambda session: session.rotate()).status == 200
        assert bystander.read() == {"user": "bob"}
        assert {"user": "bob"} in [summary.data for summary in handle]
        handle.revoke_where(lambda summary: True)
        assert handle.count() <= 1
        assert bystander.read() == {}
        assert handle.revoke_all() <= 1
        with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as file:
            assert file.execute("SELECT count(*) FROM wsgi_sessions").fetchone() == (0,)


def test_sec_72_a_half_record_is_never_loaded() -> None:
    """Cut off at any byte, a record is unreadable as a whole."""
    data = WholeSession().encode(HELD)

    assert {length for length in range(len(data)) if WholeSession().decode(data[:length]) is not None} == set()


def test_sec_72_a_custom_codec_that_gives_up_is_no_half_session(clock: FakeClock) -> None:
    """Whatever it raises: the value cannot be read, and what it says of the value is not passed on."""

    class Strange(JSONCodec):
        def decode(self, payload: bytes, /) -> None:
            raise KeyError(payload)

    visitor = visitor_of(MemoryStore(clock=clock), clock=clock, codec=Strange())
    visitor.visit(lambda session: session.set("user", "ada"))

    answer = visitor.visit(dict)

    assert (answer.status, answer.cookies) == (503, [])
    assert "unreadable" not in reasons(visitor)
