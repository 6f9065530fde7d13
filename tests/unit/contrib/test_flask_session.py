"""``flask.session`` on this package: what Flask's applications expect of it, and what they get beyond."""

import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import pytest
from flask import copy_current_request_context, flash, get_flashed_messages, session, stream_with_context
from flask.testing import FlaskClient
from markupsafe import Markup
from support.client import SECRET, SpyStore
from support.faults import BusyStore
from support.flask_app import KEY, flask_app, spy_of, values_of

from wsgi_session import Lifetime, SessionManager, SessionMiddleware, get_session
from wsgi_session.contrib.flask import FlaskSession, SessionInterface
from wsgi_session.errors import ConfigError, EncodeError, HeadersSent, StoreConflict, StoreUnavailable
from wsgi_session.stores import MemoryStore


def break_down(store: SpyStore, *methods: str) -> None:
    """Have *methods* of *store* fail from now on, all of them if none is named."""

    def fail(method: str, _key: str) -> None:
        if not methods or method in methods:
            raise StoreUnavailable("the store does not answer")

    store.before = fail


# --- values ----------------------------------------------------------------------------------------------------------


def test_values_come_back_as_they_were() -> None:
    """What Flask's own session keeps by its tags, type and all."""
    app = flask_app()
    values = {
        "tuple": (1, "two"),
        "bytes": b"\xff",
        "markup": Markup("<b>"),
        "uuid": uuid.uuid4(),
        "datetime": datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC),
        "nested": {"list": [(1,), {"b": b""}]},
    }
    seen = {}

    @app.get("/store")
    def store() -> str:
        session.update(values)
        return ""

    @app.get("/read")
    def read() -> str:
        seen.update(session)
        return ""

    client = app.test_client()
    client.get("/store")
    client.get("/read")

    assert seen == values
    assert [type(value) for value in seen.values()] == [type(value) for value in values.values()]


def test_nested_changes_are_stored_without_being_told() -> None:
    app = flask_app()

    @app.get("/add")
    def add() -> str:
        session.setdefault("cart", []).append("pear")
        return ""

    client = app.test_client()
    client.get("/add")
    client.get("/add")

    assert values_of(client) == {"cart": ["pear", "pear"]}


def test_the_verbs_of_this_package_are_there() -> None:
    app = flask_app()

    @app.get("/count")
    def count() -> str:
        assert isinstance(session, FlaskSession)
        return str(session.increment("visits"))

    client = app.test_client()

    assert [client.get("/count").text, client.get("/count").text] == ["1", "2"]


def test_flashed_messages_are_kept_until_they_are_read() -> None:
    app = flask_app()

    @app.get("/flash")
    def say() -> str:
        flash("saved", "info")
        return ""

    @app.get("/read")
    def read() -> dict[str, Any]:
        return {"messages": get_flashed_messages(with_categories=True)}

    client = app.test_client()
    client.get("/flash")

    assert client.get("/read").json == {"messages": [["info", "saved"]]}
    assert client.get("/read").json == {"messages": []}


# --- promises --------------------------------------------------------------------------------------------------------


def test_an_unused_session_costs_no_store_call_and_changes_no_header() -> None:
    app = flask_app()
    client = app.test_client()
    client.get("/set/a/1")
    spy_of(app).calls.clear()

    answer = client.get("/nothing")

    assert spy_of(app).calls == []
    assert not {"Vary", "Set-Cookie", "Cache-Control"} & {*answer.headers.keys()}


def test_a_page_that_only_looks_gives_a_stranger_no_cookie() -> None:
    app = flask_app()

    answer = app.test_client().get("/get")

    assert answer.headers["Vary"] == "Cookie"
    assert "Set-Cookie" not in answer.headers
    assert spy_of(app).calls == []


def test_looking_at_the_proxy_varies_the_response() -> None:
    """As in Flask: whoever asked for ``session`` may have decided by it."""
    app = flask_app()

    @app.get("/look")
    def look() -> str:
        return str(session.accessed)

    answer = app.test_client().get("/look")

    assert answer.text == "True"
    assert answer.headers["Vary"] == "Cookie"


