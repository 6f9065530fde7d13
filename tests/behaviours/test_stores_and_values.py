"""Where sessions are kept, what happens when that fails, and what values survive the way there and back."""

import logging
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from markupsafe import Markup
from support.client import OTHER_SECRET, SECRET
from support.visitor import Visitor, visitor_of
from werkzeug.datastructures import MultiDict

from wsgi_session import Cookie, CookieRejected, Record, Session, SessionMiddleware
from wsgi_session.errors import ConfigError, EncodeError, NotSupported, SessionTooLarge, StoreUnavailable
from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.testing import FakeClock

KEY, OTHER_KEY = "0" * 64, "1" * 64

# Whatever the store is: it is not what these tests are about.
in_memory = pytest.mark.parametrize("store", ["memory"], indirect=True)


@pytest.fixture
def returning(visitor: Visitor) -> Visitor:
    """A visitor who has a session already."""
    visitor.visit(lambda session: session.set("a", 1))
    return visitor


@pytest.fixture
def record(clock: FakeClock) -> Record:
    return Record(data=b'{"a":1}', created_at=clock(), seen_at=clock(), expires_at=clock() + 3600)


def test_row_135_a_record_is_there_until_it_is_deleted(store: Store, record: Record) -> None:
    """Absent reads ``None``, stored reads equal, deleting twice is no error, and nothing is updated after it."""
    assert store.load(KEY) is None
    assert store.create(KEY, record)
    loaded = store.load(KEY)
    assert loaded == record

    assert [store.delete(KEY), store.delete(KEY)] == [True, False]
    assert store.load(KEY) is None
    assert not store.update(KEY, record, version=loaded.version)
    assert not store.touch(KEY, seen_at=record.seen_at + 1, expires_at=record.expires_at + 1)
    assert store.load(KEY) is None


def test_row_136_cleaning_up_removes_expired_records_only(visitor: Visitor, clock: FakeClock, record: Record) -> None:
    """An expired record reads as absent at once, and ``sweep()`` later removes it and no live one."""
    store, handle = visitor.spy.real, visitor.app.handle()
    store.create(KEY, record)
    store.create(OTHER_KEY, replace(record, expires_at=record.expires_at + 86_400))

    clock.advance(timedelta(hours=1))
    assert store.load(KEY) is None
    assert handle.count() == 1

    clock.advance(timedelta(minutes=6))
    assert handle.sweep() == 1
    assert handle.sweep() == 0
    assert store.load(OTHER_KEY) is not None


def test_row_137_all_sessions_can_be_met_and_ended_on_the_way(visitor: Visitor) -> None:
    """Iterating yields every session once, and revoking while iterating works, by the public handle."""
    tabs = [visitor.another() for _ in range(5)]
    for number, tab in enumerate(tabs):
        tab.visit(lambda session, number=number: session.set("number", number))
    handle = visitor.app.handle()

    met = [summary.data["number"] for summary in handle if summary.data["number"] != 3 and handle.revoke(summary.id)]

    assert sorted(met) == [0, 1, 2, 4]
    assert handle.count() == 1
    assert [tab.read() for tab in tabs] == [{}, {}, {}, {"number": 3}, {}]


def test_row_138_the_token_is_never_in_the_store(returning: Visitor, tmp_path: Path) -> None:
    """Who reads the store, its files or its keys, holds no cookie that works."""
    (value,) = returning.jar.values()
    token, _, signature = value.partition(".")
    kept = repr(list(returning.spy.scan())).encode()
    kept += b"".join(file.read_bytes() for file in tmp_path.iterdir())

    assert not any(secret.encode() in kept for secret in (token, signature))
    ((key, _),) = returning.spy.scan()
    assert returning.visit(dict, cookie=f"__Host-session={key}").value == {}


def fail_at(*methods: str) -> Callable[[str, str], None]:
    def fail(method: str, key: str) -> None:
        if method in methods:
            raise StoreUnavailable("the store is down")

    return fail


def test_row_142_a_failed_read_is_no_logout(returning: Visitor) -> None:
    """A store that does not answer is a 503; the session is not taken for absent and the cookie stays."""
    before = returning.cookie
    returning.spy.before = fail_at("load")

    visit = returning.visit(lambda session: session.get("a", "anonymous"))

    assert (visit.status, visit.value, visit.cookies) == (503, None, [])
    assert returning.cookie == before
    assert returning.happened()[-1] == "store_error"


