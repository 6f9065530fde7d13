"""Section H: rotate, destroy, and what a response may promise (SEC-45 … 56); rotate() stands in for login()."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from support.client import SECRET, Client, SpyStore, session_app, views_app
from support.faults import FaultyStore, When
from support.forge import NAME
from support.managed import make_impatient
from support.visitor import Visitor, visitor_of
from support.whole import WholeSession

from wsgi_session import Lifetime, Session, SessionMiddleware, get_session
from wsgi_session.errors import HeadersSent
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock


def start(visitor: Visitor, **values: Any) -> None:
    """Store *values*, or one, and look at neither calls nor events of that."""
    visitor.visit(lambda session: session.update(values or {"user": "ada"}))
    visitor.spy.calls.clear()
    visitor.events.clear()


def live(store: Any) -> list[str]:
    """Return the keys of all live sessions in the store."""
    return [key for key, _ in store.scan()]


# --- rotate ----------------------------------------------------------------------------------------------------------


def test_sec_45_rotate_gives_a_new_id_the_same_data_and_kills_the_old_one(visitor: Visitor) -> None:
    """Who fixed or stole the id before the login holds a dead one after it."""
    start(visitor)
    attacker = visitor.twin()
    secret = visitor.visit(lambda session: session.derive("csrf")).value

    visitor.visit(lambda session: session.rotate())

    assert visitor.read() == {"user": "ada"}
    assert visitor.visit(lambda session: session.derive("csrf")).value != secret
    assert attacker.read() == {}
    assert attacker.visit(lambda session: (len(session), session.is_gone)).value == (0, True)


def test_sec_45_the_old_id_is_dead_before_the_head_leaves(visitor: Visitor) -> None:
    """At the moment the server gets the new cookie, the old one leads nowhere: there is no time of grace."""
    start(visitor)
    attacker = visitor.twin()
    seen: list[Any] = []
    environ = visitor.environ() | {"visitor.app": session_app(lambda session: session.rotate())}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        seen.append((dict(headers).get("Set-Cookie", "")[: len(NAME)], attacker.read()))
        return lambda data: None

    list(visitor.app(environ, start_response))

    assert seen == [(NAME, {})]


def test_sec_45_the_secret_for_csrf_changes_with_the_id(visitor: Visitor) -> None:
    """What paired middleware derives after ``rotate()`` is already that of the id which the response carries."""
    start(visitor)

    before, after = visitor.visit(
        lambda session: (session.derive("csrf"), session.rotate(), session.derive("csrf"))[::2]
    ).value

    assert before != after
    assert visitor.visit(lambda session: session.derive("csrf")).value == after


def test_sec_45_a_rotation_after_another_leaves_one_session(visitor: Visitor, store: Store) -> None:
    """Every login in a row gets an id of its own, and none of the earlier ones stays."""
    start(visitor)
    cookies = {visitor.cookie}
    for _ in range(3):
        visitor.visit(lambda session: session.rotate())
        cookies.add(visitor.cookie)

    assert len(cookies) == 4
    assert len(live(store)) == 1


# --- nothing in between: every step fails once -----------------------------------------------------------------------

CHANGES = {
    "create": lambda session: session.set("role", "admin"),
    "update": lambda session: session.set("role", "admin"),
    "rotate": lambda session: session.rotate(),
    "rotate and write": lambda session: (session.set("role", "admin"), session.rotate()),
    "destroy": lambda session: session.destroy(),
    "replace": lambda session: (session.destroy(), session.set("role", "admin")),
    "save and rotate": lambda session: (session.set("role", "admin"), session.save(), session.rotate()),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", CHANGES)
def test_sec_46_any_step_may_fail(store: Store, clock: FakeClock, change: str, when: When) -> None:
    """Whichever call fails, or whichever answer is lost: a 503 without a cookie, and never two ids alive."""
    for step in range(1, 10):
        faulty = FaultyStore(store)
        visitor = visitor_of(faulty, clock=clock)  # type: ignore[arg-type]
        for key in faulty.live():
            store.delete(key)
        if change != "create":
            visitor.visit(lambda session: session.set("user", "ada"))
        old = visitor.twin()
        faulty.fail(step, when)

        answer = visitor.visit(CHANGES[change])

        is_hit = len(faulty.calls) >= step
        faulty.heal()
        if not is_hit:
            assert answer.status == 200
            assert step > 1
            return
        assert (answer.status, answer.cookies) == (503, [])
        assert len(faulty.live()) <= 1
        assert old.read() in ({}, {"user": "ada"}, {"user": "ada", "role": "admin"})
    pytest.fail("the change never got through")


@pytest.mark.parametrize("change", CHANGES)
def test_sec_46_a_store_that_breaks_down_and_stays_down(store: Store, clock: FakeClock, change: str) -> None:
    """Even if cleaning up is impossible, nobody is told of a new id: the browser's old one is all there is."""
    for step in range(1, 10):
        faulty = FaultyStore(store)
        visitor = visitor_of(faulty, clock=clock)  # type: ignore[arg-type]
        if change != "create":
            visitor.visit(lambda session: session.set("user", "ada"))
        cookie = visitor.cookie
        faulty.fail(step, is_down=True)

        answer = visitor.visit(CHANGES[change])

        if len(faulty.calls) < step:
            return
        assert (answer.status, answer.cookies, visitor.cookie) == (503, [], cookie)
    pytest.fail("the change never got through")


