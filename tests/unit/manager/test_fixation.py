"""The old id gives an attacker nothing of what is stored after ``rotate()``, however the request ends."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from support.forge import STORES, open_store
from support.visitor import Visit, Visitor, visitor_of

from wsgi_session import Session
from wsgi_session.errors import EncodeError, HeadersSent, StoreConflict, StoreUnavailable
from wsgi_session.events import SaveConflict
from wsgi_session.stores import Store
from wsgi_session.testing import FakeClock

ADA = {"lang": "en", "user": "ada"}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with open_store(request.param, tmp_path, FakeClock()) as opened:
        yield opened


@pytest.fixture
def visitor(store: Store) -> Visitor:
    """A browser with a session that somebody else knows the id of."""
    visitor = visitor_of(store, clock=FakeClock())
    visitor.visit(lambda session: session.set("lang", "en"))
    return visitor


@pytest.fixture
def thief(visitor: Visitor) -> Visitor:
    return visitor.twin()


def log_in(session: Session) -> None:
    """Log in as every application with slow work to do should."""
    session.rotate()
    session["user"] = "ada"
    session.save()


def log_in_and_fail(session: Session) -> None:
    log_in(session)
    raise RuntimeError("no mail today")


def break_down(visitor: Visitor, *methods: str) -> None:
    """Let *methods* of the store fail from here."""

    def before(method: str, key: str) -> None:
        if method in methods:
            raise ConnectionError

    visitor.spy.before = before


def heal(visitor: Visitor) -> None:
    visitor.spy.before = lambda method, key: None


def live(store: Store) -> list[str]:
    """Return the ids of the sessions that are alive."""
    return [key for key, _ in store.scan()]  # type: ignore[attr-defined]  # every store here scans


def conflicts(visitor: Visitor) -> list[str]:
    return [event.reason for event in visitor.events if isinstance(event, SaveConflict)]


def is_generic_503(answer: Visit) -> bool:
    return answer.status == 503 and answer.all("Cache-Control") == ["no-store"]


# --- while the request runs ------------------------------------------------------------------------------------------


def test_fixation_what_save_stored_after_a_rotation_is_not_under_the_old_id(visitor: Visitor, thief: Visitor) -> None:
    """While the application sends a mail, the old id leads nowhere already; then the browser gets the new one."""
    seen: list[Any] = []

    def view(session: Session) -> None:
        log_in(session)
        seen.append(thief.read())
        thief.visit(lambda session: (session.rotate(), session.set("planted", 1)))

    visitor.visit(view)

    assert seen == [{}]
    assert visitor.read() == ADA
    assert "user" not in thief.read()


def test_fixation_a_second_rotation_leaves_nothing_under_the_id_in_between(visitor: Visitor, store: Store) -> None:
    """``rotate()`` after ``save()`` is a new rotation: nobody was given the id in between, and its record goes."""

    def view(session: Session) -> list[str | None]:
        log_in(session)
        between = session.id
        session.rotate()
        session["role"] = "admin"
        session.save()
        return [between, session.id]

    between, last = visitor.visit(view).value

    assert between != last
    assert live(store) == [last]
    assert visitor.read() == ADA | {"role": "admin"}


def test_fixation_what_is_derived_after_save_is_of_the_id_that_the_browser_gets(visitor: Visitor) -> None:
    """A form that is made after ``save()`` is still good for the next request."""
    before, _, *during = visitor.visit(
        lambda session: (session.derive("csrf"), log_in(session), session.derive("csrf"), session.id)
    ).value

    assert before != during[0]
    assert visitor.visit(lambda session: [session.derive("csrf"), session.id]).value == during


# --- how it may end --------------------------------------------------------------------------------------------------


def test_fixation_an_application_that_raises_after_save_logs_out(
    visitor: Visitor, thief: Visitor, store: Store
) -> None:
    """No headers leave through us, so nobody can learn the new id: its record is deleted, and an event says so."""
    with pytest.raises(RuntimeError, match="no mail"):
        visitor.visit(log_in_and_fail)

    assert live(store) == []
    assert (thief.read(), visitor.read()) == ({}, {})
    assert conflicts(visitor) == ["unsent"]


def test_fixation_an_application_that_exits_after_save_logs_out(visitor: Visitor, store: Store) -> None:
    """A worker that has to stop answers nothing."""

    def view(session: Session) -> None:
        log_in(session)
        raise SystemExit

    with pytest.raises(SystemExit):
        visitor.visit(view)

    assert live(store) == []


def test_fixation_an_application_that_raises_while_the_store_is_down_raises(visitor: Visitor) -> None:
    """What cannot be deleted is unreachable and expires; the application's error is not hidden by that."""

    def view(session: Session) -> None:
        log_in(session)
        break_down(visitor, "delete")
        raise RuntimeError("no mail today")

    with pytest.raises(RuntimeError, match="no mail"):
        visitor.visit(view)

    heal(visitor)
    assert visitor.read() == {}


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "500 Oops", "503 Later"])
def test_fixation_what_save_stored_goes_out_with_any_status(visitor: Visitor, thief: Visitor, status: str) -> None:
    """An error page of the framework carries the cookie; what was changed after ``save()`` is dropped as ever."""
    visitor.visit(lambda session: (log_in(session), session.set("late", 1)), status=status)

    assert visitor.read() == ADA | ({} if status[0] == "5" else {"late": 1})
    assert thief.read() == {}


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
@pytest.mark.parametrize("is_caught", [True, False], ids=["caught", "not caught"])
def test_fixation_what_save_stored_goes_out_though_the_store_fails_later(
    visitor: Visitor, thief: Visitor, status: str, *, is_caught: bool
) -> None:
    """The answer, our 503 too, carries the cookie of what was committed; the store is not asked again."""

    def view(session: Session) -> None:
        log_in(session)
        break_down(visitor, "load", "create", "update", "touch", "delete")
        session["late"] = 1
        with suppress(StoreUnavailable if is_caught else ZeroDivisionError):
            session.save()

    answer = visitor.visit(view, status=status)

    assert answer.calls == ["load", "create", "update", "load"]
    heal(visitor)
    assert answer.status == (200 if is_caught and status == "200 OK" else 503)
    assert (answer.all("Vary"), answer.all("Cache-Control")) == (["Cookie"], ["no-store"])
    assert visitor.read() == ADA
    assert thief.read() == {}


