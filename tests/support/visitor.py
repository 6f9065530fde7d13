"""A visitor whose every request brings its own view along, and what is seen of it from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from support.client import SECRET, Answer, Client, Headers, SpyStore, session_app
from wsgi_session import Event, Session, SessionMiddleware
from wsgi_session.stores import Store

_APP = "visitor.app"


@dataclass
class Visit(Answer):
    """One answered request: what its view returned, and what the store was asked."""

    value: Any = None
    calls: list[str] = field(default_factory=list)

    @property
    def is_used(self) -> bool:
        """Whether the response says that it depends on the session."""
        return self.all("Vary") == ["Cookie"]

    @property
    def max_age_s(self) -> int:
        """The ``Max-Age`` of the one cookie that was set, in seconds."""
        (line,) = self.cookies
        (value,) = (part.removeprefix("Max-Age=") for part in line.split("; ") if part.startswith("Max-Age="))
        return int(value)


@dataclass
class Visitor(Client):
    """A browser at a site that does whatever a request brings along."""

    spy: SpyStore = field(kw_only=True)
    events: list[Event] = field(kw_only=True)

    def visit(
        self,
        view: Callable[[Session], Any] = lambda session: None,
        *,
        status: str = "200 OK",
        headers: Headers | None = None,
        **request: Any,
    ) -> Visit:
        """Send one request that *view* answers."""
        values: list[Any] = []
        app = session_app(lambda session: values.append(view(session)), status=status, headers=headers)
        return replace(self.send(app, **request), value=values[-1] if values else None)

    def send(self, app: WSGIApplication, **request: Any) -> Visit:
        """Send one request that *app* answers."""
        earlier = len(self.spy.calls)
        answer = self.request(environ={_APP: app, **request.pop("environ", {})}, **request)
        return Visit(answer.status, answer.headers, answer.body, calls=self.spy.calls[earlier:])

    def read(self) -> dict[str, Any]:
        """Return what the session holds."""
        return dict(self.visit(dict).value)

    def another(self) -> "Visitor":
        """Return somebody else's browser at the same site."""
        return replace(self, jar={})

    def twin(self) -> "Visitor":
        """Return a second tab: the same cookies now, and a jar that goes its own way from here."""
        return replace(self, jar=dict(self.jar))

    @property
    def cookie(self) -> str:
        """The ``Cookie`` header as it is sent now."""
        return "; ".join(f"{name}={value}" for name, value in self.jar.items())

    def happened(self) -> list[str]:
        """Return the names of the events up to now."""
        return [event.name for event in self.events]


def visitor_of(store: Store, **options: Any) -> Visitor:
    """Return a visitor of a site whose sessions are in *store*."""
    spy = store if isinstance(store, SpyStore) else SpyStore(store)
    events: list[Event] = []
    options = {"secret": SECRET, "on_event": events.append, **options}
    return Visitor(SessionMiddleware(_do_as_asked, spy, **options), spy=spy, events=events)


def _do_as_asked(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
    return environ[_APP](environ, start_response)