def test_sec_46_every_cookie_that_is_sent_leads_to_a_record(visitor: Visitor) -> None:
    """Through create, update, rotate and replace, each cookie that was sent is alive when it arrives."""
    for change in CHANGES.values():
        answer = visitor.visit(change)
        for line in answer.cookies:
            if "Max-Age=0" not in line:
                assert visitor.twin().visit(lambda session: session.is_new).value is False


def test_sec_46_a_session_that_is_revoked_in_the_middle_of_its_rotation_is_gone(visitor: Visitor) -> None:
    """Between the two steps of a rotation somebody revokes everything: nothing survives, no cookie is sent."""
    start(visitor)
    visitor.spy.before = lambda method, key: visitor.spy.real.delete_all() if method == "update" else None  # type: ignore[attr-defined]

    answer = visitor.visit(lambda session: session.rotate())

    visitor.spy.before = lambda method, key: None
    assert answer.cookies == []
    assert visitor.spy.count() == 0
    assert "save_conflict" in visitor.happened()


# --- rotate() at a change of role -------------------------------------------------------------------------------------


def test_sec_48_every_rotation_is_another_id(visitor: Visitor) -> None:
    """Also when the role rises while the user stays the same."""
    start(visitor)
    first = visitor.visit(lambda session: (session.rotate(), session.id)[1]).value
    second = visitor.visit(lambda session: (session.set("role", "admin"), session.rotate(), session.id)[2]).value

    assert first != second
    assert visitor.visit(lambda session: session.id).value == second


# --- rotation_requested ----------------------------------------------------------------------------------------------


def test_sec_49_a_request_for_rotation_is_seen_until_its_end(visitor: Visitor) -> None:
    """Paired middleware can ask at any time after the call, and the next request starts over."""
    start(visitor)
    seen: list[bool] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        session = environ["session"]
        seen.append(session.rotation_requested())
        session.rotate()
        seen.append(session.rotation_requested())
        start_response("200 OK", [])
        yield b"head left"
        seen.append(session.rotation_requested())

    visitor.send(app)

    assert seen == [False, True, True]
    assert visitor.visit(lambda session: session.rotation_requested()).value is False


def test_sec_49_several_calls_are_one_rotation(visitor: Visitor) -> None:
    """One new record, one cookie."""
    start(visitor)

    answer = visitor.visit(lambda session: [session.rotate() for _ in range(3)])

    assert answer.calls == ["load", "create", "update"]
    assert len(answer.cookies) == 1
    assert visitor.happened() == ["loaded", "rotated"]


