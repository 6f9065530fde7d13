"""The manager: its options, what it tells the response, and that a frozen store or a late call harms nothing."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET
from support.managed import Managed, cookie_of, managed
from werkzeug.debug.repr import debug_repr
from werkzeug.http import dump_cookie

from wsgi_session import Cookie, Event, Lifetime, Outcome, Record, Session, SessionManager, SessionMiddleware
from wsgi_session._session.state import Stored
from wsgi_session._values.codec import JSONCodec
from wsgi_session.errors import ConfigError, EncodeError, HeadersSent, StoreUnavailable
from wsgi_session.events import CookieRejected
from wsgi_session.stores import MemoryStore, SQLiteStore
from wsgi_session.testing import FakeClock


@pytest.fixture
def site() -> Managed:
    return managed()


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({"cookie": "session"}, "cookie must be a Cookie, such as Cookie(); got 'session'", id="cookie"),
        pytest.param({"cookie": Cookie}, "cookie must be a Cookie, such as Cookie()", id="cookie class"),
        pytest.param({"lifetime": 3600}, "lifetime must be a Lifetime, such as Lifetime(); got 3600", id="lifetime"),
        pytest.param({"clock": 1.5}, "clock must be callable, such as time.time; got float", id="clock"),
        pytest.param({"on_event": "print"}, "or None; got an object of type str. It is called with", id="on_event"),
        pytest.param({"on_event": FakeClock}, "got the class FakeClock: write FakeClock", id="on_event, a class"),
        pytest.param(
            {"on_event": [print, 7]}, "on_event[1] must be callable with one event; got", id="on_event, an item"
        ),
        pytest.param(
            {"on_event": (FakeClock,)},
            "on_event[0] must be callable with one event; got",
            id="on_event, a class in a list",
        ),
        pytest.param({"codec": object()}, "codec must be", id="codec"),
        pytest.param({"codec": JSONCodec}, "codec must be", id="codec class"),
        pytest.param({"user_key": ""}, "user_key must be a key of the session, such as '_user_id'", id="user_key"),
        pytest.param({"user_key": 7}, "user_key must be a key of the session", id="user_key type"),
        pytest.param({"compact": 1}, "compact must be True or False, got 1", id="compact"),
        pytest.param({"store": {}}, "got an object of type dict, which lacks a method", id="store"),
        pytest.param({"store": MemoryStore}, "got the class MemoryStore: write MemoryStore(...)", id="store class"),
        pytest.param({"store": "mongodb://localhost"}, "unknown URL scheme 'mongodb'", id="store URL"),
        pytest.param({"secret": "short"}, "secret (entry 1) has 5 bytes", id="secret"),
        pytest.param({"secret": ""}, "secret (entry 1) has 0 bytes", id="empty secret"),
        pytest.param({"secret": None}, "Make one with `wsgi-session keygen`", id="no secret"),
    ],
)
def test_a_wrong_option_fails_at_start_up(options: dict[str, Any], text: str) -> None:
    """The error names the option, what it was and the remedy; no request is needed to find it."""
    with pytest.raises(ConfigError) as caught:
        SessionManager(**{"store": MemoryStore(), "secret": SECRET, **options})

    assert text in str(caught.value)


def test_the_secrets_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ``secret`` they are read from ``WSGI_SESSION_SECRET``, split at spaces, newest first."""
    site = managed()
    monkeypatch.setenv("WSGI_SESSION_SECRET", f"{OTHER_SECRET}  {SECRET}")
    rolled = SessionManager(site.spy, clock=site.clock)

    session = rolled.open(site.begin(a=1))

    assert session["a"] == 1
    told = cookie_of(rolled.commit(session, status=200))
    with pytest.raises(KeyError):
        site.open(told)["a"]