def test_fixation_a_rotation_that_fails_after_save_sends_the_saved_id(visitor: Visitor) -> None:
    """The id in between is what the store has, so the browser gets it with the 503."""

    def view(session: Session) -> None:
        log_in(session)
        session.rotate()
        break_down(visitor, "create")

    answer = visitor.visit(view)

    heal(visitor)
    assert is_generic_503(answer)
    assert visitor.read() == ADA


def test_fixation_a_write_of_nonsense_after_save_logs_out(visitor: Visitor, store: Store) -> None:
    """The commit at the headers raises, no page leaves, and no half of a login stays."""

    def view(session: Session) -> None:
        session["list"] = []
        log_in(session)
        session["list"].append(object())

    with pytest.raises(EncodeError):
        visitor.visit(view)

    assert live(store) == []


def test_fixation_a_conflict_after_save_sends_the_saved_id(visitor: Visitor) -> None:
    """An application that lets ``StoreConflict`` out is answered for, with the cookie of what was committed."""

    def view(session: Session) -> None:
        log_in(session)
        raise StoreConflict("busy")

    assert is_generic_503(visitor.visit(view))
    assert visitor.read() == ADA


def test_fixation_hanging_up_after_save_logs_out(visitor: Visitor, thief: Visitor, store: Store) -> None:
    """The client is gone before the headers are: nobody can learn the new id."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        log_in(environ["session"])
        start_response("200 OK", [])
        return iter([b"welcome"])

    visitor.start(environ={"visitor.app": app}).close()

    assert live(store) == []
    assert thief.read() == {}


@pytest.mark.parametrize("body", [[], iter([])], ids=["list", "iterator"])
def test_fixation_an_application_that_never_starts_logs_out(visitor: Visitor, store: Store, body: Any) -> None:
    """Without ``start_response()`` no headers leave."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        log_in(environ["session"])
        return body

    with suppress(ValueError):
        visitor.send(app)

    assert live(store) == []


def test_fixation_a_body_that_raises_before_its_first_chunk_logs_out(visitor: Visitor, store: Store) -> None:
    """The headers were still held back, and stay here."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [])
        log_in(environ["session"])
        raise RuntimeError
        yield b""

    with pytest.raises(RuntimeError):
        visitor.send(app)

    assert live(store) == []


def test_fixation_a_restarted_response_carries_the_saved_id(visitor: Visitor, thief: Visitor) -> None:
    """The application fails after ``save()`` and makes an error page by ``exc_info``."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [])
        try:
            log_in_and_fail(environ["session"])
        except RuntimeError as error:
            start_response("500 Oops", [], (RuntimeError, error, error.__traceback__))  # type: ignore[arg-type]
        return [b"sorry"]

    assert visitor.send(app).status == 500
    assert visitor.read() == ADA
    assert thief.read() == {}