@pytest.mark.parametrize("cookie", [pytest.param("", id="no cookie"), pytest.param(f"{NAME}=x", id="a forged cookie")])
def test_sec_49_rotating_nothing_creates_nothing(visitor: Visitor, store: Store, cookie: str) -> None:
    """An anonymous visitor's failed login leaves no row and no cookie."""
    answer = visitor.visit(lambda session: session.rotate(), cookie=cookie)

    assert answer.cookies == []
    assert live(store) == []


# --- destroy ---------------------------------------------------------------------------------------------------------


def raise_error(environ: Any, start_response: Any) -> Any:
    environ["session"].destroy()
    raise RuntimeError("after logout")


def raise_late(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    environ["session"].destroy()
    yield b"bye"
    raise RuntimeError("after the head")


def never_start(environ: Any, start_response: Any) -> Iterator[bytes]:
    environ["session"].destroy()
    yield from ()


def destroy_late(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Vary", "Cookie")])
    yield b"head left"
    environ["session"].destroy()
    yield b"bye"


def leave_by_exit(environ: Any, start_response: Any) -> Any:
    environ["session"].destroy()
    sys.exit(1)


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(session_app(lambda session: session.destroy()), id="200"),
        pytest.param(session_app(lambda session: session.destroy(), status="500 Error"), id="500"),
        pytest.param(session_app(lambda session: session.destroy(), status="303 See Other"), id="303"),
        pytest.param(raise_error, id="raises"),
        pytest.param(raise_late, id="raises in the body"),
        pytest.param(never_start, id="never starts"),
        pytest.param(destroy_late, id="after the head"),
        pytest.param(leave_by_exit, id="SystemExit"),
        pytest.param(session_app(lambda session: (session.rotate(), session.destroy())), id="rotate, destroy"),
        pytest.param(session_app(lambda session: (session.destroy(), session.rotate())), id="destroy, rotate"),
        pytest.param(session_app(lambda session: (session.set("n", 1), session.destroy())), id="write, destroy"),
        pytest.param(session_app(lambda session: (session.destroy(), session.destroy())), id="twice"),
        pytest.param(session_app(lambda session: (session.save(), session.destroy())), id="save, destroy"),
        pytest.param(session_app(lambda session: (session.destroy(), session.save())), id="destroy, save"),
    ],
)
def test_sec_50_logout_happens_whatever_follows(visitor: Visitor, store: Store, app: Any) -> None:
    """The record is gone however the application goes on, and whoever kept the cookie holds nothing."""
    start(visitor)
    thief = visitor.twin()

    with suppress(RuntimeError, SystemExit):
        response = visitor.start(environ={"visitor.app": app})
        with closing(response):
            list(response.body)

    assert live(store) == []
    assert thief.read() == {}
    assert "destroyed" in visitor.happened()


def test_sec_50_logout_happens_though_the_client_is_gone(visitor: Visitor, store: Store) -> None:
    """A server that closes the response without having read it has logged the user out all the same."""
    start(visitor)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        environ["session"].destroy()
        start_response("200 OK", [])
        return iter([b"bye"])

    visitor.start(environ={"visitor.app": app}).close()

    assert live(store) == []


def test_sec_50_the_record_is_gone_before_the_head_leaves(visitor: Visitor, store: Store) -> None:
    """The browser is told of a logout that has happened."""
    start(visitor)
    seen: list[Any] = []
    environ = visitor.environ() | {"visitor.app": session_app(lambda session: session.destroy())}

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        seen.append(live(store))
        return lambda data: None

    list(visitor.app(environ, start_response))

    assert seen == [[]]


def test_sec_50_the_handle_is_emptied(visitor: Visitor) -> None:
    """What runs later in the same request sees no data, no id and no times of the destroyed session."""
    start(visitor)

    seen = visitor.visit(
        lambda session: (session.destroy(), dict(session), session.id, session.created_at, session.is_new)[1:]
    )

    assert seen.value == ({}, None, None, True)