@pytest.mark.parametrize("text", [f"{SECRET}\n", f"{OTHER_SECRET} {SECRET}", f" {SECRET}\t{OTHER_SECRET} "])
def test_a_secret_means_the_same_as_argument_and_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What one process is given as an argument and another one in the environment signs alike."""
    site = managed(secret=text)
    monkeypatch.setenv("WSGI_SESSION_SECRET", text)

    assert SessionManager(site.spy, clock=site.clock).open(site.begin(a=1))["a"] == 1


def test_a_secret_that_is_given_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is not even read when the option is there."""
    monkeypatch.setenv("WSGI_SESSION_SECRET", "short")

    SessionManager(MemoryStore(), secret=SECRET)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        pytest.param(None, SQLiteStore, id="not set"),
        pytest.param("", SQLiteStore, id="empty"),
        pytest.param("memory://", MemoryStore, id="set"),
    ],
)
def test_the_store_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str | None, kind: type
) -> None:
    """Without ``store`` it is the URL in ``WSGI_SESSION_STORE``, else a file here, which is not made yet."""
    monkeypatch.chdir(tmp_path)
    if url is not None:
        monkeypatch.setenv("WSGI_SESSION_STORE", url)

    manager = SessionManager(secret=SECRET)

    assert isinstance(manager.store, kind)
    assert list(tmp_path.iterdir()) == []


def test_a_store_from_a_url_lives_on_the_same_clock() -> None:
    """What the manager calls over, its store calls over as well."""
    clock = FakeClock()
    manager = SessionManager("memory://", secret=SECRET, clock=clock)
    session = manager.open("")
    session["a"] = 1
    manager.commit(session, status=200)

    clock.advance(timedelta(days=2))

    assert manager.handle().count() == 0


def test_the_defaults_are_those_that_are_promised() -> None:
    """Options that are left out are the documented ones."""
    manager = SessionManager(MemoryStore(), secret=SECRET)

    assert (manager.cookie, manager.lifetime) == (Cookie(), Lifetime())
    session = manager.open("")
    session["a"] = 1
    manager.commit(session, status=200)
    assert session.created_at == pytest.approx(time.time(), abs=60)


def test_repr_shows_where_sessions_live_and_no_secret(site: Managed) -> None:
    """It is for error pages: what is shown there is harmless."""
    assert repr(SessionManager(MemoryStore(max_sessions=7), secret=SECRET)) == (
        "<SessionManager of MemoryStore(max_sessions=7)>"
    )


def test_there_is_one_handle(site: Managed) -> None:
    """The registry is that of this manager's store."""
    site.begin()

    assert site.manager.handle() is site.manager.handle()
    assert site.manager.handle().count() == 1


@pytest.mark.parametrize("kind", [SessionManager, partial(SessionMiddleware, lambda environ, start_response: [])])
def test_closing_releases_what_the_store_holds(kind: Callable[..., Any]) -> None:
    """By ``close()`` or at the end of a ``with`` block, also when that ends by an error."""
    closed = []

    class ClosingStore(MemoryStore):
        def close(self) -> None:
            closed.append(self)

    first, second, third = ClosingStore(), ClosingStore(), ClosingStore()
    kind(first, secret=SECRET).close()
    with kind(second, secret=SECRET) as opened:
        assert repr(second) in repr(opened)
        assert closed == [first]
    with pytest.raises(LookupError), kind(third, secret=SECRET):
        raise LookupError

    assert closed == [first, second, third]


def test_a_closed_manager_opens_again(tmp_path: Path) -> None:
    """A request that comes after all is served."""
    with SessionManager(f"sqlite:///{tmp_path}/sessions.sqlite3", secret=SECRET) as manager:
        session = manager.open("")
        session["a"] = 1
        manager.commit(session, status=200)
    with manager:
        assert [summary.data for summary in manager.handle()] == [{"a": 1}]


def test_a_store_reports_to_the_same_listener() -> None:
    """What only the store notices reaches ``on_event`` too."""
    clock, events = FakeClock(), list[Event]()
    manager = SessionManager(MemoryStore(clock=clock), secret=SECRET, clock=clock, on_event=events.append)
    session = manager.open("")
    session["a"] = 1
    cookie = cookie_of(manager.commit(session, status=200))
    clock.advance(timedelta(hours=2))

    assert dict(manager.open(cookie)) == {}
    assert [event.name for event in events] == ["created", "expired", "rejected"]


# --- one value instead of a header -----------------------------------------------------------------------------------