def value_of(client: FlaskClient) -> str:
    """Return the value of the session cookie in *client*'s jar."""
    cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def test_two_requests_that_change_different_keys_both_win() -> None:
    app = flask_app()
    client, other = app.test_client(), app.test_client()

    @app.get("/slow")
    def slow() -> str:
        session["slow"] = session["a"]
        other.get("/set/b/2")
        return ""

    client.get("/set/a/1")
    other.set_cookie("session", value_of(client))
    client.get("/slow")

    assert values_of(client) == {"a": "1", "b": "2", "slow": "1"}


def test_a_session_that_was_logged_out_is_not_revived() -> None:
    app = flask_app()
    client, other = app.test_client(), app.test_client()

    @app.get("/out")
    def out() -> str:
        session.clear()
        return ""

    @app.get("/slow")
    def slow() -> str:
        session["slow"] = session["a"]
        other.get("/out")
        return ""

    client.get("/set/a/1")
    other.set_cookie("session", value_of(client))
    answer = client.get("/slow")

    assert "Set-Cookie" not in answer.headers
    assert values_of(client) == {}
    assert spy_of(app).count() == 0


def test_writing_the_users_id_is_a_login() -> None:
    """Flask-Login and Flask-Security write ``_user_id``, and no more: the id is a fresh one all the same."""
    app = flask_app()
    client = app.test_client()
    client.get("/set/cart/pear")
    before = value_of(client)

    client.get("/set/_user_id/ada")

    assert value_of(client) != before
    assert values_of(client) == {"cart": "pear", "_user_id": "ada"}
    thief = app.test_client()
    thief.set_cookie("session", before)
    assert values_of(thief) == {}


def test_revoke_all_logs_everybody_out_on_the_next_request() -> None:
    app = flask_app()
    client = app.test_client()
    client.get("/set/_user_id/ada")

    assert app.extensions["wsgi_session"].handle().revoke_all() == 1

    assert values_of(client) == {}


# --- the names that Flask has ----------------------------------------------------------------------------------------


def test_permanent_gives_the_cookie_an_age_that_survives() -> None:
    app = flask_app(PERMANENT_SESSION_LIFETIME=3600)
    seen = []

    @app.get("/permanent/<int:value>")
    def permanent(value: int) -> str:
        session["a"] = 1
        session.permanent = bool(value)
        seen.append(session.permanent)
        return ""

    client = app.test_client()

    assert "Max-Age" not in client.get("/set/a/1").headers["Set-Cookie"]
    assert "Max-Age=3600" in client.get("/permanent/1").headers["Set-Cookie"]
    assert "Set-Cookie" not in client.get("/permanent/1").headers
    assert "Max-Age" not in client.get("/permanent/0").headers["Set-Cookie"]
    assert seen == [True, True, False]
    assert values_of(client) == {"a": 1}


def test_permanent_keeps_the_limits_that_a_session_has() -> None:
    app = flask_app()
    seen = []

    @app.get("/long")
    def long() -> str:
        assert isinstance(session, FlaskSession)
        session["a"] = 1
        session.set_lifetime(Lifetime(idle=timedelta(days=90), absolute=None))
        return ""

    @app.get("/permanent")
    def permanent() -> str:
        assert isinstance(session, FlaskSession)
        session.permanent = True
        session.save()
        seen.append(session.expires_in)
        return ""

    client = app.test_client()
    client.get("/long")
    assert "Max-Age=7776000" in client.get("/permanent").headers["Set-Cookie"]

    assert seen[0] > timedelta(days=89)


def test_permanent_in_every_request_stores_nothing_for_strangers() -> None:
    """A widespread habit, which makes a session of each robot's visit elsewhere."""
    app = flask_app()

    @app.before_request
    def make_permanent() -> None:
        session.permanent = True

    answer = app.test_client().get("/nothing")

    assert "Set-Cookie" not in answer.headers
    assert spy_of(app).calls == []


def test_new_and_modified() -> None:
    app = flask_app()
    seen = []

    @app.get("/look")
    def look() -> str:
        before = session.new, session.modified
        session["cart"] = session.get("cart", [])
        session["cart"].append(1)
        seen.append((before, session.modified))
        return ""

    client = app.test_client()
    client.get("/look")
    client.get("/look")

    assert seen == [((True, False), True), ((False, False), True)]


