"""A visitor of the demo's site in this process, and what its pages show."""

import re
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from support.client import Answer, Client
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import FakeClock


@dataclass
class Visitor:
    """A browser without scripts on the site: sends forms, follows redirects, reads the page."""

    client: Client
    store: MemoryStore
    clock: FakeClock
    token: str = ""
    """The one in the page that was opened last."""

    def begin(self) -> str:
        """Follow the link to the page with the forms, and return it."""
        return self.page(self.client.get("/begin").all("Location")[0])

    def page(self, path: str = "/") -> str:
        path, _, query = path.partition("#")[0].partition("?")
        answer = self.client.get(path, environ={"QUERY_STRING": query})
        assert answer.status == 200
        page = answer.body.decode()
        self.token = next(iter(tokens(page)), "")
        return page

    def post(self, path: str, fields: dict[str, str] | None = None, **environ: str) -> Answer:
        body = urlencode({"csrf_token": self.token} | (fields or {})).encode()
        form = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
        return self.client.request(path, method="POST", body=body, environ=form | environ)

    def send(self, path: str, **fields: str) -> str:
        """Send a form and return the page that it leads to."""
        answer = self.post(path, fields)
        assert answer.status == 303
        return self.page(answer.all("Location")[0])

    def on_another_device(self) -> "Visitor":
        """Return somebody else's browser on the same site, with the page with the forms open."""
        other = replace(self, client=Client(self.client.app))
        other.begin()
        return other

    @property
    def cookie(self) -> str:
        return next(iter(self.client.jar.values()))


def tokens(page: str) -> list[str]:
    return re.findall(r'name="csrf_token" value="([\w-]{86})"', page)


def session_id(page: str) -> str:
    found = re.search(r'id="session-id" title="([0-9a-f]{64})"', page)
    assert found
    return found[1]


def events(page: str) -> list[str]:
    """Return the names in the page's list of events, newest first."""
    return re.findall(r"</time> <code>(\w+)</code>", page)
