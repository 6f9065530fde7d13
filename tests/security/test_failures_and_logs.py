"""Section N: a store that fails is a 503 and never a logout, and nothing secret is ever told (SEC-87 … 91)."""

import copy
import logging
import pickle
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.client import OTHER_SECRET, SECRET, Client, SpyStore, views_app
from support.faults import FaultyStore
from support.forge import NAME, cookie, make_token, mint
from support.visitor import Visit, Visitor, visitor_of

from wsgi_session import Cookie, Event, Lifetime, Session, SessionManager, SessionMiddleware
from wsgi_session._http.token import TokenSigner
from wsgi_session._session.session import transaction_of
from wsgi_session.errors import EncodeError, SessionError, StoreUnavailable
from wsgi_session.stores import SQLiteStore, Store, store_from_url
from wsgi_session.testing import FakeClock

DRIVER_TEXT = "db.internal:5432 password=hunter2 SELECT data FROM"


def broken(visitor: Visitor, *methods: str) -> Visitor:
    """Let every call of *methods* fail from now on, with a text that is nobody's business."""

    def fail(method: str, key: str) -> None:
        if method in methods:
            raise ConnectionError(f"{DRIVER_TEXT} {key}")

    visitor.spy.before = fail
    visitor.events.clear()
    return visitor


def is_generic_503(answer: Visit) -> bool:
    return (
        answer.status == 503
        and answer.cookies == []
        and sorted(answer.headers)
        == sorted(
            {
                "Content-Type": "text/plain; charset=utf-8",
                "Content-Length": str(len(answer.body)),
                "Cache-Control": "no-store",
                "Retry-After": "5",
                "X-Content-Type-Options": "nosniff",
            }.items()
        )
        and answer.body.startswith(b"The service is temporarily unavailable")
    )


# --- reading fails ---------------------------------------------------------------------------------------------------

USES: dict[str, Callable[[Session], Any]] = {
    "get": lambda session: session.get("user"),
    "[]": lambda session: session["user"],
    "in": lambda session: "user" in session,
    "len": lambda session: len(session),
    "iter": lambda session: list(session),
    "bool": lambda session: bool(session),
    "set": lambda session: session.set("user", "eve"),
    "increment": lambda session: session.increment("n"),
    "clear": lambda session: session.clear(),
    "destroy": lambda session: (session.destroy(), session.save()),
    "rotate": lambda session: session.rotate(),
    "derive": lambda session: session.derive("csrf"),
    "id": lambda session: session.id,
    "is_new": lambda session: session.is_new,
    "expires_in": lambda session: session.expires_in,
}


@pytest.mark.parametrize("use", USES)
def test_sec_87_a_store_that_cannot_answer_is_a_503(visitor: Visitor, use: str) -> None:
    """The application never sees an empty session in place of one that could not be read."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "load", "delete")
    seen: list[Any] = []

    answer = visitor.visit(lambda session: seen.append(USES[use](session)))

    assert seen == []
    assert is_generic_503(answer)
    assert visitor.happened() == ["store_error"]


def test_sec_87_every_use_of_the_request_fails(visitor: Visitor) -> None:
    """Who catches the first error gets no anonymous session from the second try, and the store is asked once."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "load")

    def view(session: Session) -> None:
        for use in USES.values():
            with pytest.raises(StoreUnavailable):
                use(session)

    answer = visitor.visit(view)

    assert (answer.status, answer.cookies, answer.calls) == (200, [], ["load"])
    visitor.spy.before = lambda method, key: None
    assert visitor.read() == {"user": "ada"}


