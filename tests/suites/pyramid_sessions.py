"""A pytest plugin for Pyramid's suite: the sessions that its tests make of Pyramid's own are this package's.

Its tests of the two cookie sessions put a serialised session into a request's cookies, and look at what their class
keeps for itself; here the first becomes a record in a store, and the second is answered by what the manager does. With
``WSGI_SESSION_SUITE_REPORT`` the plugin writes down in which tests a session was used.
"""

import json
import os
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from wsgi_session import Cookie, Lifetime, Record, SessionManager
from wsgi_session.contrib.pyramid import PyramidSession, SessionFactory
from wsgi_session.stores import MemoryStore

SECRET = secrets.token_hex()
COOKIE_OPTIONS = {"cookie_name": "name", "path": "path", "domain": "domain", "secure": "secure", "httponly": "httponly"}

AGES = timedelta(days=80_000)

OPENED: list[PyramidSession] = []
TESTS: set[str] = set()


class SuiteSession(PyramidSession):
    """A session that shows what Pyramid's own keeps under names of its own."""

    request: Any = None
    manager: Any = None

    @property
    def _dirty(self) -> bool:
        """Whether something is to be stored, or the cookie to be sent again."""
        return self.is_dirty or self.manager.commit(self, status=200).set_cookie is not None

    def _set_cookie(self, response: Any) -> bool:
        """Do what a response does, and return whether it got the cookie."""
        if not hasattr(response, "status_int"):  # the suite's own has nothing but headers
            response.status_int, response.app_iter = 200, []
        self.request._process_response_callbacks(response)
        return any(name == "Set-Cookie" for name, _ in response.headerlist)


class SuiteTests:
    """What replaces the methods of the suite's test cases that make a session."""

    store: MemoryStore

    def setUp(self) -> None:
        self.store = MemoryStore()

    def _manager(self, options: Mapping[str, Any]) -> SessionManager:
        limits: dict[str, Any] = {"absolute": None, "longest": AGES}
        if "timeout" in options:
            timeout = options["timeout"]
            limits["idle"] = AGES if timeout is None else timedelta(seconds=int(timeout))
        # Pyramid's default is with each request.
        reissue_time = options.get("reissue_time", 0)
        limits["touch_every"] = (
            AGES / 2 if reissue_time is None else timedelta(seconds=int(reissue_time)) or timedelta(microseconds=1)
        )
        cookie = {own: options[name] for name, own in COOKIE_OPTIONS.items() if name in options}
        int(options.get("max_age", 0))
        secret = SECRET if options.get("secret", "secret") == "secret" else secrets.token_hex()
        return SessionManager(self.store, secret=secret, cookie=Cookie(**cookie), lifetime=Lifetime(**limits))

    def _makeOne(self, request: Any, **options: Any) -> SuiteSession:  # noqa: N802  the suite's name
        manager = self._manager(options)
        if "session" in request.cookies:
            request.environ["HTTP_COOKIE"] = f"{manager.cookie.wire_name}={request.cookies['session']}"
        session = SuiteSession(SessionFactory(manager)(request))
        session.request, session.manager = request, manager
        OPENED.append(session)
        return session

    def _serialize(self, value: Any, **_options: Any) -> str:
        """Store a session as it would be, were it last used and created at these times; return its cookie."""
        if isinstance(value, str):
            return value
        accessed, created, data = value
        manager = self._manager({"timeout": None})
        session = manager.open("")
        session.update(data)
        cookie: str = manager.commit(session, status=200).value or ""
        ((key, record),) = self.store.scan()
        self.store.delete(key)
        fields = {name: getattr(record, name) for name in ("data", "format", "version")}
        times = {
            "created_at": min(created, accessed),
            "seen_at": accessed,
            "expires_at": time.time() + AGES.total_seconds(),
        }
        self.store.create(key, Record(**fields, **times))
        return cookie


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for module in {item.module for item in items if isinstance(item, pytest.Function)}:
        for name in ("TestBaseCookieSession", "TestSignedCookieSession"):
            if (case := getattr(module, name, None)) is not None:
                for method in ("setUp", "_manager", "_makeOne", "_serialize"):
                    setattr(case, method, vars(SuiteTests)[method])
        if module.__name__.endswith("test_csrf"):
            replace_dicts(module.DummyRequest)


def replace_dicts(request_class: Any) -> None:
    """Let the requests of the suite's CSRF tests have a session where they have a dict."""
    init = request_class.__init__

    def init_with_session(request: Any, registry: Any = None, session: Any = None) -> None:
        init(request, registry=registry, session=session)
        request.session = session

    def set_session(request: Any, session: Any) -> None:
        if isinstance(session, dict):
            values, session = session, PyramidSession(SessionManager("memory://", secret=SECRET).open(""))
            session.update(values)
            OPENED.append(session)
        vars(request)["session"] = session

    request_class.__init__ = init_with_session
    request_class.session = property(lambda request: vars(request)["session"], set_session)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    if any(session.is_loaded for session in OPENED):
        TESTS.add(item.nodeid)
    OPENED.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if report := os.environ.get("WSGI_SESSION_SUITE_REPORT"):
        Path(report).write_text(json.dumps(sorted(TESTS)), encoding="utf-8")
