"""What tools that report errors show of a session among the local variables: that it is one, and nothing of it."""

import io
import pprint
import reprlib
import traceback
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest
import rich.console
import rich.pretty
import rich.traceback
import sentry_sdk
from sentry_sdk.transport import Transport
from support.client import SECRET, Client, SpyStore
from werkzeug.debug.tbtools import DebugTraceback

from wsgi_session import SessionMiddleware
from wsgi_session.stores import MemoryStore

VALUE = "hunter2-is-the-value"
KEY = "hunter2-is-the-key"


class Collected(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.sent.append(envelope.serialize().decode())


def by_sentry(call: Callable[[], object]) -> str:
    """Let sentry-sdk meet the error, and return all that it would send."""
    transport = Collected()
    client = sentry_sdk.Client("https://public@sentry.invalid/1", transport=transport, default_integrations=False)
    with sentry_sdk.new_scope() as scope:
        scope.set_client(client)
        try:
            call()
        except RuntimeError as error:
            scope.capture_exception(error)
    client.close()
    assert transport.sent
    return "".join(transport.sent)


def by(show: Callable[[BaseException], str]) -> Callable[[Callable[[], object]], str]:
    """Return a tool that shows the caught error by *show*."""

    def report(call: Callable[[], object]) -> str:
        try:
            call()
        except RuntimeError as error:
            return show(error)
        raise AssertionError("there was no error")

    return report


def local_variables(error: BaseException) -> dict[str, Any]:
    """Return those of the frame that raised."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_locals


def by_rich(error: BaseException) -> str:
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(rich.traceback.Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True))
    console.print(rich.pretty.Pretty(local_variables(error), expand_all=True))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def by_the_standard_library(error: BaseException) -> str:
    # Django's error page shows variables by pprint.
    shown = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    variables = local_variables(error)
    return "".join([*shown, pprint.pformat(variables), reprlib.repr(variables), reprlib.repr(variables["visitor"])])


def by_werkzeug(error: BaseException) -> str:
    debugger = DebugTraceback(error)
    return (
        debugger.render_debugger_html(evalex=False, secret="-", evalex_trusted=False) + debugger.render_traceback_text()
    )


TOOLS = [
    pytest.param(by_sentry, id="sentry-sdk"),
    pytest.param(by(by_rich), id="rich"),
    pytest.param(by(by_werkzeug), id="werkzeug"),
    pytest.param(by(by_the_standard_library), id="standard library"),
]


def failing(use: Callable[[Any], object]) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        visitor = environ["session"]  # not under a name that sentry-sdk leaves out
        use(visitor)
        raise RuntimeError("boom")

    return app


@pytest.fixture
def spy() -> SpyStore:
    return SpyStore(MemoryStore())


@pytest.fixture
def cookie(spy: SpyStore) -> str:
    """The ``Cookie`` header of a browser with a session that holds a value."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["session"][KEY] = VALUE
        start_response("200 OK", [])
        return []

    client = Client(SessionMiddleware(app, spy, secret=SECRET))
    client.get()
    spy.calls.clear()
    return "; ".join(f"{name}={value}" for name, value in client.jar.items())


def report_of(tool: Callable[[Callable[[], object]], str], app: WSGIApplication, spy: SpyStore, cookie: str) -> str:
    client = Client(SessionMiddleware(app, spy, secret=SECRET))
    return tool(lambda: client.get(cookie=cookie))


@pytest.mark.parametrize("tool", TOOLS)
def test_a_report_does_not_load_an_unused_session(tool: Any, spy: SpyStore, cookie: str) -> None:
    """An error in a request that does not use its session asks the store nothing, and sends none of its values."""
    report = report_of(tool, failing(lambda session: None), spy, cookie)

    assert "boom" in report
    assert spy.calls == []
    assert VALUE not in report
    assert KEY not in report


@pytest.mark.parametrize("tool", TOOLS)
def test_a_report_shows_no_value_of_a_used_session(tool: Any, spy: SpyStore, cookie: str) -> None:
    """It shows that it was used, no more."""
    report = report_of(tool, failing(len), spy, cookie)

    assert "boom" in report
    assert spy.calls == ["load"]
    assert VALUE not in report
    assert KEY not in report


def test_a_session_among_the_local_variables_is_named(spy: SpyStore, cookie: str) -> None:
    """sentry-sdk shows what ``repr`` says of it."""
    report = report_of(by_sentry, failing(lambda session: None), spy, cookie)

    assert '"visitor":"<Session unused>"' in report