@pytest.mark.parametrize("status", [pytest.param("200 OK", id="200"), pytest.param("500 Error", id="500")])
def test_sec_50_what_is_written_after_logout_gets_a_new_id(visitor: Visitor, store: Store, status: str) -> None:
    """Never the old one; and if the request fails, no session at all."""
    start(visitor)
    old = visitor.cookie

    visitor.visit(lambda session: (session.destroy(), session.set("note", "bye")), status=status)

    assert visitor.cookie != old
    assert visitor.visit(dict, cookie=old).value == {}
    assert visitor.read() == ({"note": "bye"} if status == "200 OK" else {})
    assert len(live(store)) == (status == "200 OK")


def test_sec_50_logout_erases_the_cookie(visitor: Visitor) -> None:
    """The same name and attributes, no value, and two kinds of past."""
    start(visitor)

    (line,) = visitor.visit(lambda session: session.destroy()).cookies

    assert line.startswith(f"{NAME}=; ")
    assert {"Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"} < set(line.split("; "))
    assert visitor.jar == {}


def test_sec_50_an_anonymous_logout_leaves_nothing(visitor: Visitor, store: Store) -> None:
    """No row, and no cookie to erase one that was not sent."""
    answer = visitor.visit(lambda session: session.destroy())

    assert (answer.cookies, live(store)) == ([], [])


# --- a cookie only for what is alive ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda session: session.destroy(), id="destroyed"),
        pytest.param(lambda session: session.rotate(), id="rotated"),
    ],
)
def test_sec_51_a_saved_session_that_died_gets_no_cookie(visitor: Visitor, end: Callable[[Session], Any]) -> None:
    """``save()`` before a slow call, and it ends elsewhere meanwhile: the response must not put the old id back."""
    start(visitor)
    other = visitor.twin()

    late = visitor.visit(lambda session: (session.set("n", 1), session.save(), other.visit(end)))

    assert late.cookies == []


# --- conflicts -------------------------------------------------------------------------------------------------------


def test_sec_52_different_keys_both_survive(visitor: Visitor) -> None:
    """Neither of two requests at the same time loses what it wrote."""
    start(visitor)
    other = visitor.twin()

    visitor.visit(lambda session: (session.set("a", 1), other.visit(lambda theirs: theirs.set("b", 2))))

    assert visitor.read() == {"user": "ada", "a": 1, "b": 2}


def test_sec_52_a_right_that_was_taken_away_stays_away(visitor: Visitor) -> None:
    """A request that loaded the role before it was removed, and writes something else, does not bring it back."""
    start(visitor, role="admin", seen=["home"])
    other = visitor.twin()

    visitor.visit(
        lambda session: (dict(session), session.set("x", 1), other.visit(lambda theirs: theirs.remove("role")))
    )

    assert visitor.read() == {"seen": ["home"], "x": 1}


def test_sec_52_a_nested_right_that_was_taken_away_stays_away(visitor: Visitor) -> None:
    """The same inside of a dict that both requests changed."""
    start(visitor, user={"roles": {"admin": True}, "theme": "light"})
    other = visitor.twin()

    visitor.visit(
        lambda session: (
            session["user"].update(theme="dark"),
            other.visit(lambda theirs: theirs["user"]["roles"].pop("admin")),
        )
    )

    assert visitor.read() == {"user": {"roles": {}, "theme": "dark"}}


def test_sec_52_a_change_of_a_session_that_is_gone_is_reported(visitor: Visitor) -> None:
    """It is dropped, and the log says so."""
    start(visitor)
    other = visitor.twin()

    visitor.visit(lambda session: (session.set("a", 1), other.visit(lambda theirs: theirs.destroy())))

    (conflict,) = [event for event in visitor.events if event.name == "save_conflict"]
    assert conflict.reason == "gone"  # type: ignore[attr-defined]


def interfere(visitor: Visitor, *, times: int) -> None:
    """Let another request commit ahead of each of the next *times* updates."""
    left = iter(range(times))
    other = visitor_of(visitor.spy.real)
    other.jar = visitor.jar
    spy: SpyStore = visitor.spy

    def commit(method: str, key: str) -> None:
        if method == "update" and next(left, None) is not None:
            record = spy.real.load(key)
            assert record is not None
            assert spy.real.update(key, record, version=record.version)

    spy.before = commit