def test_a_cookies_value_opens_the_session_without_a_header(site: Managed) -> None:
    """What ``cookie_value`` gives out is what the browser has, and ``open_value`` takes it."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    value = site.manager.cookie_value(session)

    assert cookie == f"__Host-session={value}"
    again = site.manager.open_value(value)
    assert not again.is_loaded
    assert (again["a"], again.id) == (1, session.id)


def test_a_signature_is_known_without_a_look_at_the_store(site: Managed) -> None:
    """Of this manager's own form, secret and cookie only, and also when the session has ended."""
    value = site.manager.cookie_value(site.open(site.begin(a=1)))
    assert value is not None
    site.manager.handle().revoke_all()
    site.spy.calls.clear()

    assert site.manager.is_signed(value)
    assert not any(site.manager.is_signed(other) for other in ("", value[:-1], value.swapcase(), "x" * 40))
    other_cookie = SessionManager("memory://", secret=SECRET, cookie=Cookie(name="other"))
    assert not other_cookie.is_signed(value)
    assert site.spy.calls == []


@pytest.mark.parametrize("value", [None, ""])
def test_no_value_is_no_cookie(site: Managed, value: str | None) -> None:
    """A stranger is no event and no store call."""
    assert dict(site.manager.open_value(value)) == {}
    assert (site.spy.calls, site.events) == ([], [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param("x", "malformed", id="malformed"),
        pytest.param("é" * 43, "malformed", id="no ASCII"),
        pytest.param("\ud800", "malformed", id="a lone surrogate"),
        pytest.param("x" * 100_000, "malformed", id="longer than a header may be"),
        pytest.param("{live} ", "malformed", id="a second spelling"),
        pytest.param("{live}\n", "malformed", id="a line ending"),
        pytest.param('"{live}"', "malformed", id="quoted"),
        pytest.param("x; __Host-session={live}", "malformed", id="a cookie behind a semicolon"),
        pytest.param("{live}; __Host-session={live}", "malformed", id="one before it, too"),
        pytest.param("x, __Host-session={live}", "malformed", id="a joined header"),
        pytest.param(f"{'x' * 43}.{'y' * 43}", "signature", id="not signed by us"),
    ],
)
def test_a_value_that_is_not_ours_reads_as_no_session(site: Managed, value: str, reason: str) -> None:
    """As in a ``Cookie`` header: it never raises and never reaches the store, and an event says why."""
    value = value.replace("{live}", site.begin(a=1).partition("=")[2])
    site.events.clear()

    session = site.manager.open_value(value)

    assert site.calls_of(lambda: len(session)) == []
    assert dict(session) == {}
    (event,) = site.events
    assert isinstance(event, CookieRejected)
    assert event.reason == reason


def test_a_value_of_an_ended_session_is_looked_up_and_reported(site: Managed) -> None:
    """The store decides, as for a header."""
    session = site.open(site.begin(a=1))
    value = site.manager.cookie_value(session)
    session.destroy()
    site.commit(session)
    site.events.clear()

    assert site.calls_of(lambda: len(site.manager.open_value(value))) == ["load"]
    (event,) = site.events
    assert isinstance(event, CookieRejected)
    assert event.reason == "unknown"


def test_the_value_is_that_of_the_coming_id(site: Managed) -> None:
    """Before the first commit and after ``rotate()``, it is already what the response will carry."""
    session = site.open()
    assert site.manager.cookie_value(session) is None

    session["a"] = 1
    first = site.manager.cookie_value(session)
    assert cookie_of(site.commit(session)) == f"__Host-session={first}"

    session = site.manager.open_value(first)
    session.rotate()
    second = site.manager.cookie_value(session)
    assert second != first
    assert cookie_of(site.commit(session)) == f"__Host-session={second}"
    assert site.manager.cookie_value(session) == second


def test_the_value_is_signed_with_the_newest_secret(site: Managed) -> None:
    """One that came with an older signature is not passed on."""
    old = site.begin(a=1)
    rolled = SessionManager(site.spy, secret=[OTHER_SECRET, SECRET], clock=site.clock)

    session = rolled.open(old)
    value = rolled.cookie_value(session)

    assert cookie_of(rolled.commit(session, status=200)) == f"__Host-session={value}" != old


def test_a_framework_may_set_the_cookie_itself(site: Managed) -> None:
    """All the rest is applied: no cache keeps the response, and there is no second cookie and no warning of one."""
    session = site.open()
    session["a"] = 1
    outcome = site.commit(session)
    headers = [("Set-Cookie", f"{outcome.name}={outcome.value}"), ("Cache-Control", "public")]

    assert outcome.apply(headers, with_cookie=False) == [
        ("Set-Cookie", f"{outcome.name}={outcome.value}"),
        ("Cache-Control", "no-store"),
        ("Vary", "Cookie"),
    ]
    session = site.open(cookie_of(outcome))
    assert session["a"] == 1
    assert site.commit(session).apply(headers, with_cookie=False) == [*headers, ("Vary", "Cookie")]