def test_modified_has_the_session_stored_and_cannot_take_a_change_back() -> None:
    app = flask_app()

    @app.get("/mark")
    def mark() -> str:
        session.modified = True
        return ""

    @app.get("/unmark")
    def unmark() -> str:
        session["a"] = "2"
        session.modified = False
        return ""

    client = app.test_client()
    client.get("/set/a/1")
    spy_of(app).calls.clear()
    client.get("/mark")
    assert spy_of(app).calls == ["load", "update"]

    client.get("/unmark")
    assert values_of(client) == {"a": "2"}


REMOVALS: dict[str, Callable[[FlaskSession], object]] = {
    "clear": lambda session: session.clear(),
    "pop": lambda session: session.pop("a"),
    "popitem": lambda session: session.popitem(),
    "del": lambda session: session.__delitem__("a"),
    "remove": lambda session: session.remove("a"),
}


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_a_session_that_was_emptied_ends(remove: Callable[[Any], object]) -> None:
    """Flask's habit: applications log out by ``session.clear()``."""
    app = flask_app()

    @app.get("/remove")
    def empty() -> str:
        remove(session)
        return ""

    client = app.test_client()
    client.get("/set/a/1")

    answer = client.get("/remove")

    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert spy_of(app).count() == 0


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)
def test_a_login_by_name_ends_only_with_clear(remove: Callable[[Any], object]) -> None:
    """It leaves no value that could be removed; and who reads a last flashed message is not logged out by that."""
    app = flask_app()

    @app.get("/login")
    def log_in() -> str:
        session.clear()
        session.login("ada")  # type: ignore[attr-defined]
        return ""

    @app.get("/remove")
    def empty() -> str:
        session["a"] = 1
        remove(session)
        return ""

    client = app.test_client()
    client.get("/login")
    assert spy_of(app).count() == 1

    client.get("/remove")
    assert spy_of(app).count() == (0 if remove is REMOVALS["clear"] else 1)


@pytest.mark.parametrize(
    ("path", "is_failed"),
    [pytest.param("/refill", False, id="filled again"), pytest.param("/fail", True, id="the view failed")],
)
def test_a_session_that_is_not_empty_at_the_end_goes_on(path: str, is_failed: bool) -> None:
    app = flask_app()

    @app.get("/refill")
    def refill() -> str:
        session.clear()
        session["b"] = "2"
        return ""

    @app.get("/fail")
    def fail() -> tuple[str, int]:
        session.clear()
        return "", 500

    client = app.test_client()
    client.get("/set/a/1")

    client.get(path)

    assert values_of(client) == ({"a": "1"} if is_failed else {"b": "2"})


def test_pop_keeps_what_it_says() -> None:
    app = flask_app()
    with app.test_request_context():
        session["a"] = 1
        assert session.pop("a") == 1
        assert session.pop("a", 2) == 2
        with pytest.raises(KeyError):
            session.pop("a")


# --- contexts --------------------------------------------------------------------------------------------------------


def test_session_transaction_of_flasks_test_client() -> None:
    app = flask_app()
    client = app.test_client()

    with client.session_transaction() as opened:
        opened["a"] = 1

    assert values_of(client) == {"a": 1}
    with client, client.session_transaction() as opened:
        assert opened["a"] == 1


def test_the_session_can_be_read_after_the_response() -> None:
    """Tests do so, in ``with client:``."""
    app = flask_app()
    with app.test_client() as client:
        client.get("/set/a/1")
        assert session["a"] == "1"
        client.get("/nothing")
        assert session["a"] == "1"


def test_nested_contexts_have_sessions_of_their_own() -> None:
    app = flask_app()
    with app.test_request_context():
        session["a"] = 1
        with app.test_request_context():
            assert "a" not in session
        assert session["a"] == 1


def test_a_copied_context_shares_the_session() -> None:
    app = flask_app()

    @app.get("/thread")
    def in_thread() -> str:
        @copy_current_request_context
        def work() -> None:
            session["a"] = "1"

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return ""

    client = app.test_client()
    client.get("/thread")

    assert values_of(client) == {"a": "1"}


def test_a_stream_stores_what_it_changes() -> None:
    app = flask_app()

    @app.get("/stream")
    def stream() -> flask.Response:
        session["chunks"] = 0

        def chunks() -> Any:
            for _ in range(3):
                session["chunks"] += 1
                yield "x"

        return flask.Response(stream_with_context(chunks()))

    client = app.test_client()
    client.get("/stream", buffered=True)

    assert values_of(client) == {"chunks": 3}