def test_sec_87_a_framework_that_makes_it_a_500_still_answers_503(visitor: Visitor) -> None:
    """Frameworks turn an exception into a page of their own: the load balancer still hears that it should come back."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "load")

    def app(environ: Any, start_response: Any) -> Any:
        try:
            environ["session"]["user"]
        except SessionError:
            start_response("500 Internal Server Error", [("Content-Type", "text/html"), ("X-Trace", DRIVER_TEXT)])
            return [DRIVER_TEXT.encode()]

    assert is_generic_503(visitor.send(app))


def test_sec_87_pages_without_a_session_go_on(visitor: Visitor) -> None:
    """Static pages and health checks are served while the store is down."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "load", "create", "update", "touch", "delete")

    assert (visitor.visit().status, visitor.another().visit(dict).status) == (200, 200)


def test_sec_87_a_database_that_is_none(tmp_path: Path) -> None:
    """A file that is no database, or has gone away, is a 503, and not an empty session."""
    (tmp_path / "s.sqlite3").write_bytes(b"this is no database" * 100)
    with closing(SQLiteStore(tmp_path / "s.sqlite3")) as store:
        visitor = visitor_of(store)

        assert is_generic_503(visitor.visit(dict, cookie=cookie(mint(make_token()))))


def test_sec_87_a_newer_schema_is_not_touched(tmp_path: Path) -> None:
    """Rows that a later release wrote are not guessed at."""
    with closing(SQLiteStore(tmp_path / "s.sqlite3")) as store:
        visitor = visitor_of(store)
        visitor.visit(lambda session: session.set("user", "ada"))
    with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as file:
        file.execute("UPDATE wsgi_session_schema SET version = 99")
        file.commit()

    with closing(store):
        assert is_generic_503(visitor.visit(dict))


# --- writing fails ---------------------------------------------------------------------------------------------------

WRITES: dict[str, tuple[str, Callable[[Session], Any]]] = {
    "create": ("create", lambda session: (session.destroy(), session.set("user", "bob"))),
    "update": ("update", lambda session: session.set("role", "admin")),
    "rotate, create": ("create", lambda session: session.rotate()),
    "rotate, tombstone": ("update", lambda session: (session.set("role", "admin"), session.rotate())),
    "destroy": ("delete", lambda session: session.destroy()),
    "save": ("update", lambda session: (session.set("role", "admin"), session.save())),
}


@pytest.mark.parametrize("write", WRITES)
def test_sec_88_a_write_that_fails_is_told(visitor: Visitor, write: str) -> None:
    """A 503 without a cookie: no role gained, no logout pretended."""
    visitor.visit(lambda session: session.set("user", "ada"))
    method, change = WRITES[write]
    jar = dict(visitor.jar)
    broken(visitor, method)

    answer = visitor.visit(change)

    assert is_generic_503(answer)
    assert visitor.jar == jar
    assert set(visitor.happened()) >= {"store_error"}
    assert set(visitor.happened()) & {"rotated", "saved", "created"} == set()
    visitor.spy.before = lambda method, key: None
    assert visitor.read() == ({} if write == "create" else {"user": "ada"})


def test_sec_88_a_first_write_that_fails_is_told(visitor: Visitor) -> None:
    """No session, no cookie, no login."""
    answer = broken(visitor, "create").visit(lambda session: session.set("user", "ada"))

    assert is_generic_503(answer)


def test_sec_88_logout_after_a_failed_save_is_not_told_as_done(visitor: Visitor) -> None:
    """An application that goes on after an error of the store cannot say "you are logged out" by mistake."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "update")

    def view(session: Session) -> str:
        session["n"] = 1
        with suppress(StoreUnavailable):
            session.save()
        session.destroy()
        return "bye"

    answer = visitor.visit(view)

    visitor.spy.before = lambda method, key: None
    assert (answer.status == 503) == (visitor.read() != {})
    assert answer.body != b"bye" or visitor.read() == {}


@pytest.mark.parametrize("change", ["set", "clear", "rotate", "increment"])
def test_sec_88_after_a_failed_save_no_change_is_lost_in_silence(visitor: Visitor, change: str) -> None:
    """What cannot be stored any more in this request says so."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "update")

    def view(session: Session) -> None:
        session["n"] = 1
        with suppress(StoreUnavailable):
            session.save()
        USES[change](session)

    assert is_generic_503(visitor.visit(view))