def test_the_outcome_says_why_the_store_did_not_answer(site: Managed) -> None:
    """An adapter turns the framework's own error page into a 503."""
    cookie = site.begin(a=1)
    assert site.commit(site.open(cookie)).failure is None

    def fail(method: str, key: str) -> None:
        raise StoreUnavailable("down")

    site.spy.before = fail
    session = site.open(cookie)
    with pytest.raises(StoreUnavailable):
        session.get("a")

    assert str(site.commit(session, status=500).failure) == "down"


def test_a_compact_value_has_40_characters_and_stays_the_same() -> None:
    """Tables of a framework have it as their key: a newer secret signs it again only when the id changes."""
    site = managed(compact=True)
    cookie = site.begin(a=1)
    rolled = SessionManager(site.spy, secret=[OTHER_SECRET, SECRET], clock=site.clock, compact=True)

    session = rolled.open(cookie)
    assert session["a"] == 1
    value = rolled.cookie_value(session)
    assert value == cookie.partition("=")[2]
    assert len(value) == 40
    session["a"] = 2
    assert rolled.commit(session, status=200).set_cookie is None

    session = rolled.open_value(value)
    session.rotate()
    rotated = rolled.commit(session, status=200).value
    assert rotated == rolled.cookie_value(session)
    assert len(str(rotated)) == 40
    assert dict(SessionManager(site.spy, secret=OTHER_SECRET, clock=site.clock, compact=True).open_value(rotated)) == {
        "a": 2
    }


def test_every_new_id_of_a_compact_manager_is_compact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that follows a destroyed session, or a token that was taken."""
    site = managed(compact=True)
    session = site.open(site.begin(a=1))
    session.destroy()
    session["b"] = 2
    outcome = site.commit(session)
    assert len(str(outcome.value)) == 40

    taken, free = outcome.value, site.open()
    free["c"] = 3
    made, coming = secrets.token_urlsafe, [str(taken)[:23]]
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: coming.pop() if coming else made(size))
    assert len(str(site.commit(free).value)) == 40
    assert coming == []
    assert site.read(f"__Host-session={taken}") == {"b": 2}


def test_a_manager_accepts_one_form_only() -> None:
    """A cookie in the other form is refused before the store is asked."""
    for is_compact in (False, True):
        site = managed(compact=is_compact)
        other = SessionManager(site.spy, secret=SECRET, clock=site.clock, compact=not is_compact)
        cookie = site.begin(a=1)

        assert site.calls_of(lambda other=other, cookie=cookie: dict(other.open(cookie))) == []


@pytest.mark.parametrize("is_revoked", [False, True], ids=["destroyed", "revoked meanwhile"])
def test_an_ended_session_has_no_value(site: Managed, *, is_revoked: bool) -> None:
    """Nobody can do anything with it any more."""
    session = site.open(site.begin(a=1))
    session["b"] = 2
    if is_revoked:
        site.manager.handle().revoke(str(session.id))
        site.commit(session)
    else:
        session.destroy()

    assert site.manager.cookie_value(session) is None


# --- what the response carries ---------------------------------------------------------------------------------------


def test_an_unused_session_means_nothing(site: Managed) -> None:
    """No store call, and the very list of headers that was given, whatever the browser sent."""
    session = site.open(site.begin())
    headers = [("X", "1")]

    assert site.calls_of(lambda: site.commit(session)) == []
    assert site.commit(session).apply(headers) is headers


def test_a_used_session_varies(site: Managed) -> None:
    """A response that depends on the session says so, and the given list stays as it is."""
    session = site.open()
    len(session)
    headers = [("X", "1")]

    assert site.commit(session).apply(headers) == [("X", "1"), ("Vary", "Cookie")]
    assert headers == [("X", "1")]


def test_a_cookie_is_sent_once_and_kept_from_caches(site: Managed) -> None:
    """The application's other cookies stay, and nothing but what is needed is added."""
    session = site.open()
    session["a"] = 1
    outcome = site.commit(session)

    headers = outcome.apply([("Set-Cookie", "theme=dark")])

    assert headers == [
        ("Set-Cookie", "theme=dark"),
        ("Cache-Control", "no-store"),
        ("Set-Cookie", str(outcome.set_cookie)),
        ("Vary", "Cookie"),
    ]