def test_what_a_stream_cannot_store_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = flask_app()

    @app.get("/stream")
    def stream() -> flask.Response:
        session["a"] = 1

        def chunks() -> Any:
            yield "x"
            session["a"] = 2
            break_down(spy_of(app))

        return flask.Response(stream_with_context(chunks()))

    client = app.test_client()
    assert client.get("/stream", buffered=True).text == "x"

    assert "could not be stored" in caplog.text


def test_a_stream_that_never_varied_cannot_begin_to_use_the_session() -> None:
    """A cache could have kept the page for everybody."""
    app = flask_app()

    @app.get("/stream")
    def stream() -> flask.Response:
        def chunks() -> Any:
            yield str(len(session))

        return flask.Response(stream_with_context(chunks()))

    with pytest.raises(HeadersSent):
        app.test_client().get("/stream", buffered=True)


async def _set() -> str:
    session["a"] = "async"
    return ""


def test_async_views() -> None:
    pytest.importorskip("asgiref", reason="pip install flask[async]")
    app = flask_app()
    app.get("/async")(_set)
    client = app.test_client()
    client.get("/async")

    assert values_of(client) == {"a": "async"}


def test_signals_find_the_session() -> None:
    """In every receiver of a request; what one changes is stored as anything that the request changes."""
    app = flask_app()
    seen = []

    @app.get("/fail")
    def fail() -> str:
        raise LookupError

    def start(_app: flask.Flask, **_: Any) -> None:
        session.increment("requests")

    def look(_app: flask.Flask, **_: Any) -> None:
        seen.append(session["requests"])

    def finish(_app: flask.Flask, **_: Any) -> None:
        session["finished"] = session["requests"]

    client = app.test_client()
    with (
        flask.request_started.connected_to(start, app),
        flask.got_request_exception.connected_to(look, app),
        flask.request_tearing_down.connected_to(look, app),
    ):
        client.get("/nothing")
        assert client.get("/fail").status_code == 500
        with flask.request_finished.connected_to(finish, app):
            client.get("/nothing", buffered=True)  # which closes the response, as servers do

    assert seen == [1, 2, 2, 2]  # twice in the request that failed, whose change is dropped
    assert values_of(client) == {"requests": 2, "finished": 2}


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/get", "/set/a/2", "/caught"])
def test_a_store_that_does_not_answer_is_a_503(path: str) -> None:
    """Also when only the commit meets it, and when the application made an error page of its own of it."""
    app = flask_app()

    @app.get("/caught")
    def caught() -> tuple[str, int]:
        try:
            session.get("a")
        except StoreUnavailable:
            return "An error page.", 500
        return "", 200

    client = app.test_client()
    client.get("/set/a/1")
    break_down(spy_of(app))

    answer = client.get(path)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("error", [StoreUnavailable, StoreConflict])
def test_a_commit_that_fails_is_a_503(error: type[Exception]) -> None:
    app = flask_app()
    client = app.test_client()
    client.get("/set/a/1")

    def fail(method: str, _key: str) -> None:
        if method == "update":
            raise error("no")

    spy_of(app).before = fail

    assert client.get("/set/a/2").status_code == 503
    assert values_of(client) == {"a": "1"}


