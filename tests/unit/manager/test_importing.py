"""Sessions of other libraries, carried over once: who wins, who is served, and what stays dead."""

import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import redis
from support.client import SECRET, Client, SpyStore
from support.former import KEY, PERIOD, START, SWITCHED_AT, at, flask_cookie
from support.managed import Managed, cookie_of

from wsgi_session import Cookie, JSONCodec, Lifetime, Outcome, Session, SessionManager, SessionMiddleware
from wsgi_session.errors import ConfigError, HeadersSent, StoreUnavailable
from wsgi_session.importers import FlaskCookie, FlaskSessionRecords, Former, Importer
from wsgi_session.stores import MemoryStore, SQLiteStore
from wsgi_session.testing import FakeClock

IMPORTER = FlaskCookie(secret=KEY, **PERIOD)
MINUTE = timedelta(minutes=1)
GONE = "Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"


def managed(*importers: Importer, **options: Any) -> Managed:
    clock = FakeClock(START)
    spy, events = SpyStore(MemoryStore(clock=clock)), []
    options = {"importers": importers or [IMPORTER], "on_event": events.append} | options
    return Managed(SessionManager(spy, secret=SECRET, clock=clock, **options), spy, clock, events)


@pytest.fixture
def moved() -> Managed:
    return managed()


@pytest.fixture(scope="module")
def former() -> str:
    """The ``Cookie`` header of a browser that visited the site when it was Flask's."""
    with at():
        return f"session={flask_cookie({'a': 1, 'cart': {'pear': 2}, '_user_id': '7'})}"


def on_nth_call(moved: Managed, method: str, nth: int, do: Callable[[], Any]) -> None:
    """Let *do* happen once, just before the *nth* call of *method*."""
    seen = count(1)

    def before(called: str, key: str) -> None:
        if called == method and next(seen) == nth:
            moved.spy.before = lambda method, key: None
            do()

    moved.spy.before = before


# --- who wins -------------------------------------------------------------------------------------------------------


def test_the_first_request_gets_the_new_cookie(moved: Managed, former: str) -> None:
    """Although it only read; and the browser forgets the other library's."""
    session = moved.open(former)
    assert (session["a"], session.is_new, session.created_at, session.user_id) == (1, False, START, None)
    outcome = moved.commit(session)
    new, erased, *others = [value for name, value in outcome.apply([]) if name == "Set-Cookie"]

    assert moved.read(cookie_of(outcome)) == {"a": 1, "cart": {"pear": 2}, "_user_id": "7"}
    assert (new.startswith("__Host-session="), others) == (True, [])
    assert erased == f"session=; {GONE}; Secure; Path=/"
    assert moved.happened[:2] == ["imported", "loaded"]
    assert (moved.events[0].id, moved.events[0].source) == (session.id, "flask cookie")  # type: ignore[attr-defined]
    assert moved.manager.handle().count() == 1


def test_a_page_that_fails_sends_the_cookie_all_the_same(moved: Managed, former: str) -> None:
    session = moved.open(former)
    session["a"] = 2
    outcome = moved.commit(session, 500)

    assert moved.read(cookie_of(outcome))["a"] == 1


def test_what_the_first_request_changes_is_stored(moved: Managed, former: str) -> None:
    session = moved.open(former)
    session.increment(("cart", "pear"))
    session.save()
    session["b"] = 2
    outcome = moved.commit(session)

    assert moved.read(cookie_of(outcome)) == {"a": 1, "cart": {"pear": 3}, "_user_id": "7", "b": 2}


def test_a_session_of_ours_comes_first(moved: Managed, former: str) -> None:
    """Also one that is rotated away: nobody asks an importer."""
    ours = moved.begin(a=2)
    assert moved.read(f"{former}; {ours}") == {"a": 2}
    moved.do(ours, Session.rotate)
    assert moved.read(f"{former}; {ours}") == {}

    assert "imported" not in moved.happened