def test_sec_52_a_change_is_tried_again_and_again(visitor: Visitor) -> None:
    """Nine others in a row do not keep a change from being stored."""
    start(visitor)
    interfere(visitor, times=9)

    assert visitor.visit(lambda session: session.increment("hits")).status == 200
    assert visitor.read() == {"user": "ada", "hits": 1}


def test_sec_52_giving_up_is_never_silent(visitor: Visitor) -> None:
    """After two seconds of tries it is a 503 without a cookie and with nothing stored, and the log says so."""
    start(visitor)
    make_impatient(visitor.app._manager)  # type: ignore[attr-defined]
    interfere(visitor, times=99)

    answer = visitor.visit(lambda session: session.increment("hits"))

    assert (answer.status, answer.cookies) == (503, [])
    assert visitor.happened()[-1] == "save_conflict"
    assert visitor.read() == {"user": "ada"}


# --- failing requests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", ["500 Error", "503 Busy", "raises"])
@pytest.mark.parametrize(
    ("change", "left"),
    [
        pytest.param(lambda session: session.set("role", "admin"), {"user": "ada"}, id="write"),
        pytest.param(lambda session: session["cart"].append("tea"), {"user": "ada"}, id="nested write"),
        pytest.param(lambda session: session.clear(), {"user": "ada"}, id="clear"),
        pytest.param(lambda session: (session.set("role", "admin"), session.rotate()), {"user": "ada"}, id="rotate"),
        pytest.param(lambda session: session.destroy(), {}, id="destroy"),
    ],
)
def test_sec_53_a_failed_request_gains_nothing(
    visitor: Visitor, failure: str, change: Callable[[Session], Any], left: dict[str, Any]
) -> None:
    """No data, no rotation, no right: only a logout is done."""
    start(visitor, user="ada", cart=[])
    cookie = visitor.cookie

    def app(environ: Any, start_response: Any) -> list[bytes]:
        change(environ["session"])
        if failure == "raises":
            raise RuntimeError("the application")
        start_response(failure, [])
        return []

    with suppress(RuntimeError):
        visitor.send(app)

    seen = visitor.visit(dict, cookie=cookie).value
    assert seen == (left and left | {"cart": []})


def test_sec_53_a_failed_first_request_creates_nothing(visitor: Visitor, store: Store) -> None:
    """An error page leaves no row and sets no cookie."""
    answer = visitor.visit(lambda session: session.set("user", "ada"), status="500 Error")

    assert (answer.cookies, live(store)) == ([], [])


# --- after the head --------------------------------------------------------------------------------------------------


def stream(before: Callable[[Session], Any], after: Callable[[Session], Any]) -> Any:
    """Return an application whose body leaves in two chunks, with *after* between them."""

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        before(environ["session"])
        start_response("200 OK", [("Vary", "Cookie")])
        yield b"head"
        after(environ["session"])
        yield b"tail"

    return app


@pytest.mark.parametrize(
    ("change", "left"),
    [
        pytest.param(lambda session: session.set("n", 1), {"user": "ada", "n": 1}, id="set"),
        pytest.param(lambda session: session.remove("user"), {}, id="remove"),
        pytest.param(lambda session: session.increment("n"), {"user": "ada", "n": 1}, id="increment"),
        pytest.param(lambda session: session.destroy(), {}, id="destroy"),
    ],
)
def test_sec_54_late_changes_of_an_existing_session_are_saved(
    visitor: Visitor, change: Callable[[Session], Any], left: dict[str, Any]
) -> None:
    """Between the chunks of a stream: saved when it is closed."""
    start(visitor)

    visitor.send(stream(lambda session: None, change))

    assert visitor.read() == left


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda session: session.rotate(), id="rotate"),
        pytest.param(lambda session: (session.destroy(), session.set("n", 1)), id="a new session"),
    ],
)
def test_sec_54_what_needs_a_cookie_raises(visitor: Visitor, change: Callable[[Session], Any]) -> None:
    """A new id cannot be told any more, and that is never silent."""
    start(visitor)

    with pytest.raises(HeadersSent):
        visitor.send(stream(dict, change))