@pytest.mark.parametrize(
    ("method", "view"),
    [
        pytest.param("update", lambda session: session.set("b", 2), id="update"),
        pytest.param("create", lambda session: (session.destroy(), session.set("b", 2)), id="replace"),
        pytest.param("create", lambda session: session.rotate(), id="rotate"),
        pytest.param("delete", lambda session: session.destroy(), id="destroy"),
    ],
)
def test_row_143_a_failed_write_is_not_told_as_done(
    returning: Visitor, method: str, view: Callable[[Session], Any]
) -> None:
    """What the store did not confirm is a 503 with no cookie, and an event for the operator."""
    returning.spy.before = fail_at(method)

    visit = returning.visit(view)

    assert (visit.status, visit.cookies) == (503, [])
    assert "store_error" in returning.happened()


def test_row_143_an_application_may_handle_a_failed_write(returning: Visitor) -> None:
    """``save()`` raises where the application can catch it; what it answers then goes out, with nothing committed."""
    returning.spy.before = fail_at("update")

    def view(session: Session) -> str:
        session["b"] = 2
        try:
            session.save()
        except StoreUnavailable:
            return "not saved"
        return "saved"

    visit = returning.visit(view)
    returning.spy.before = lambda method, key: None

    assert (visit.status, visit.value, visit.cookies) == (200, "not saved", [])
    assert returning.read() == {"a": 1}


def test_row_144_after_an_outage_the_sessions_are_back(returning: Visitor) -> None:
    """While the store is away requests that use the session get a 503, others are served; then all is as before."""
    returning.spy.before = fail_at("load", "create", "update", "touch", "delete")
    assert [returning.visit(dict).status, returning.visit().status] == [503, 200]
    assert returning.another().visit(lambda session: session.set("a", 1)).status == 503

    returning.spy.before = lambda method, key: None
    assert returning.read() == {"a": 1}


def test_row_144_a_closed_store_opens_again(returning: Visitor) -> None:
    """``close()`` releases connections and forgets no session."""
    returning.spy.real.close()

    assert returning.read() == {"a": 1}


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\xff\xfe", b"[1, 2]", b'{"a":', b"null", b'{"a": {"$unknown": 1}}', b"gASVAAAAAAAAAAB9lC4="],
    ids=["empty", "no text", "a list", "cut off", "null", "unknown type", "pickle"],
)
def test_row_145_a_damaged_record_is_a_new_session(
    returning: Visitor, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Data that is not ours reads as no session, with an event and a log line, and stays for somebody to look at."""
    ((key, record),) = returning.spy.scan()
    store = returning.spy.real
    store.update(key, replace(record, data=damaged), version=record.version)

    with caplog.at_level(logging.INFO, "wsgi_session"):
        visit = returning.visit(dict)

    assert (visit.status, visit.value, visit.cookies) == (200, {}, [])
    assert "unreadable" in [event.reason for event in returning.events if isinstance(event, CookieRejected)]
    assert any("unreadable" in line.message for line in caplog.records)
    assert [kept for kept, _ in returning.spy.scan()] == [key]

    returning.visit(lambda session: session.set("b", 2))
    assert returning.read() == {"b": 2}


@pytest.mark.parametrize(
    "value",
    [None, "", [], {}, (), 0, 0.0, False, b"", set(), frozenset(), timedelta(0), "\x00", "\u2028é🍵"],
    ids=ascii,
)
def test_row_148_none_and_empty_values_are_values(visitor: Visitor, value: Any) -> None:
    """What is stored empty is there, and is not what is absent."""
    visitor.visit(lambda session: session.set("key", value))

    read = visitor.visit(lambda session: ("key" in session, session.get("key", "default"))).value

    assert read == (True, value)
    assert type(read[1]) is type(value)


def test_row_149_two_applications_on_one_store_keep_apart(store: Store, clock: FakeClock) -> None:
    """With a cookie name or a secret of its own, none opens, changes or ends a session of the other."""
    shop = visitor_of(store, clock=clock, cookie=Cookie(name="shop"))
    blog = visitor_of(store, clock=clock, cookie=Cookie(name="blog"))
    wiki = visitor_of(store, clock=clock, cookie=Cookie(name="blog"), secret=OTHER_SECRET)
    for visitor, name in ((shop, "shop"), (blog, "blog"), (wiki, "wiki")):
        visitor.visit(lambda session, name=name: session.set("name", name))
    (of_shop,), (of_blog,) = shop.jar.values(), blog.jar.values()

    assert blog.visit(dict, cookie=f"__Host-blog={of_shop}").value == {}
    assert wiki.visit(dict, cookie=f"__Host-blog={of_blog}").value == {}
    blog.visit(lambda session: session.destroy())

    assert [visitor.read() for visitor in (shop, blog, wiki)] == [{"name": "shop"}, {}, {"name": "wiki"}]


def test_row_149_other_tables_of_the_file_are_left_alone(tmp_path: Path, clock: FakeClock) -> None:
    """A SQLite file may hold an application's own tables: ending all sessions does not touch them."""
    path = tmp_path / "shared.sqlite3"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE users (name TEXT)")
    connection.execute("INSERT INTO users VALUES ('ada')")
    store = SQLiteStore(path, clock=clock)
    visitor = visitor_of(store, clock=clock)
    visitor.visit(lambda session: session.set("a", 1))

    assert visitor.app.handle().revoke_all() == 1

    assert connection.execute("SELECT name FROM users").fetchall() == [("ada",)]
    connection.close()
    store.close()


class BareStore:
    """A store with nothing beyond the contract."""

    def __init__(self) -> None:
        real = MemoryStore()
        self.load, self.create, self.update = real.load, real.create, real.update
        self.touch, self.delete, self.close = real.touch, real.delete, real.close


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda handle: handle.sweep(), id="sweep"),
        pytest.param(lambda handle: handle.count(), id="count"),
        pytest.param(lambda handle: handle.revoke_all(), id="revoke_all"),
        pytest.param(lambda handle: handle.revoke_where(bool), id="revoke_where"),
        pytest.param(list, id="iterate"),
    ],
)
def test_row_150_what_a_store_cannot_do_is_said(ask: Callable[[Any], Any]) -> None:
    """A store without an ability works, and asking for the ability names the stores that have it."""
    app = SessionMiddleware(lambda environ, start_response: [], BareStore(), secret=SECRET)

    with pytest.raises(NotSupported, match=r"BareStore.*SQLiteStore"):
        ask(app.handle())