def test_several_sessions_of_ours_bring_none_in(moved: Managed, former: str) -> None:
    first, second = moved.begin(a=2), moved.begin(a=3)

    assert moved.read(f"{former}; {first}; {second}") == {}
    assert "imported" not in moved.happened


def test_a_cookie_of_ours_that_leads_nowhere_does_not_hinder(moved: Managed, former: str) -> None:
    ours = moved.begin(a=2)
    moved.manager.handle().revoke(moved.key_of(ours))

    assert moved.read(f"{former}; {ours}")["a"] == 1


def test_twenty_at_once_make_one_session(former: str, tmp_path: Path) -> None:
    """All are served with the same values, under the same id, and one gets the cookie."""
    clock, barrier = FakeClock(START), Barrier(20)
    manager = SessionManager(
        SQLiteStore(tmp_path / "sessions.sqlite3", timeout=30, clock=clock),
        secret=SECRET, clock=clock, importers=[IMPORTER],
    )  # fmt: skip

    def visit(number: int) -> tuple[dict[str, Any], str | None, bytes, bool]:
        barrier.wait()
        session = manager.open(former)
        values, secret = dict(session), session.derive("form")
        session.increment("visits")
        session[f"key{number}"] = number
        return values, session.id, secret, manager.commit(session, status=200).set_cookie is not None

    with ThreadPoolExecutor(20) as pool:
        visits = list(pool.map(visit, range(20)))

    assert [set(values) >= {"a", "cart", "_user_id"} and values["a"] for values, *_ in visits] == [1] * 20
    assert len({(id_, secret) for _, id_, secret, _ in visits}) == 1
    assert [has_cookie for *_, has_cookie in visits].count(True) == 1
    (summary,) = manager.handle()
    assert summary.data["visits"] == 20
    assert set(summary.data) == {"a", "cart", "_user_id", "visits", *(f"key{number}" for number in range(20))}
    manager.close()


@pytest.mark.parametrize("nth", [1, 2], ids=["before its copy", "before its marker"])
def test_who_is_a_moment_late_makes_no_session(moved: Managed, former: str, nth: int) -> None:
    """Its copy goes again, and it is served from the other one."""
    first: list[Outcome] = []
    on_nth_call(moved, "create", nth, lambda: first.append(moved.do(former, dict)))
    session = moved.open(former)

    assert session["a"] == 1
    assert session.id == moved.key_of(cookie_of(first[0]))
    assert moved.commit(session).set_cookie is None
    assert moved.manager.handle().count() == 1


def test_who_finds_the_record_just_gone_is_served(former: str) -> None:
    """Another request moved it after this one looked for the marker."""

    sid, visits = "a" * 43, [""]

    class Records(dict[str, bytes]):
        def get(self, name: str, /) -> bytes | None:  # type: ignore[override]
            if visits:
                moved.do(f"session={sid}{visits.pop()}", dict)
            return super().get(name)

        def delete(self, name: str, /) -> None:
            del self[name]

    moved = managed(FlaskSessionRecords(client=Records({f"session:{sid}": b'{"a":1}'}), **PERIOD))
    session = moved.open(f"session={sid}")

    assert dict(session) == {"a": 1}
    assert moved.commit(session).set_cookie is None
    assert moved.manager.handle().count() == 1


# --- for a minute ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(dict, id="read"),
        pytest.param(lambda session: session.update(b=2), id="write"),
        pytest.param(lambda session: session.set_lifetime(Lifetime(idle=MINUTE)), id="own limits"),
        pytest.param(lambda session: (session.update(b=2), session.save()), id="save"),
    ],
)
def test_for_a_minute_others_are_served_without_a_cookie(former: str, step: Callable[[Session], Any]) -> None:
    """A cookie that arrives late would replace that of a newer id."""
    moved = managed(lifetime=Lifetime(touch_every=timedelta(seconds=1)))
    ours = cookie_of(moved.do(former, dict))
    moved.write(ours, c=3)
    moved.clock.advance(timedelta(seconds=59))
    outcome = moved.do(former, step)

    assert (outcome.set_cookie, outcome.apply([])) == (None, [("Vary", "Cookie")])
    assert moved.read(former) == moved.read(ours)
    assert moved.read(ours)["c"] == 3