def test_a_cookie_of_our_name_gives_way_with_a_warning(site: Managed, caplog: pytest.LogCaptureFixture) -> None:
    """Two cookies of one name would log the user in or out at random; the warning has the name only."""
    session = site.open()
    session["a"] = 1
    outcome = site.commit(session)

    headers = outcome.apply([("Set-Cookie", "__Host-session=theirs; Path=/")])

    assert [value for name, value in headers if name == "Set-Cookie"] == [outcome.set_cookie]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "'__Host-session'" in line
    assert "theirs" not in line


def test_an_outcome_does_not_show_the_cookie(site: Managed) -> None:
    """Error trackers print the local variables of a failed call."""
    outcome = Outcome(site.open(), "__Host-session=secret")
    stored = Stored("secret", "key", Record(data=b"", created_at=0, seen_at=0, expires_at=0), cookie_value="secret")

    # An error page looks into tuples without asking them for their repr.
    assert "secret" not in repr(outcome) + debug_repr(outcome) + repr(stored) + debug_repr(stored)


COOKIES = [
    pytest.param(Cookie(), id="default"),
    pytest.param(Cookie(persistent=False), id="not persistent"),
    pytest.param(Cookie(rolling=False), id="not rolling"),
    pytest.param(Cookie(name="a", domain="example.com", samesite="None", partitioned=True), id="with a domain"),
    pytest.param(Cookie(name="Max-Age", path="/a, Max-Age=5", secure=False), id="path"),
]


@pytest.mark.parametrize("is_erased", [False, True], ids=["set", "erased"])
@pytest.mark.parametrize("cookie", COOKIES)
def test_a_framework_can_set_the_cookie_from_its_parts(cookie: Cookie, *, is_erased: bool) -> None:
    """They say what the rendered header says: werkzeug renders the same one from them."""
    site = managed(cookie=cookie)
    session = site.open(site.begin(a=1))
    session.rotate()
    if is_erased:
        session.destroy()

    outcome = site.commit(session)

    rendered = dump_cookie(
        outcome.name,
        str(outcome.value),
        max_age=outcome.max_age,
        expires=0 if outcome.erase else None,
        sync_expires=False,
        **outcome.attributes,
    )
    assert set(rendered.split("; ")) == set(str(outcome.set_cookie).split("; "))
    assert outcome.erase is is_erased
    assert outcome.value == (site.manager.cookie_value(session) or "")


@pytest.mark.parametrize("is_used", [False, True])
def test_without_a_cookie_there_are_no_parts(site: Managed, *, is_used: bool) -> None:
    """The browser keeps what it has."""
    session = site.open(site.begin(a=1))
    if is_used:
        len(session)

    outcome = site.commit(session)

    assert outcome.set_cookie is None
    assert (outcome.name, outcome.value, outcome.max_age, outcome.erase) == ("", None, None, False)
    assert outcome.attributes == {}


def test_the_repr_of_an_outcome_names_what_it_does(site: Managed) -> None:
    """With the cookie's name, and never its value."""
    session = site.open()
    assert repr(site.commit(session)) == "<Outcome without a cookie>"

    session = site.open()
    session["a"] = 1
    outcome = site.commit(session)
    assert repr(outcome) == "<Outcome that sets '__Host-session'>"
    assert str(outcome.value) not in debug_repr(outcome)

    session = site.open(cookie_of(outcome))
    session.destroy()
    assert repr(site.commit(session)) == "<Outcome that erases '__Host-session'>"