def test_what_a_503_took_the_place_of_is_not_stored_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The browser was told that it failed; when the response is closed, the store would take it."""
    monkeypatch.setattr("wsgi_session._manager.writer.RETRY_S", 0)
    store = BusyStore(MemoryStore())
    app = flask_app(SESSION_STORE=store)

    @app.errorhandler(StoreConflict)
    def say_sorry(error: StoreConflict) -> tuple[str, int]:
        store.is_busy = False
        return "sorry", 503

    client = app.test_client()
    client.get("/set/a/1")
    store.is_busy = True

    assert client.get("/set/b/2", buffered=True).text == "sorry"
    assert values_of(client) == {"a": "1"}


def test_the_application_says_how_a_503_looks() -> None:
    app = flask_app()
    app.register_error_handler(503, lambda _error: ("Back soon.", 503))
    client = app.test_client()
    client.get("/set/a/1")
    break_down(spy_of(app))

    assert client.get("/get").text == "Back soon."
    assert client.get("/set/a/2").text == "Back soon."


def test_a_503_page_that_uses_the_session_is_replaced() -> None:
    app = flask_app()

    @app.errorhandler(StoreUnavailable)
    def page(_error: Exception) -> str:
        return str(len(session))

    client = app.test_client()
    client.get("/set/a/1")
    break_down(spy_of(app))

    answer = client.get("/set/a/2")

    assert answer.status_code == 503
    assert "Service Unavailable" in answer.text


def test_a_streamed_page_is_closed_when_a_503_replaces_it() -> None:
    app = flask_app()
    closed = []

    class Body:
        def __iter__(self) -> Any:
            return iter(("x",))

        def close(self) -> None:
            closed.append(True)

    @app.get("/stream")
    def stream() -> flask.Response:
        session["a"] = 2
        return flask.Response(Body())  # type: ignore[arg-type]

    client = app.test_client()
    client.get("/set/a/1")
    break_down(spy_of(app), "update")

    assert client.get("/stream").status_code == 503
    assert closed


def test_a_cookie_that_save_owes_is_sent_with_the_503() -> None:
    app = flask_app()

    @app.get("/login")
    def login() -> str:
        assert isinstance(session, FlaskSession)
        session.rotate()
        session.save()
        session["a"] = "2"
        break_down(spy_of(app))
        return ""

    client = app.test_client()
    client.get("/set/a/1")

    answer = client.get("/login")

    assert answer.status_code == 503
    spy_of(app).before = lambda _method, _key: None
    assert values_of(client) == {"a": "1"}


def test_a_value_that_cannot_be_stored_is_the_applications_error() -> None:
    app = flask_app()

    @app.get("/nested")
    def nested() -> str:
        session["list"] = [1]
        session["list"].append(object())
        return ""

    @app.get("/line")
    def line() -> str:
        session["a"] = object()
        return ""

    client = app.test_client()
    assert [client.get("/nested").status_code, client.get("/line").status_code] == [500, 500]

    app.testing = True
    with pytest.raises(EncodeError, match="list"):
        client.get("/nested")


def test_what_a_failed_request_changed_is_dropped() -> None:
    app = flask_app()

    @app.get("/fail")
    def fail() -> str:
        session["a"] = "2"
        raise LookupError

    client = app.test_client()
    client.get("/set/a/1")

    assert client.get("/fail").status_code == 500
    assert values_of(client) == {"a": "1"}


@pytest.mark.parametrize("share", [False, True], ids=["alone", "shared"])
def test_an_exception_that_flask_propagates_drops_changes_but_no_logout(share: bool) -> None:
    """With ``PROPAGATE_EXCEPTIONS``, too, a logout is done, and nothing else is."""
    app = flask_app(share=share, PROPAGATE_EXCEPTIONS=True)

    @app.get("/fail/<how>")
    def fail(how: str) -> str:
        getattr(session, how)(*({"set": ("a", "2"), "destroy": ()}[how]))
        raise LookupError

    client = app.test_client()
    client.get("/set/a/1")

    with pytest.raises(LookupError):
        client.get("/fail/set")
    assert values_of(client) == {"a": "1"}

    with pytest.raises(LookupError):
        client.get("/fail/destroy")
    assert app.extensions["wsgi_session"].handle().count() == 0


def test_an_exception_that_flask_propagates_is_not_hidden_by_the_store(caplog: pytest.LogCaptureFixture) -> None:
    """A logout that cannot be stored then is logged: the server sees the application's own exception."""
    app = flask_app(PROPAGATE_EXCEPTIONS=True)

    @app.get("/fail")
    def fail() -> str:
        session.destroy()
        break_down(spy_of(app))
        raise LookupError

    client = app.test_client()
    client.get("/set/a/1")

    with pytest.raises(LookupError):
        client.get("/fail")
    assert "could not be stored" in caplog.text


@pytest.mark.parametrize("key", [KEY, None], ids=["unused", "no sessions"])
def test_an_exception_that_flask_propagates_without_a_session(key: str | None) -> None:
    """It passes as it is."""
    app = flask_app(SECRET_KEY=key, PROPAGATE_EXCEPTIONS=True)

    @app.get("/fail")
    def fail() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        app.test_client().get("/fail")