def test_then_the_old_cookie_is_refused(moved: Managed, former: str) -> None:
    ours = cookie_of(moved.do(former, dict))
    moved.clock.advance(MINUTE)

    assert moved.read(former) == {}
    assert moved.events[-1].reason == "used"  # type: ignore[attr-defined]
    assert moved.read(ours)["a"] == 1
    moved.clock.now = SWITCHED_AT.timestamp() + 30 * 86400 - 1
    assert moved.read(former) == {}
    assert moved.manager.handle().count() == 0


def test_who_logs_out_stays_so(moved: Managed, former: str) -> None:
    """The old cookie revives nothing, in that minute and after it."""
    ours = cookie_of(moved.do(former, dict))
    assert "Max-Age=0" in str(moved.do(ours, Session.destroy).set_cookie)

    for _ in range(2):
        assert (moved.read(former), moved.read(f"{former}; {ours}")) == ({}, {})
        moved.clock.advance(MINUTE)
    assert moved.manager.handle().count() == 0


def test_who_logs_out_with_the_old_cookie_stays_so(moved: Managed, former: str) -> None:
    """In the first request, or a moment later: the session ends under its only id."""
    for _ in range(2):
        assert "Max-Age=0" in str(moved.do(former, Session.destroy).set_cookie)
        assert moved.read(former) == {}
        moved = managed()
        moved.do(former, dict)


def test_a_revoked_session_stays_so(moved: Managed, former: str) -> None:
    ours = cookie_of(moved.do(former, dict))
    assert moved.manager.handle().revoke(moved.key_of(ours)) is True

    assert (moved.read(former), moved.read(ours)) == ({}, {})


def test_who_logs_in_first_gets_a_fresh_id(former: str) -> None:
    """A request that came with the old cookie meanwhile has lost the race, as after any rotation."""
    moved = managed(user_key="_user_id")
    session = moved.open(former)
    imported = session.id
    session["_user_id"] = "8"
    outcome = moved.commit(session)

    assert moved.read(cookie_of(outcome)) == {"_user_id": "8"}
    assert moved.key_of(cookie_of(outcome)) != imported
    late = moved.open(former)
    assert (dict(late), late.is_gone, moved.commit(late).set_cookie) == ({}, True, None)


def test_who_logs_in_with_the_old_cookie_gets_the_new_one(former: str) -> None:
    """Without ours as yet: the browser needs the one of the fresh id."""
    moved = managed(user_key="_user_id")
    first = cookie_of(moved.do(former, dict))
    outcome = moved.do(former, lambda session: session.update(_user_id="8"))

    assert moved.read(cookie_of(outcome)) == {"_user_id": "8"}
    assert moved.read(first) == {}


def test_a_session_is_bound_to_its_user(former: str) -> None:
    """Nobody logged in just now, so it is not fresh."""
    moved = managed(user_key="_user_id")
    session = moved.open(former)

    assert (session.user_id, session.authenticated_at) == ("7", None)
    session["_user_id"] = 7  # the same user
    assert not session.rotation_requested()


@pytest.mark.parametrize("user", [[], "x" * 256])
def test_a_user_that_cannot_be_one_is_nobody(user: Any) -> None:
    moved = managed(user_key="_user_id")
    with at():
        session = moved.open(f"session={flask_cookie({'_user_id': user})}")

    assert (session["_user_id"], session.user_id) == (user, None)