def test_row_150_sweeping_removes_what_expired(visitor: Visitor, clock: FakeClock) -> None:
    """The operator's clean-up says how many records it removed."""
    for _ in range(7):
        visitor.another().visit(lambda session: session.set("a", 1))
    clock.advance(timedelta(minutes=30))
    visitor.visit(lambda session: session.set("a", 1))
    clock.advance(timedelta(minutes=40))

    assert visitor.app.handle().sweep() == 7
    assert visitor.read() == {"a": 1}


@pytest.mark.parametrize(
    "value",
    [
        (1, "two", (3.0,)),
        b"\x00\xff",
        UUID(int=7),
        datetime(2026, 1, 31, 12, 30, 15, 999_999, tzinfo=UTC),
        datetime(2026, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
        datetime(2026, 1, 31, 12, 30),  # noqa: DTZ001  a naive one stays naive
        date(2026, 2, 28),
        time(23, 59, 59, 1),
        timedelta(days=-1, microseconds=1),
        Decimal("1.100"),
        {1, 2, 3},
        frozenset({"a"}),
        {1: "one", "1": "text", -2: None},
        {"$tuple": [1]},
        [{"deep": [({"x": {b"1"}},)]}],
        2**70,
        0.1,
    ],
    ids=lambda value: f"{type(value).__name__}-{value!r}"[:40],
)
def test_row_152_values_come_back_as_they_were(visitor: Visitor, value: Any) -> None:
    """What the next request reads equals what was stored, type and all."""
    visitor.visit(lambda session: session.set("value", value))

    read = visitor.read()["value"]

    assert read == value
    assert repr(read) == repr(value)


def test_row_152_marked_up_text_stays_marked_up(visitor: Visitor) -> None:
    """Text that is safe HTML is so in the next request; other text is not."""
    visitor.visit(lambda session: session.update(html=Markup("<b>"), text="<b>", nested=[Markup("<i>")]))

    read = visitor.read()

    assert (type(read["html"]), type(read["text"]), type(read["nested"][0])) == (Markup, str, Markup)
    assert read == {"html": "<b>", "text": "<b>", "nested": ["<i>"]}


@pytest.mark.parametrize("beside", [{}, {"since": date(2026, 1, 31)}], ids=["alone", "beside a date"])
def test_row_152_a_form_with_several_values_is_refused(visitor: Visitor, beside: dict[str, Any]) -> None:
    """A dict that shows only the first of its values must not lose the others, whatever lies beside it."""
    form = MultiDict([("size", "S"), ("size", "L")])

    def store(session: Session) -> None:
        session.update(beside)
        with pytest.raises(EncodeError, match=re.escape("store form.to_dict(flat=False)")):
            session["form"] = form
        session["form"] = form.to_dict(flat=False)

    visitor.visit(store)

    assert visitor.read() == {**beside, "form": {"size": ["S", "L"]}}


@pytest.mark.parametrize("fold", [0, 1])
def test_row_152_a_time_that_happens_twice_is_not_an_hour_off(visitor: Visitor, fold: int) -> None:
    """Naive or in its zone: half past two stays the one of the two that it was."""
    naive = datetime(2026, 10, 25, 2, 30, fold=fold)  # noqa: DTZ001
    berlin = ZoneInfo("Europe/Berlin")
    visitor.visit(lambda session: session.update(naive=naive, aware=naive.replace(tzinfo=berlin)))

    read = visitor.read()

    assert read["naive"].replace(tzinfo=berlin).utcoffset() == timedelta(hours=2 - fold)
    assert (read["aware"].tzinfo, read["aware"].fold) == (berlin, fold)


UNFIT = [
    pytest.param(object(), id="object"),
    pytest.param(lambda: None, id="function"),
    pytest.param(float("nan"), id="NaN"),
    pytest.param(float("-inf"), id="infinity"),
    pytest.param(1j, id="complex"),
    pytest.param({None: 1}, id="None as a key"),
    pytest.param([{"deep": object()}], id="nested"),
    pytest.param("\ud800", id="lone surrogate"),
]


@pytest.mark.parametrize("value", UNFIT)
@pytest.mark.parametrize(
    "put",
    [
        pytest.param(lambda session, value: session.set("bad", value), id="set"),
        pytest.param(lambda session, value: session.update(bad=value), id="update"),
        pytest.param(lambda session, value: session.setdefault("bad", value), id="setdefault"),
        pytest.param(lambda session, value: session.append("bad", value), id="append"),
        pytest.param(lambda session, value: session.apply("bad", lambda old: value), id="apply"),
    ],
)
@in_memory
def test_row_153_what_cannot_be_stored_raises_at_its_line(returning: Visitor, put: Any, value: Any) -> None:
    """The error names the key, the session is as it was, and the request goes on."""

    def view(session: Session) -> dict[str, Any]:
        with pytest.raises(EncodeError, match=r"session\['bad'\]"):
            put(session, value)
        return dict(session)

    visit = returning.visit(view)

    assert visit.value == {"a": 1}
    assert visit.calls == ["load"]


def test_row_154_a_secret_is_rolled_without_ending_a_session(store: Store, clock: FakeClock) -> None:
    """The old secret still opens, the next response is signed with the new one, a dropped secret opens nothing."""
    old = visitor_of(store, clock=clock, secret=SECRET)
    both = visitor_of(store, clock=clock, secret=[OTHER_SECRET, SECRET])
    new = visitor_of(store, clock=clock, secret=OTHER_SECRET)
    old.visit(lambda session: session.set("a", 1))
    both.jar = dict(old.jar)

    assert new.visit(dict, cookie=old.cookie).value == {}
    visit = both.visit(dict)

    assert visit.value == {"a": 1}
    assert len(visit.cookies) == 1
    assert both.cookie != old.cookie
    assert new.visit(dict, cookie=both.cookie).value == {"a": 1}
    assert both.visit(dict).cookies == []
    assert both.visit(dict, cookie=old.cookie).value == {"a": 1}


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(None, id="missing"),
        pytest.param([], id="empty list"),
        pytest.param("", id="empty"),
        pytest.param(b"", id="empty bytes"),
        pytest.param("x" * 64, id="one character"),
        pytest.param("short", id="short"),
        pytest.param(SECRET[:31], id="one byte short"),
        pytest.param([SECRET, "short"], id="a short one among others"),
        pytest.param([SECRET, None], id="none among others"),
        pytest.param(12345, id="a number"),
    ],
)
def test_row_155_without_a_good_secret_nothing_starts(secret: Any) -> None:
    """A missing, empty or short secret is an error while the application starts, and the text has the remedy."""
    with pytest.raises(ConfigError, match=r"secret.*keygen") as caught:
        SessionMiddleware(lambda environ, start_response: [], MemoryStore(), secret=secret)

    assert SECRET[:31] not in str(caught.value)


@pytest.mark.parametrize(
    "grow",
    [
        pytest.param(lambda session: session.set("big", "x" * 70_000), id="one value"),
        pytest.param(lambda session: session.update({f"k{i}": "x" * 1000 for i in range(70)}), id="many values"),
        pytest.param(lambda session: session.setdefault("list", []).append("x" * 70_000), id="nested"),
    ],
)
def test_row_160_too_much_is_an_error_and_never_silent(returning: Visitor, grow: Callable[[Session], Any]) -> None:
    """More than 64 KiB raises before the head leaves and names the largest value; nothing is stored."""
    with pytest.raises(SessionTooLarge, match=r"65536.*session\['"):
        returning.visit(grow)

    assert returning.read() == {"a": 1}


def test_row_160_the_cookie_never_grows(visitor: Visitor) -> None:
    """The cookie holds an id, so its size does not depend on what is stored."""
    (small,) = visitor.another().visit(lambda session: session.set("a", 1)).cookies
    (large,) = visitor.another().visit(lambda session: session.set("a", "x" * 60_000)).cookies

    assert len(small) == len(large) < 200