@pytest.mark.parametrize("share", [False, True], ids=["alone", "shared"])
def test_a_store_that_does_not_answer_is_a_503_also_where_flask_propagates(share: bool) -> None:
    """It is no error of the application."""
    app = flask_app(share=share, PROPAGATE_EXCEPTIONS=True)
    client = app.test_client()
    client.get("/set/a/1")
    break_down(spy_of(app))

    assert client.get("/get").status_code == 503


# --- shared with middleware ------------------------------------------------------------------------------------------


def test_a_shared_session_is_the_one_in_environ() -> None:
    app = flask_app(share=True)

    @app.get("/both")
    def both() -> dict[str, Any]:
        inner = get_session(flask.request.environ)
        inner["there"] = "environ"
        session["here"] = "flask"
        return {"there": session["there"], "here": inner["here"], "id": inner.id == session.id}

    client = app.test_client()
    answer = client.get("/both")

    assert answer.json == {"there": "environ", "here": "flask", "id": True}
    assert len(answer.headers.getlist("Set-Cookie")) == 1
    assert values_of(client) == {"there": "environ", "here": "flask"}


@pytest.mark.parametrize(("how", "left"), [("flask", 0), ("environ", 1)])
def test_only_flasks_own_handle_ends_a_shared_session(how: str, left: int) -> None:
    app = flask_app(share=True)

    @app.get("/clear/<how>")
    def clear(how: str) -> str:
        (session if how == "flask" else get_session(flask.request.environ)).clear()
        return ""

    client = app.test_client()
    client.get("/set/a/1")

    client.get(f"/clear/{how}")

    assert spy_of(app).count() == left


@pytest.mark.parametrize("paths", [("/form/1",), ("/form/0", "/clear"), ("/form/0", "/set/_user_id/1", "/clear")])
def test_a_session_that_a_form_depends_on_does_not_end(paths: Sequence[str]) -> None:
    """Whether its secret was derived in this request or in an earlier one."""
    app = flask_app(share=True)

    @app.get("/form/<int:is_cleared>")
    def form(is_cleared: int) -> str:
        session["form"] = 1
        if is_cleared:
            session.clear()
        return get_session(flask.request.environ).derive("form").hex()

    @app.get("/clear")
    def clear() -> str:
        session.clear()
        return ""

    client = app.test_client()
    client.get("/set/a/1")

    for path in paths:
        client.get(path)

    assert spy_of(app).count() == 1


def test_a_shared_store_that_does_not_answer_is_a_503() -> None:
    app = flask_app(share=True)
    client = app.test_client()
    client.get("/set/a/1")
    break_down(spy_of(app))

    assert client.get("/get").status_code == 503
    assert client.get("/set/a/2").status_code == 503


def test_events_after_a_handshake_have_sessions_of_their_own() -> None:
    """Flask-SocketIO calls with the environ of the handshake, whose session is closed by then."""
    app = flask_app(share=True)
    client = app.test_client()
    client.get("/set/a/1")
    environ = client.get("/nothing").request.environ

    with app.request_context(environ):
        assert session["a"] == "1"


def test_somebody_elses_middleware_shares_nothing() -> None:
    app = flask_app()
    app.wsgi_app = SessionMiddleware(app.wsgi_app, "memory://", secret=SECRET)  # type: ignore[method-assign]

    @app.get("/both")
    def both() -> dict[str, Any]:
        get_session(flask.request.environ)["there"] = 1
        return dict(session)

    client = app.test_client()

    assert client.get("/both", base_url="https://localhost").json == {}


def test_a_manager_of_ones_own_comes_before_the_configuration() -> None:
    with SessionManager(MemoryStore(), secret=SECRET) as manager:
        app = flask_app(manager=manager, SECRET_KEY="short", SESSION_COOKIE_NAME="other")
        client = app.test_client()

        answer = client.get("/set/a/1", base_url="https://localhost")

        assert answer.headers["Set-Cookie"].startswith("__Host-session=")
        assert manager.handle().count() == 1


def test_another_kind_of_session_is_refused() -> None:
    app = flask_app()
    with pytest.raises(ConfigError, match="FlaskSession"):
        SessionInterface().save_session(app, flask.sessions.SecureCookieSession(), flask.Response())