def test_sec_54_the_first_write_of_an_anonymous_session_raises(visitor: Visitor, store: Store) -> None:
    """Nothing is stored that nobody could ever find."""
    with pytest.raises(HeadersSent):
        visitor.send(stream(dict, lambda session: session.set("n", 1)))

    assert live(store) == []


def test_sec_54_a_list_is_over_when_it_is_returned(visitor: Visitor) -> None:
    """What keeps the session and changes it after the response is told so."""
    start(visitor)
    kept: list[Session] = []
    visitor.visit(kept.append)

    for change in (lambda: kept[0].set("n", 1), lambda: kept[0].destroy(), lambda: kept[0].rotate()):
        with pytest.raises(HeadersSent):
            change()
    assert visitor.read() == {"user": "ada"}


def test_sec_54_write_is_the_head(visitor: Visitor, clock: FakeClock) -> None:
    """The old-fashioned ``write()`` lets the head leave as a chunk does."""
    start(visitor)
    clock.advance(timedelta(minutes=1))

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["session"]["n"] = 1
        write = start_response("200 OK", [])
        write(b"head")
        with pytest.raises(HeadersSent):
            environ["session"].rotate()
        environ["session"]["late"] = True
        return [b"tail"]

    answer = visitor.send(app)

    assert (answer.body, len(answer.cookies)) == (b"headtail", 1)
    assert visitor.read() == {"user": "ada", "n": 1, "late": True}


# --- PEP 3333 --------------------------------------------------------------------------------------------------------

KEY = "wsgi_session.validated"


def count(environ: Any) -> None:
    get_session(environ, KEY).increment("hits")


def returns_a_list(environ: Any, start_response: Any) -> Any:
    count(environ)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one", b"two"]