def test_sec_88_an_error_page_does_not_hide_a_logout_that_failed(visitor: Visitor) -> None:
    """The application raises after ``destroy()``, and then the store fails as well: a 503 and a log line."""
    visitor.visit(lambda session: session.set("user", "ada"))
    broken(visitor, "delete")

    def view(session: Session) -> None:
        session.destroy()
        raise RuntimeError("the application")

    assert is_generic_503(visitor.visit(view))


def test_sec_88_every_wait_has_an_end(tmp_path: Path) -> None:
    """Two seconds for another process's write, and no option for "for ever"."""
    path = tmp_path / "s.sqlite3"
    with closing(SQLiteStore(path)) as store:
        assert store._file.timeout_s == 2.0
    with closing(SQLiteStore(path, timeout=0.05)) as store:
        visitor = visitor_of(store)
        visitor.visit(lambda session: session.set("user", "ada"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert visitor.read() == {"user": "ada"}
            assert is_generic_503(visitor.visit(lambda session: session.set("n", 1)))
    for timeout in (0, -1, 61, float("inf"), float("nan"), None):
        with pytest.raises(ValueError, match="timeout"):
            SQLiteStore(path, timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
def test_sec_89_the_body_says_nothing(visitor: Visitor, method: str) -> None:
    """Plain text, for no cache to keep and no browser to guess at: no text of the driver, no key, no path."""
    visitor.visit(lambda session: session.set("user", "ada"))

    answer = broken(visitor, "load").visit(dict, method=method)

    assert answer.all("Content-Type") == ["text/plain; charset=utf-8"]
    assert answer.all("X-Content-Type-Options") == ["nosniff"]
    assert answer.all("Cache-Control") == ["no-store"]
    assert answer.body == (
        b"" if method == "HEAD" else b"The service is temporarily unavailable. Please try again in a moment.\n"
    )


# --- nothing secret is told ------------------------------------------------------------------------------------------


class Everything(logging.Handler):
    """Keeps all that is logged, formatted with its traceback, and the arguments as they came."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))
        self.lines.append(repr(record.args))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All that the whole process logs."""
    handler, root = Everything(), logging.getLogger()
    levels = [(logger, logger.level) for logger in (root, logging.getLogger("wsgi_session"))]
    root.addHandler(handler)
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    for logger, level in levels:
        logger.setLevel(level)


VALUE = "value-that-is-private-4711"


def tell(error: BaseException) -> str:
    """Return what an error tracker would keep of *error*: texts, the chain, and the package's own objects in frames."""
    seen: list[str] = []
    chain: BaseException | None = error
    while chain is not None:
        seen += [*traceback.format_exception_only(chain), repr(chain)]
        for frame, _ in traceback.walk_tb(chain.__traceback__):
            mine = (value for value in frame.f_locals.values() if type(value).__module__.startswith("wsgi_session"))
            seen += [repr(value) for value in mine if not isinstance(value, BaseException)]
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    return "\n".join(seen)


def broad_scenario(store: Store, clock: FakeClock) -> tuple[list[str], set[str]]:
    """Do everything once, well and badly; return all that it told apart from the log, and what must not be told."""
    told: list[str] = []
    private = {VALUE, SECRET, OTHER_SECRET, "hunter2"}
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if event.name == "touched":
            raise RuntimeError("a callback that fails")

    def look(session: Session) -> Session:
        told.extend([repr(session), str(session), f"{session}", repr(copy.copy(session))])
        with pytest.raises(TypeError) as caught:
            pickle.dumps(session)
        told.append(tell(caught.value))
        return session

    def bad(session: Session) -> None:
        for value in (object(), [VALUE, object()], {VALUE: 1, "k": float("nan")}, VALUE * 5000 + "\ud800"):
            try:
                session["bad"] = value
            except EncodeError as error:
                told.append(repr(error))
        with suppress(TypeError):
            session.increment("private")

    spy = SpyStore(store)
    app = views_app(
        look=lambda session: (look(session), session.get("private"), look(session)),
        write=lambda session: (session.set("private", VALUE), session.append("list", VALUE), look(session)),
        bad=lambda session: (bad(session), look(session)),
        rotate=lambda session: (look(session).rotate(), session.derive("csrf"), look(session)),
        save=lambda session: (session.set("n", 1), session.save(), look(session)),
        destroy=lambda session: (session.destroy(), look(session)),
        replace=lambda session: (session.destroy(), session.set("private", VALUE), look(session)),
        huge=lambda session: session.set("huge", VALUE * 5000),
        nested=lambda session: session["list"].append(object()),
        crash=lambda session: [session["private"], 1 / 0],
    )
    middleware = SessionMiddleware(app, spy, secret=[OTHER_SECRET], on_event=on_event, clock=clock)
    client = Client(middleware)
    renewed = SessionMiddleware(app, spy, secret=[SECRET, OTHER_SECRET], on_event=on_event, clock=clock)

    def get(path: str, **request: Any) -> None:
        private.update(client.jar.values())
        try:
            client.get(path, **request)
        except Exception as error:  # noqa: BLE001  whatever it is, it must not tell too much
            told.append(tell(error))
        private.update(client.jar.values())

    for path in ("/look", "/write", "/bad", "/look", "/rotate", "/save", "/huge", "/nested", "/crash", "/look"):
        get(path)
        clock.now += 120
    get("/look", environ={"wsgi.url_scheme": "http"})
    client.app = renewed
    get("/look")
    other = dict(client.jar)
    client.jar.clear()
    get("/write")
    both = "; ".join(cookie(value) for value in {*other.values(), *client.jar.values()})
    hostile = "evil\r\n\x1b[31mX-Injected: 1"
    for header in (both, cookie("forged"), cookie(mint(make_token())), cookie(hostile), f"{NAME}={VALUE}"):
        get("/look", cookie=header)
    client.jar = other
    for method in ("load", "create", "update", "touch", "delete"):
        for path in ("/look", "/write", "/rotate", "/save", "/replace", "/destroy"):
            spy.before = lambda called, key, method=method: fail_if(called == method)
            get(path)
            clock.now += 120
    spy.before = lambda method, key: None
    for path in ("/write", "/rotate", "/replace", "/destroy", "/look", "/write"):
        get(path)
    handle = renewed.handle()
    summaries = list(handle)
    manager = SessionManager(spy, secret=SECRET, clock=clock)
    session = manager.open(cookie(client.jar[NAME]))
    session["private"] = VALUE
    told += map(repr, [session, transaction_of(session).state])
    session.rotate()
    told += map(repr, [session, transaction_of(session).state, manager.commit(session, status=200), manager])
    session.destroy()
    told += map(repr, [session, transaction_of(session).state])
    signer = TokenSigner([SECRET, OTHER_SECRET], purpose=NAME)
    value = signer.sign(make_token())
    private.add(value)
    told += map(
        repr, [signer, signer.verify(value), middleware, renewed, handle, store, spy.real, Cookie(), Lifetime()]
    )
    told += map(repr, summaries)
    told += [repr(record) for _, record in spy.scan()]
    handle.revoke(summaries[0].id)
    handle.revoke_where(lambda summary: summary.data.get("private") == VALUE)
    handle.revoke_all()
    handle.sweep()
    client.get("/look")
    clock.now += 7200
    get("/look")
    for url in ("sqlite://user:hunter2@host/s", "mongodb://:hunter2@host", "memory://hunter2", "sqlite:///s?k=hunter2"):
        with pytest.raises(SessionError) as caught:
            store_from_url(url)
        told.append(tell(caught.value))
    for secret in (VALUE[:8], [SECRET, VALUE[:9]], [SECRET] * 6):
        with pytest.raises(SessionError) as caught:
            SessionMiddleware(app, spy, secret=secret)
        told.append(repr(caught.value))
    told += [repr(event) for event in events]
    names = {event.name for event in events}
    assert names >= {"created", "loaded", "saved", "touched", "rotated", "destroyed", "revoked", "rejected"}
    assert names >= {"cookie_ambiguous", "store_error"}
    return told, private


def fail_if(is_time: bool) -> None:
    if is_time:
        raise ConnectionError(DRIVER_TEXT)


def test_sec_90_nothing_secret_is_told(store: Store, clock: FakeClock, logged: list[str]) -> None:
    """Not one token, cookie value, secret or session value in all that is logged, raised or shown."""
    told, private = broad_scenario(store, clock)

    private |= {part for value in private for part in value.split(".") if len(part) == 43}
    own_log = [line for line in logged if DRIVER_TEXT not in line]  # a traceback ends with the driver's own words
    assert len(private) > 10
    assert len(logged) > 100
    for line in [*told, *own_log]:
        found = [secret[:4] + "…" for secret in private if secret in line]
        assert found == [], line[:80]


def test_sec_90_no_client_writes_the_log(store: Store, clock: FakeClock, logged: list[str]) -> None:
    """Line breaks and escape sequences that a browser sends appear nowhere."""
    told, _ = broad_scenario(store, clock)

    for line in [*told, *logged]:
        assert "\x1b" not in line
        assert "X-Injected" not in line


def test_sec_90_a_store_error_event_has_no_text(store: Store, clock: FakeClock, logged: list[str]) -> None:
    """Its driver's words may hold anything: the event and the log tell the operation and the kind."""
    visitor = visitor_of(FaultyStore(store), clock=clock)  # type: ignore[arg-type]
    visitor.visit(lambda session: session.set("user", "ada"))
    visitor.spy.real.fail(1)  # type: ignore[attr-defined]

    visitor.visit(dict)

    (failed,) = [event for event in visitor.events if event.name == "store_error"]
    assert (failed.operation, failed.error) == ("load", "ConnectionError")  # type: ignore[attr-defined]
    assert [line for line in logged if "hunter2" in line] == []


def test_sec_90_a_damaged_row_is_not_quoted(tmp_path: Path, clock: FakeClock, logged: list[str]) -> None:
    """SQLite's driver quotes a text that it cannot decode: that text is somebody's session."""
    with closing(SQLiteStore(tmp_path / "s.sqlite3", clock=clock)) as store:
        visitor = visitor_of(store, clock=clock)
        for column in ("frame", "label", "user_id", "created_at", "version"):
            visitor.jar.clear()
            visitor.visit(lambda session: session.set("user", "ada"))
            with closing(sqlite3.connect(tmp_path / "s.sqlite3")) as file:
                file.execute(f"UPDATE wsgi_sessions SET {column} = CAST(? AS TEXT)", (VALUE.encode() + b"\xff",))
                file.commit()

            assert visitor.visit(lambda session: session.set("n", 1)).status == 200
            handle = visitor.app.handle()  # type: ignore[attr-defined]
            logged.extend(map(repr, handle))
            handle.revoke_all()

    assert [line for line in [*logged, *map(repr, visitor.events)] if VALUE in line] == []


def test_sec_90_a_key_is_no_cookie(visitor: Visitor) -> None:
    """What events and lists name, ``session.id``, is useless to whoever reads the log."""
    visitor.visit(lambda session: session.set("user", "ada"))
    id_ = visitor.visit(lambda session: session.id).value

    for value in (
        id_,
        mint(id_[:43]),
        f"{id_[:43]}.{id_[:43]}",
        visitor.jar[NAME].replace(visitor.jar[NAME][:43], id_),
    ):
        assert visitor.visit(dict, cookie=cookie(value)).value == {}
    assert {event.id for event in visitor.events} <= {id_, None}


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("", id="nothing"),
        pytest.param("A" * 64, id="upper case"),
        pytest.param("a" * 65, id="too long"),
        pytest.param("a\0" * 32, id="NUL"),
        pytest.param("é" * 64, id="not ASCII"),
        pytest.param("\ud800" * 64, id="lone surrogates"),
        pytest.param("' OR 1=1 --", id="SQL"),
    ],
)
def test_what_is_no_handle_revokes_nothing(visitor: Visitor, id_: str) -> None:
    """An operator's page may pass on whatever it was sent: no error, and nobody is logged out."""
    visitor.visit(lambda session: session.set("user", "ada"))

    assert visitor.app.handle().revoke(id_) is False  # type: ignore[attr-defined]
    assert visitor.read() == {"user": "ada"}


def test_sec_90_a_callback_that_raises_harms_nothing(store: Store, clock: FakeClock, logged: list[str]) -> None:
    """It is logged, and the session goes on."""

    def on_event(event: Event) -> None:
        raise RuntimeError("callback")

    visitor = visitor_of(store, clock=clock, on_event=on_event)
    visitor.visit(lambda session: session.set("user", "ada"))

    assert visitor.read() == {"user": "ada"}
    assert any("on_event raised" in line for line in logged)


# --- events ----------------------------------------------------------------------------------------------------------


def test_sec_91_each_turn_of_a_session_is_an_event(visitor: Visitor, clock: FakeClock, logged: list[str]) -> None:
    """With its time and the session's public handle, to the callback and to the log alike."""
    visitor.visit(lambda session: session.set("user", "ada"))
    clock.now += 300
    visitor.read()
    visitor.visit(lambda session: session.set("n", 1))
    visitor.visit(lambda session: session.rotate())
    visitor.visit(lambda session: session.destroy())
    visitor.visit(lambda session: session.set("user", "ada"))
    (summary,) = visitor.app.handle()  # type: ignore[attr-defined]
    visitor.app.handle().revoke(summary.id)  # type: ignore[attr-defined]
    visitor.read()

    assert visitor.happened() == [
        *("created", "loaded", "touched", "loaded", "saved", "loaded", "rotated"),
        *("loaded", "destroyed", "created", "revoked", "rejected"),
    ]
    assert {event.at for event in visitor.events} == {clock() - 300, clock()}
    assert all(event.id is None or len(event.id) == 64 for event in visitor.events)
    lines = [line for line in logged if line.startswith("session ")]
    assert [line.split()[1] for line in lines] == visitor.happened()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        pytest.param(cookie("x"), "malformed", id="malformed"),
        pytest.param(cookie(f"{make_token()}.{make_token()}"), "signature", id="bad signature"),
        pytest.param(cookie(mint(make_token())), "unknown", id="unknown id"),
    ],
)
def test_sec_91_a_refused_cookie_has_a_reason(visitor: Visitor, header: str, reason: str) -> None:
    """An operator can tell guessing from forgetting."""
    visitor.visit(dict, cookie=header)

    (rejected,) = visitor.events
    assert (rejected.name, rejected.reason, rejected.id) == ("rejected", reason, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("lifetime", "limit"),
    [
        pytest.param(Lifetime(idle=timedelta(minutes=10)), "idle", id="idle"),
        pytest.param(Lifetime(idle=timedelta(minutes=25), absolute=timedelta(minutes=25)), "absolute", id="absolute"),
    ],
)
def test_sec_91_expiry_names_its_limit(store: Store, clock: FakeClock, lifetime: Lifetime, limit: str) -> None:
    """By which of the two times a session ended, where the store still has it."""
    visitor = visitor_of(store, clock=clock)
    visitor.visit(lambda session: session.set("user", "ada"))
    clock.now += 900
    visitor.read()
    today = visitor_of(store, clock=clock, lifetime=lifetime)
    today.jar = visitor.jar
    clock.now += 600

    assert today.read() == {}
    (expired,) = [event for event in today.events if event.name == "expired"]
    assert expired.limit == limit  # type: ignore[attr-defined]