@pytest.mark.parametrize(
    ("cookie", "lifetime", "max_age"),
    [
        pytest.param(Cookie(), Lifetime(), "Max-Age=3600", id="what is left of idle"),
        pytest.param(
            Cookie(),
            Lifetime(idle=timedelta(hours=1), absolute=timedelta(hours=1, minutes=30)),
            "Max-Age=1801",
            id="what is left of absolute if that is less",
        ),
        pytest.param(Cookie(rolling=False), Lifetime(), "Max-Age=82801", id="not rolling"),
        pytest.param(
            Cookie(rolling=False), Lifetime(absolute=None), "Max-Age=34560000", id="without an end: the most there is"
        ),
        pytest.param(Cookie(persistent=False), Lifetime(), None, id="for the browser's session"),
    ],
)
def test_how_long_a_cookie_is_to_be_kept(cookie: Cookie, lifetime: Lifetime, max_age: str | None) -> None:
    """A rotation nearly an hour after the creation: ``Max-Age`` says what is left then, rounded up to seconds."""
    site = managed(cookie=cookie, lifetime=lifetime)
    jar = site.begin()
    site.clock.advance(timedelta(minutes=59, seconds=59.5))
    session = site.open(jar)
    session.rotate()
    site.clock.advance(timedelta(seconds=0.25))
    set_cookie = str(site.commit(session).set_cookie)

    assert [part for part in set_cookie.split("; ") if part.startswith("Max-Age")] == ([max_age] if max_age else [])


@pytest.mark.parametrize(
    ("cookie", "is_https", "is_warned"),
    [
        pytest.param(Cookie(), False, True, id="over http"),
        pytest.param(Cookie(), True, False, id="over https"),
        pytest.param(Cookie.for_development(), False, False, id="not secure"),
    ],
)
def test_a_secure_cookie_over_http_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, cookie: Cookie, *, is_https: bool, is_warned: bool
) -> None:
    """The developer whose login does not last finds the reason in the log: one line, however many cookies."""
    site = managed(cookie=cookie)
    caplog.clear()
    for _ in range(3):
        session = site.open()
        session["a"] = 1
        site.commit(session, is_https=is_https)

    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert ["Cookie.for_development()" in text for text in warnings] == [True] * is_warned


def test_a_page_without_a_new_cookie_is_not_warned_of(site: Managed, caplog: pytest.LogCaptureFixture) -> None:
    """Only a cookie that is issued can be refused."""
    session = site.open()
    len(session)
    site.commit(session, is_https=False)

    assert caplog.records == []


# --- a store that fails ----------------------------------------------------------------------------------------------


def fail(key: str) -> None:
    raise ConnectionError


def test_a_failed_load_is_remembered(site: Managed) -> None:
    """The store is asked once in a request; every use after that fails at once, and the commit asks nothing."""
    session = site.open(site.begin())
    site.race("load", fail, times=99)
    site.spy.calls.clear()

    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            session.get("a")

    outcome = site.commit(session)
    assert site.spy.calls == ["load"]
    assert (outcome.is_used, outcome.set_cookie) == (True, None)


def test_a_failed_commit_is_remembered(site: Managed) -> None:
    """What could not be stored once is not tried again behind the application's back."""
    session = site.open(site.begin())
    session["b"] = 2
    site.race("update", fail)

    with pytest.raises(StoreUnavailable):
        site.commit(session)

    assert site.calls_of(lambda: site.commit(session)) == []
    with pytest.raises(StoreUnavailable, match="earlier in this request"):
        session["c"] = 3
    assert session["b"] == 2, "what is known can still be read"


# --- save, and what comes after it -----------------------------------------------------------------------------------


def test_what_was_saved_gets_its_cookie_with_the_headers(site: Managed) -> None:
    """The record is there at once, its cookie goes with the headers, once the record has proved to be still alive."""
    session = site.open()
    session["a"] = 1

    assert site.calls_of(session.save) == ["create"]
    assert site.calls_of(session.save) == []
    site.spy.calls.clear()
    told = cookie_of(site.commit(session))
    assert site.spy.calls == ["touch"]
    assert site.read(told) == {"a": 1}
    assert site.commit(session, can_set_cookie=False).set_cookie is None, "a debt is paid once"


def test_saving_a_rotated_session_rotates_it(site: Managed) -> None:
    """Data is stored under the coming id at once, and the old one leads nowhere before the cookie is sent."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session.rotate()
    session["b"] = 2

    assert site.calls_of(session.save) == ["create", "update"]
    assert site.read(cookie) == {}
    told = cookie_of(site.commit(session))
    assert (site.read(told), site.read(cookie)) == ({"a": 1, "b": 2}, {})


@pytest.mark.parametrize("status", [200, 500, None])
def test_a_saved_end_erases_the_cookie_whatever_follows(site: Managed, status: int | None) -> None:
    """The record is deleted at once, and the cookie erased with the headers even of an error page."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session.destroy()

    assert site.calls_of(session.save) == ["delete"]
    assert "Max-Age=0" in str(site.commit(session, status=status).set_cookie)