def yields(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    count(environ)
    yield b"one"
    yield b"two"


def writes(environ: Any, start_response: Any) -> Any:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    count(environ)
    write(b"one")
    return [b"two"]


def restarts(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/html")])
    count(environ)
    try:
        raise RuntimeError("late")
    except RuntimeError:
        start_response("404 Not Found", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"onetwo"]


@pytest.mark.parametrize("app", [returns_a_list, yields, writes, restarts])
def test_sec_55_the_contract_is_kept_on_both_sides(visitor: Visitor, clock: FakeClock, app: Any) -> None:
    """``wsgiref.validate`` finds nothing wrong, neither with what the server nor with what the application sees."""
    middleware = SessionMiddleware(validator(app), visitor.spy, secret=SECRET, environ_key=KEY, clock=clock)
    client = Client(validator(middleware))

    answers = [client.get()]
    clock.advance(timedelta(minutes=1))
    answers.append(client.get())

    assert [answer.body for answer in answers] == [b"onetwo"] * 2
    assert [len(answer.cookies) for answer in answers] == [1, 1]
    (record,) = [record for _, record in visitor.spy.scan()]
    assert WholeSession().decode(record.data) == {"hits": 2}


class Body:
    """A body that counts how often it is closed."""

    def __init__(self, *, fails: bool = False) -> None:
        self.closed = 0
        self.fails = fails

    def __iter__(self) -> Iterator[bytes]:
        yield b"one"
        if self.fails:
            raise RuntimeError("the body")

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("fails", [pytest.param(False, id="to its end"), pytest.param(True, id="raises")])
def test_sec_55_the_body_is_closed_once(visitor: Visitor, fails: bool) -> None:
    """Also after an error, and though both the server and the middleware mean to."""
    body = Body(fails=fails)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    with suppress(RuntimeError):
        visitor.send(app)

    assert body.closed == 1


def test_sec_55_a_second_start_needs_exc_info(visitor: Visitor) -> None:
    """As PEP 3333 has it."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    with pytest.raises(AssertionError, match="twice"):
        visitor.send(app)


def test_sec_55_a_file_stays_a_file(visitor: Visitor, tmp_path: Any) -> None:
    """The server gets the very object that ``wsgi.file_wrapper`` made, and the session is committed before."""
    (tmp_path / "page").write_bytes(b"content")
    with (tmp_path / "page").open("rb") as file:
        wrapper = FileWrapper(file)

        def app(environ: Any, start_response: Any) -> Any:
            environ["session"].increment("hits")
            start_response("200 OK", [])
            return wrapper

        response = visitor.start(environ={"visitor.app": app, "wsgi.file_wrapper": FileWrapper})

        assert response.body is wrapper
        assert any(name == "Set-Cookie" for name, _ in response.headers)
        response.close()


def test_sec_55_one_request_is_one_commit(visitor: Visitor) -> None:
    """Whatever the shape of the response, nothing is written twice."""
    start(visitor)

    for app in (stream(lambda session: session.increment("n"), dict), session_app(lambda session: session["n"])):
        assert visitor.send(app).calls in (["load", "update"], ["load"])
    assert visitor.read() == {"user": "ada", "n": 1}


# --- clear -----------------------------------------------------------------------------------------------------------


def test_sec_56_clear_drops_the_data_and_keeps_the_id(visitor: Visitor) -> None:
    """It does not raise and is no logout: the session goes on, empty, with its id and its secret."""
    start(visitor, user="ada", cart=["tea"])
    id_, secret = visitor.visit(lambda session: (session.id, session.derive("csrf"))).value

    visitor.visit(lambda session: session.clear())

    assert visitor.read() == {}
    assert visitor.visit(lambda session: (session.id, session.derive("csrf"))).value == (id_, secret)
    assert "no logout" in (Session.clear.__doc__ or "")


def test_sec_56_clear_also_clears_what_others_stored_meanwhile(visitor: Visitor) -> None:
    """Of two requests at the same time, the one that empties the session leaves it empty."""
    start(visitor)
    other = visitor.twin()

    visitor.visit(
        lambda session: (session.clear(), other.visit(lambda theirs: theirs.set("cart", ["tea"])), session.set("n", 1))
    )

    assert visitor.read() == {"n": 1}


def test_sec_56_rotate_is_what_changes_the_secret(visitor: Visitor) -> None:
    """Who wants new tokens with an empty session asks for both."""
    start(visitor)
    client = Client(
        SessionMiddleware(
            views_app(
                set=lambda session: session.set("user", "ada"),
                derive=lambda session: session.derive("csrf").hex(),
                clear=lambda session: (session.clear(), session.rotate()),
            ),
            visitor.spy,
            secret=SECRET,
        )
    )
    client.get("/set")
    before = client.get("/derive").body
    client.get("/clear")

    assert client.get("/derive").body != before


# --- renewal ---------------------------------------------------------------------------------------------------------


def test_sec_40_a_former_cookie_is_served_for_a_minute_then_refused_then_ends_the_session(
    store: Store, clock: FakeClock
) -> None:
    """A copy that was stolen before a renewal has no Set-Cookie in the grace, nothing after it, and then the alarm."""
    visitor = visitor_of(store, clock=clock, lifetime=Lifetime(renew_every=timedelta(minutes=30)))
    start(visitor)
    thief = visitor.twin()
    stolen = thief.cookie
    clock.advance(timedelta(minutes=30))
    visitor.read()
    assert visitor.cookie != stolen

    clock.advance(timedelta(seconds=59))
    assert thief.read() == {"user": "ada"}
    assert thief.cookie == stolen
    assert visitor.read() == {"user": "ada"}
    clock.advance(timedelta(seconds=1))
    assert thief.read() == {}
    assert thief.cookie == stolen
    assert visitor.read() == {"user": "ada"}

    clock.advance(timedelta(minutes=9))
    assert thief.read() == {}
    assert live(store) == []
    assert thief.events[-1].name == "reuse_detected"
    assert visitor.read() == {}