def test_fixation_the_saved_id_leaves_with_write(visitor: Visitor) -> None:
    """The old way of sending a body sends the headers first."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        write = start_response("200 OK", [])
        log_in(environ["session"])
        write(b"welcome")
        return []

    visitor.send(app)

    assert visitor.read() == ADA


def test_fixation_a_stream_after_an_error_page_cannot_save_under_the_old_id(visitor: Visitor, thief: Visitor) -> None:
    """The headers left without the new id, so what was stored after ``rotate()`` has no place to go."""
    raised: list[type[Exception]] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        session = environ["session"]
        session.rotate()
        session["user"] = "ada"
        start_response("500 Oops", [])
        yield b"sorry, "
        try:
            session.save()
        except HeadersSent as error:
            raised.append(type(error))
        yield b"really"

    visitor.send(app)

    assert raised == [HeadersSent]
    assert thief.read() == visitor.read() == {"lang": "en"}


def test_fixation_a_late_save_that_another_adapter_forgot_is_dropped(visitor: Visitor, thief: Visitor) -> None:
    """A commit that can send no cookie stores nothing under an id that was to change."""
    manager = visitor.app._manager  # type: ignore[attr-defined]
    session = manager.open(visitor.cookie)
    session.rotate()
    session["user"] = "ada"

    assert manager.commit(session, status=200, can_set_cookie=False, is_final=True).set_cookie is None
    assert thief.read() == {"lang": "en"}
    assert conflicts(visitor) == ["unsent"]


def test_fixation_an_id_that_left_is_not_withdrawn(visitor: Visitor) -> None:
    """Once the headers carried the cookie, the end of the response deletes nothing."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        session = environ["session"]
        log_in(session)
        start_response("200 OK", [])
        yield b"welcome, "
        session["late"] = 1
        raise RuntimeError

    response = visitor.start(environ={"visitor.app": app})
    visitor.finish(response, next(response.body))
    with pytest.raises(RuntimeError):
        next(response.body)
    response.close()

    assert visitor.read() == ADA


# --- sessions that begin in this request -----------------------------------------------------------------------------

BEGINNINGS: dict[str, Callable[[Session], Any]] = {
    "created": lambda session: (session.set("user", "ada"), session.save()),
    "replaced": lambda session: (session.destroy(), session.set("user", "ada"), session.save()),
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_session_whose_cookie_was_never_sent_is_deleted(visitor: Visitor, store: Store, beginning: str) -> None:
    """What ``save()`` created before the application raised leaves no record."""
    visitor.visit(lambda session: session.destroy())

    def view(session: Session) -> None:
        BEGINNINGS[beginning](session)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        visitor.visit(view)

    assert live(store) == []


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_session_that_was_saved_goes_out_with_an_error_page(visitor: Visitor, beginning: str) -> None:
    """What ``save()`` created is kept."""
    if beginning == "created":
        visitor.visit(lambda session: session.destroy())

    visitor.visit(BEGINNINGS[beginning], status="500 Oops")

    assert visitor.read() == {"user": "ada"}


@pytest.mark.parametrize("status", ["200 OK", "500 Oops"])
def test_a_saved_logout_goes_out_though_the_store_fails_later(visitor: Visitor, status: str) -> None:
    """The record is gone, so the cookie goes too."""

    def view(session: Session) -> None:
        session.destroy()
        session.save()
        break_down(visitor, "create")
        session["next"] = 1
        with suppress(StoreUnavailable):
            session.save()

    visitor.visit(view, status=status)

    assert visitor.jar == {}


def test_a_session_that_was_destroyed_again_is_not_sent(visitor: Visitor, store: Store) -> None:
    """``destroy()`` after ``save()`` ends what that made; a store that fails then is a 503 without its cookie."""

    def view(session: Session) -> None:
        log_in(session)
        session.destroy()
        break_down(visitor, "delete")

    answer = visitor.visit(view)

    assert is_generic_503(answer)
    assert answer.cookies == []


def test_what_save_stored_and_somebody_revoked_is_not_sent(visitor: Visitor) -> None:
    """The touch at the headers finds the record gone: no cookie for what is gone, and none after a later failure."""
    answer = visitor.visit(lambda session: (log_in(session), visitor.spy.delete_all()))

    assert answer.cookies == []

    def view(session: Session) -> None:
        session["a"] = 1
        session.save()
        visitor.spy.delete_all()
        session["b"] = 2
        session.save()
        break_down(visitor, "load", "delete")

    assert visitor.visit(view).cookies == []