def test_a_change_that_could_not_be_saved_leaves_no_cookie(site: Managed) -> None:
    """``save()`` of a session that died meanwhile leaves no cookie to send."""
    session = site.open(site.begin(a=1))
    session["b"] = 2
    site.spy.delete_all()

    session.save()

    assert site.commit(session).set_cookie is None
    assert site.happened[-1] == "save_conflict"


@pytest.mark.parametrize(
    ("status", "data"),
    [
        pytest.param(200, {"a": 1, "b": 2}, id="success"),
        pytest.param(499, {"a": 1, "b": 2}, id="the client's fault"),
        pytest.param(500, {"a": 1}, id="our fault"),
        pytest.param(None, {"a": 1}, id="exception"),
    ],
)
def test_a_failed_request_changes_nothing(site: Managed, status: int | None, data: dict[str, int]) -> None:
    """From 500 on, and after an exception, changes are dropped."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session["b"] = 2

    site.commit(session, status=status)

    assert site.read(cookie) == data


@pytest.mark.parametrize(
    ("do", "calls"),
    [
        pytest.param(lambda session: session.set("b", 2), ["update"], id="a change is stored"),
        pytest.param(lambda session: session.destroy(), ["delete"], id="an end is done"),
        pytest.param(lambda session: session.rotate(), [], id="a rotation is not"),
    ],
)
def test_without_headers_only_what_needs_no_cookie_is_done(
    site: Managed, do: Callable[[Session], Any], calls: list[str]
) -> None:
    """A browser that hung up never learns of another id."""
    session = site.open(site.begin(a=1))
    do(session)
    site.spy.calls.clear()

    outcome = site.commit(session, can_set_cookie=False)

    assert site.spy.calls == calls
    assert outcome.set_cookie is None


def test_without_headers_nothing_begins(site: Managed) -> None:
    """A new session that no browser can learn of is not stored."""
    session = site.open()
    session["a"] = 1

    assert site.calls_of(lambda: site.commit(session, can_set_cookie=False)) == []


# --- in the middle of a request --------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [False, True])
def test_a_checkpoint_saves(site: Managed, *, create: bool) -> None:
    """What there is to store is stored at this line, once."""
    cookie = site.begin(a=1)
    session = site.open(cookie)
    session["b"] = 2

    assert site.calls_of(lambda: site.manager.checkpoint(session, create=create)) == ["update"]
    assert site.calls_of(lambda: site.manager.checkpoint(session, create=create)) == []
    assert site.read(cookie) == {"a": 1, "b": 2}


def test_an_empty_session_is_stored_on_request_only(site: Managed) -> None:
    """``create=True`` gives it an id and a cookie; it lives like any other session."""
    session = site.open()
    assert site.calls_of(lambda: site.manager.checkpoint(session)) == []

    assert site.calls_of(lambda: site.manager.checkpoint(session, create=True)) == ["create"]
    assert (session.is_new, session.is_modified, len(session)) == (False, False, 0)
    value = site.manager.cookie_value(session)
    cookie = cookie_of(site.commit(session))

    assert cookie == f"__Host-session={value}"
    again = site.open(cookie)
    assert (again.is_new, again.id) == (False, session.id)


def test_django_can_create_and_cycle_twice(site: Managed) -> None:
    """Each step has an id of its own; of all of them the last one lives, and the response carries it."""
    session = site.open(site.begin(a=1))
    values = [site.manager.cookie_value(session)]

    def note() -> None:
        values.append(site.manager.cookie_value(session))

    for _ in range(2):
        session.destroy()
        site.manager.checkpoint(session, create=True)
        note()
        session.rotate()
        site.manager.checkpoint(session)
        note()
        session["b"] = len(values)

    outcome = site.commit(session)

    assert len(set(values)) == 5
    assert outcome.value == values[-1]
    assert [dict(site.manager.open_value(value)) for value in values] == [{}, {}, {}, {}, {"b": 5}]
    assert len(site.records()) == 1


@pytest.mark.parametrize("is_sent", [False, True])
def test_an_empty_session_whose_cookie_never_left_is_deleted(site: Managed, *, is_sent: bool) -> None:
    """As any other that ``save()`` began: nobody could ever reach it."""
    session = site.open()
    site.manager.checkpoint(session, create=True)
    if is_sent:
        site.commit(session, status=500)

    site.finish(session)

    assert len(site.records()) == is_sent


def test_a_session_that_was_created_empty_may_be_destroyed(site: Managed) -> None:
    """Then it is gone, and nothing is created again on its own."""
    session = site.open()
    site.manager.checkpoint(session, create=True)
    session.destroy()

    assert site.commit(session).erase
    assert site.records() == {}


@pytest.mark.parametrize("is_final", [False, True], ids=["head left", "over"])
def test_it_is_too_late_to_create_a_session(site: Managed, *, is_final: bool) -> None:
    """No browser could be told of it, so nothing is stored."""
    session = site.open()
    len(session)
    site.send_head(session)
    if is_final:
        site.finish(session)

    with pytest.raises(HeadersSent):
        site.manager.checkpoint(session, create=True)
    assert site.records() == {}


def test_a_creation_that_the_store_cannot_do_raises(site: Managed) -> None:
    """At this line, and nothing is asked of it any more in this request."""
    session = site.open()

    def fail(method: str, key: str) -> None:
        raise StoreUnavailable("down")

    site.spy.before = fail

    with pytest.raises(StoreUnavailable):
        site.manager.checkpoint(session, create=True)
    assert site.calls_of(lambda: site.commit(session)) == []


# --- phases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "is_allowed"),
    [
        pytest.param([], False, id="open to caches"),
        pytest.param([("Vary", "Cookie")], True, id="varies"),
        pytest.param([("Cache-Control", "no-store")], True, id="not stored"),
    ],
)
@pytest.mark.parametrize("is_final", [False, True], ids=["headers sent", "over"])
def test_a_first_use_after_the_headers_needs_ones_that_no_cache_shares(
    site: Managed, headers: list[tuple[str, str]], *, is_allowed: bool, is_final: bool
) -> None:
    """Else a cache could hand the page to somebody else."""
    session = site.open(site.begin(a=1))
    site.send_head(session, headers)
    if is_final:
        site.finish(session)

    if is_allowed:
        assert session["a"] == 1
    else:
        with pytest.raises(HeadersSent, match="without Vary: Cookie"):
            session["a"]
        assert not session.is_loaded


def test_an_adapter_that_only_applies_the_outcome_gets_the_check(site: Managed) -> None:
    """Nothing else is to be done at the headers: the headers as they were returned decide, whatever is added later."""
    session = site.open(site.begin(a=1))

    headers = site.manager.commit(session, status=200).apply([("X", "1")])
    headers.append(("Vary", "Cookie"))

    with pytest.raises(HeadersSent, match="without Vary: Cookie"):
        session["a"]


def test_headers_that_replace_others_decide_anew(site: Managed) -> None:
    """As in a response that begins again: a use that the first headers allowed makes the second ones vary."""
    session = site.open(site.begin(a=1))
    outcome = site.commit(session)

    assert outcome.apply([("Vary", "Cookie")]) == [("Vary", "Cookie")]
    assert (outcome.is_used, session["a"], outcome.is_used) == (False, 1, True)
    assert outcome.apply([]) == [("Vary", "Cookie")]


def test_phases_only_move_forward(site: Managed) -> None:
    """Once all is committed, no later commit makes the session writable again: nobody would store it."""
    session = site.open(site.begin(a=1))
    len(session)
    site.finish(session)
    site.send_head(session)

    with pytest.raises(HeadersSent):
        session["b"] = 2


def test_the_last_commit_ends_it_even_if_it_fails(site: Managed) -> None:
    """After the last commit nothing is accepted any more, since nobody would store it."""
    session = site.open(site.begin(list=[]))
    session["list"].append(object())

    with pytest.raises(EncodeError):
        site.finish(session)
    with pytest.raises(HeadersSent):
        session["b"] = 2


def test_a_commit_that_failed_can_be_done_again(site: Managed) -> None:
    """With the headers, an error may still get its own answer: the session stays open for that answer."""
    cookie = site.begin(list=[])
    session = site.open(cookie)
    session["list"].append(object())
    with pytest.raises(EncodeError):
        site.commit(session)
    session.destroy()

    assert "Max-Age=0" in str(site.commit(session, status=500).set_cookie)
    assert site.records() == {}