@pytest.mark.parametrize("lateness", [timedelta(0), MINUTE])
@pytest.mark.parametrize("times", [1, 2])
def test_a_response_that_never_left_takes_no_session_along(
    moved: Managed, former: str, lateness: timedelta, times: int
) -> None:
    """The application raised out of the server, or the browser was gone: the next request gets the cookie."""
    for _ in range(times):
        session = moved.open(former)
        session["b"] = 2
        moved.commit(session, None, can_set_cookie=False, is_final=True)
        assert session.is_gone
        moved.clock.advance(lateness)
    outcome = moved.do(former, dict)
    ours = cookie_of(outcome)

    assert len([name for name, _ in outcome.apply([]) if name == "Set-Cookie"]) == 2
    assert moved.read(ours) == {"a": 1, "cart": {"pear": 2}, "_user_id": "7"}
    moved.clock.advance(MINUTE)
    assert moved.read(former) == {}
    assert moved.manager.handle().count() == 1


def test_a_marker_whose_answer_is_lost_takes_no_session_along(
    moved: Managed, former: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It exists, so nobody moves the session again: the next request gets the cookie."""
    create = moved.spy.real.create

    def create_and_lose_the_answer(key: str, record: Any) -> bool:
        created = create(key, record)
        if record.successor is not None:
            raise StoreUnavailable("no answer")
        return created

    with monkeypatch.context() as patched:
        patched.setattr(moved.spy.real, "create", create_and_lose_the_answer)
        with pytest.raises(StoreUnavailable):
            moved.read(former)
    moved.clock.advance(MINUTE)

    assert moved.read(cookie_of(moved.do(former, dict)))["a"] == 1
    assert moved.manager.handle().count() == 1


def test_a_marker_that_could_not_be_made_leaves_no_copy_behind(moved: Managed, former: str) -> None:
    """Nothing would ever lead to it, and each further try would leave another one."""

    def fail() -> None:
        raise StoreUnavailable("read only")

    for _ in range(3):
        on_nth_call(moved, "create", 2, fail)
        with pytest.raises(StoreUnavailable):
            moved.read(former)
        assert moved.manager.handle().count() == 0

    assert moved.read(former)["a"] == 1
    assert moved.manager.handle().count() == 1


def test_of_two_that_resume_one_gets_the_cookie(moved: Managed, former: str) -> None:
    moved.commit(moved.open(former), None)  # not used: nothing happens
    session = moved.open(former)
    dict(session)
    moved.commit(session, None, can_set_cookie=False, is_final=True)
    first: list[Outcome] = []
    on_nth_call(moved, "update", 1, lambda: first.append(moved.do(former, dict)))
    session = moved.open(former)

    assert session["a"] == 1
    assert moved.commit(session).set_cookie is None
    assert first[0].set_cookie is not None


def test_what_was_revoked_meanwhile_is_not_resumed(moved: Managed, former: str) -> None:
    session = moved.open(former)
    moved.manager.handle().revoke(str(session.id))
    moved.commit(session, None, can_set_cookie=False, is_final=True)

    assert moved.read(former) == {}
    moved.clock.advance(MINUTE)
    assert moved.read(former) == {}


def test_a_login_that_never_left_takes_no_session_along(former: str) -> None:
    """Nor does it let anybody else in."""
    moved = managed(user_key="_user_id")
    session = moved.open(former)
    session["_user_id"] = "8"
    moved.commit(session, None, can_set_cookie=False, is_final=True)

    assert moved.read(former)["_user_id"] == "7"


# --- not this time --------------------------------------------------------------------------------------------------


def test_nothing_is_moved_when_its_cookie_could_not_be_sent(moved: Managed, former: str) -> None:
    """The first use inside a stream: the next request moves it."""
    session = moved.open(former)
    moved.commit(session).apply([("Vary", "Cookie")])

    assert dict(session) == {}
    with pytest.raises(HeadersSent):
        session["a"] = 2
    assert moved.read(former)["a"] == 1


def test_who_does_not_use_the_session_pays_nothing(moved: Managed, former: str) -> None:
    outcome = moved.commit(moved.open(former))

    assert (moved.spy.calls, moved.events, outcome.apply([])) == ([], [], [])


def test_who_has_no_such_cookie_pays_nothing(moved: Managed) -> None:
    assert moved.read("other=1") == {}
    assert (moved.spy.calls, moved.events) == ([], [])


def test_two_old_cookies_are_ambiguous(moved: Managed, former: str) -> None:
    """A neighbouring host may have planted one. A forged one beside the genuine one is nothing."""
    with at():
        planted = flask_cookie({"a": 2})

    assert moved.read(f"{former}; session={planted}") == {}
    assert moved.happened == ["cookie_ambiguous"]
    many = "; ".join(f"session={number}" for number in range(5))
    assert moved.read(f"{many}; {former}") == {}
    assert moved.read(f"session=1; {former}; {former}")["a"] == 1


def test_a_header_that_is_too_long_is_not_read(moved: Managed, former: str) -> None:
    assert moved.read(f"{former}; x={'x' * 16384}") == moved.read(f"session={'x' * 4090}") == {}
    assert "imported" not in moved.happened


def test_a_planted_marker_leads_nowhere(moved: Managed, former: str) -> None:
    """Who can write to the store cannot make a cookie lead to a session of his."""
    ours, his = moved.do(former, dict), moved.begin(a=2)
    key, marker = next(iter(moved.spy.real._tombstones.items()))  # type: ignore[attr-defined]
    moved.spy.real._tombstones[key] = marker.__class__(  # type: ignore[attr-defined]
        data=b"", created_at=START, seen_at=START, expires_at=marker.expires_at, successor=moved.key_of(his)
    )

    assert moved.read(former) == {}
    assert moved.read(cookie_of(ours))["a"] == 1


# --- everybody out --------------------------------------------------------------------------------------------------


def test_revoke_all_ends_what_was_not_moved_yet(moved: Managed, former: str) -> None:
    with at():
        other = f"session={flask_cookie({'b': 2})}"
    moved.do(other, dict)

    assert moved.manager.handle().revoke_all() == 1
    assert (moved.read(former), moved.read(other)) == ({}, {})
    assert [event.reason for event in moved.events if event.name == "import_rejected"] == ["revoked"] * 2  # type: ignore[attr-defined]
    assert moved.manager.handle().revoke_all() == 0
    assert moved.read(former) == {}
    assert moved.begin() != ""


def test_what_everybody_was_logged_out_of_costs_no_more_writes(moved: Managed, former: str) -> None:
    moved.manager.handle().revoke_all()

    for _ in range(3):
        assert moved.calls_of(lambda: moved.read(former)) == ["load", "load"]


@pytest.mark.parametrize(("method", "nth"), [("load", 1), ("load", 2), ("load", 3), ("create", 1), ("create", 2)])
def test_revoke_all_ends_what_is_just_being_moved(moved: Managed, former: str, method: str, nth: int) -> None:
    """Whichever step the request is at: its session is gone, or it finds that it must not."""
    on_nth_call(moved, method, nth, lambda: revoked.append(moved.manager.handle().revoke_all()))
    revoked: list[int] = []
    outcome = moved.do(former, dict)

    assert len(revoked) == 1
    assert outcome.set_cookie is None
    assert moved.manager.handle().count() == 0
    assert moved.read(former) == {}


# --- the cookie -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "erased"),
    [
        pytest.param({}, [], id="the same"),
        pytest.param({"cookie_path": "/shop"}, [f"session=; {GONE}; Path=/shop"], id="another path"),
        pytest.param({"cookie_domain": "a.org"}, [f"session=; Domain=a.org; {GONE}; Path=/"], id="a domain"),
    ],
)
def test_a_cookie_of_the_same_name_is_replaced(former: str, options: dict[str, Any], erased: list[str]) -> None:
    """Nothing speaks of a malformed cookie of ours."""
    importer = FlaskCookie(secret=KEY, **options, **PERIOD)
    moved = managed(importer, cookie=Cookie(name="session", secure=False))
    first, *others = [value for name, value in moved.do(former, dict).apply([]) if name == "Set-Cookie"]

    assert (first[:8], "Max-Age=3600" in first) == ("session=", True)
    assert others == erased
    assert moved.happened == ["imported", "loaded", "touched"]
    assert moved.read("session=forged") == {}
    assert moved.happened[3:] == ["import_rejected"]


def test_compact_cookies(former: str) -> None:
    moved = managed(compact=True)
    outcome = moved.do(former, dict)

    assert len(str(outcome.value)) == 40
    assert moved.open(former).id == moved.key_of(cookie_of(outcome))
    assert moved.manager.cookie_value(moved.open(former)) == outcome.value


def test_an_importer_of_ones_own(moved: Managed) -> None:
    """Three methods, of which one may be left out."""

    class Legacy(Importer):
        source = "legacy"

        def identify(self, value: str) -> str | None:
            return value if value == "secret" else None

        def load(self, name: str, *, now: float, max_bytes: int) -> Any:
            return Former({"a": 1}, idle_s=60.0) if now < self.ends_at_s and max_bytes == 65536 else "unknown"

    moved = managed(Legacy(cookie_name="__Secure-old", **PERIOD), cookie=Cookie(secure=False, name="new"))
    session = moved.open("__Secure-old=secret")

    assert (session["a"], session.expires_in) == (1, MINUTE)
    assert any("__Secure-old=;" in value and "; Secure" in value for _, value in moved.commit(session).apply([]))


def test_what_an_importer_of_ones_own_raises_is_no_logout() -> None:
    """And shows no secret: the text of the error is not passed on."""

    class Legacy(Importer):
        source = "legacy"

        def identify(self, value: str) -> str | None:
            return bytes.fromhex(value).decode()

        def load(self, name: str, *, now: float, max_bytes: int) -> Any:
            return Former({"a": name})

    moved = managed(Legacy(**PERIOD))
    with pytest.raises(StoreUnavailable, match=r"failed to identify: ValueError$") as raised:
        moved.read("session=secret")

    assert raised.value.__context__ is None
    assert moved.read("session=41") == {"a": "A"}


@pytest.mark.parametrize("kind", [TypeError, OverflowError, RecursionError])
def test_what_a_codec_of_ones_own_raises_is_no_session(former: str, kind: type[Exception]) -> None:
    """No line of the application wrote these values: it could not catch that."""

    class Picky(JSONCodec):
        def encode(self, value: Any) -> bytes:
            if isinstance(value, dict):
                raise kind("private")
            return super().encode(value)

    moved = managed(codec=Picky())

    assert moved.read(former) == {}
    assert [event.reason for event in moved.events if event.name == "import_rejected"] == ["unfit"]  # type: ignore[attr-defined]
    assert moved.manager.handle().count() == 0


# --- the middleware -------------------------------------------------------------------------------------------------


def test_the_middleware_takes_importers(former: str) -> None:
    clock = FakeClock(START)

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Set-Cookie", "theirs=1")])
        return [repr(dict(environ["session"])).encode()]

    browser = Client(
        SessionMiddleware(application, MemoryStore(clock=clock), secret=SECRET, clock=clock, importers=[IMPORTER])
    )
    browser.jar["session"] = former.removeprefix("session=")
    answer = browser.get()

    assert b"'pear': 2" in answer.body
    assert (set(browser.jar), len(answer.cookies)) == ({"theirs", "__Host-session"}, 3)
    assert browser.get().body == answer.body


def test_a_shared_manager_brings_its_importers() -> None:
    with pytest.raises(ConfigError, match="either manager or importers"):
        SessionMiddleware(lambda environ, start: [], manager=managed().manager, importers=[])


# --- options --------------------------------------------------------------------------------------------------------

NAIVE = datetime(2027, 1, 1)  # noqa: DTZ001  which is the mistake


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param({}, "FlaskCookie needs the option secret, switched_at, until", id="nothing"),
        pytest.param({"secret": KEY, "until": SWITCHED_AT}, "needs the option switched_at", id="no switch"),
        pytest.param({"switched_at": NAIVE}, "FlaskCookie.switched_at must be a datetime with a time zone", id="naive"),
        pytest.param({"until": 30}, "FlaskCookie.until must be a datetime with a time zone", id="a number"),
        pytest.param({"until": SWITCHED_AT}, "later than switched_at", id="an empty period"),
        pytest.param({"until": SWITCHED_AT + timedelta(days=30, seconds=1)}, "by at most 30 days", id="too long"),
        pytest.param({"cookie_name": ""}, "cookie_name must be the name", id="no name"),
        pytest.param({"secret": ""}, "FlaskCookie.secret is empty", id="an empty key"),
        pytest.param({"secret": []}, "FlaskCookie.secret is empty", id="no key"),
        pytest.param({"secret": 5}, "FlaskCookie.secret must be", id="a number as a key"),
        pytest.param({"max_age": 60}, "FlaskCookie.max_age must be a positive", id="a number as an age"),
        pytest.param({"max_age": timedelta(0)}, "FlaskCookie.max_age must be a positive", id="no age"),
        pytest.param({"key": KEY}, "FlaskCookie has no option 'key'", id="an unknown one"),
    ],
)
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    complete = {"secret": KEY, **PERIOD} | options if options and "needs" not in text else options
    with pytest.raises(ConfigError) as raised:
        FlaskCookie(**complete)
    assert text in str(raised.value)


@pytest.mark.parametrize("client", ["redis://:password@cache", None, dict])
def test_a_client_is_no_url(client: Any) -> None:
    with pytest.raises(ConfigError, match=r"FlaskSessionRecords.client must be a client") as raised:
        FlaskSessionRecords(client=client, **PERIOD)
    assert "password" not in str(raised.value)


def test_a_client_that_decodes_is_refused() -> None:
    """It would read each record as damaged, and log everybody out."""
    with redis.Redis(decode_responses=True) as client, pytest.raises(ConfigError, match=r"client without decode_resp"):
        FlaskSessionRecords(client=client, **PERIOD)
    with redis.Redis() as client:
        assert FlaskSessionRecords(client=client, **PERIOD).client is client


@pytest.mark.parametrize("importers", [IMPORTER, "flask", [FlaskCookie], [None]])
def test_importers_are_a_list_of_them(importers: Any) -> None:
    with pytest.raises(ConfigError, match="importers must be a list"):
        managed(importers=importers)


@pytest.mark.parametrize(("method", "nth"), [("load", 1), ("create", 1), ("load", 2), ("create", 2)])
def test_a_store_that_fails_shows_no_secret(moved: Managed, former: str, method: str, nth: int) -> None:
    """Error trackers show the local variables of every frame: neither cookie is among them."""

    def fail() -> None:
        raise StoreUnavailable("no answer")

    on_nth_call(moved, method, nth, fail)
    session = moved.open(former)
    with pytest.raises(StoreUnavailable) as raised:
        dict(session)

    frames = [frame for frame, _ in traceback.walk_tb(raised.value.__traceback__)]
    frames = [frame for frame in frames if "/wsgi_session/" in frame.f_code.co_filename]
    shown = [repr(variable) for frame in frames for variable in frame.f_locals.values()]
    assert len(frames) > 4
    assert not [text for text in shown if former.partition("=")[2] in text or former.rpartition(".")[2] in text]
    assert moved.read(former)["a"] == 1


def test_reprs_show_no_secret(moved: Managed, former: str) -> None:
    claim = IMPORTER.claim(former.removeprefix("session="))
    texts = f"{IMPORTER!r} {claim!r} {Former({'a': 'private'})!r}"

    assert texts == (
        f"<FlaskCookie of the cookie 'session' until {PERIOD['until']}> "
        f"Claim(<FlaskCookie of the cookie 'session' until {PERIOD['until']}>) Former()"
    )
