"""The base of every middleware of this package: one WSGI application around another, which stays reachable."""

import re
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["Wrapper", "checked_environ_key"]

# The keys that CGI, PEP 3333, servers and this package put into environ, and environment variables, which some servers
# copy there. What frameworks keep there would replace the session, or be replaced by it.
_RESERVED_KEY = re.compile(
    r"[A-Z0-9_]+|HTTP_.*|(?:wsgi|wsgiorg|werkzeug|gunicorn|uwsgi|mod_wsgi|webob)\..*|wsgi_session\.\..*", re.DOTALL
)

_BYPASSING: Final = frozenset(
    {"run", "run_server", "cli", "test_client", "test_cli_runner", "wsgi", "wsgi_app", "wsgifunc"}
)
"""Attributes of Flask, Bottle, Dash and web.py applications that serve or test the application itself."""


def checked_environ_key(environ_key: str) -> str:
    """Return *environ_key*. Raises ``ConfigError`` if a session cannot be there."""
    if not isinstance(environ_key, str) or not environ_key or _RESERVED_KEY.fullmatch(environ_key):
        raise ConfigError(
            "environ_key must be a non-empty str that no server, request header (HTTP_...) or framework uses in "
            f"environ, such as 'session' or 'shop.session'; got {environ_key!r}."
        )
    return environ_key


class Wrapper:
    """A middleware around *app*, for the session under *environ_key*. The attributes of *app* stay reachable.

    Except those that would serve or test *app* without the middleware: they raise ``AttributeError`` with the line to
    write instead.

    Raises:
        ConfigError: *app* is not callable, or *environ_key* is not allowed.
    """

    def __init__(self, app: "WSGIApplication", environ_key: str) -> None:
        if not callable(app):
            raise ConfigError(f"app must be a WSGI application, got {type(app).__name__}, which is not callable.")
        self.app = app
        self.environ_key = checked_environ_key(environ_key)

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that the middleware lacks. A copy has no "app" at first. Python looks up special names
        # for the middleware itself: the application's __deepcopy__ would copy the application alone.
        if name == "app" or name.startswith("__"):
            raise AttributeError(name)
        if name in _BYPASSING:
            self._require_no_bypass(name)
        return getattr(self.app, name)

    def _require_no_bypass(self, name: str) -> None:
        layers: list[str] = [type(self).__name__]
        innermost: Any = self.app
        while isinstance(innermost, Wrapper):
            layers, innermost = [*layers, type(innermost).__name__], innermost.app
        if not hasattr(innermost, name):
            return
        if hasattr(innermost, "wsgi_app"):
            wrapped = f"{'('.join(layers)}(app.wsgi_app{')' * len(layers)}"
            remedy = f"With the Flask application in app, write app.wsgi_app = {wrapped}; then app.{name} has sessions."
        else:
            remedy = (
                "Serve the middleware itself, as in werkzeug.serving.run_simple(host, port, application), and test it "
                "with werkzeug.test.Client(application)."
            )
        raise AttributeError(
            f"{layers[0]} has no {name!r}: that of the wrapped {type(innermost).__name__} bypasses the middleware. "
            f"{remedy}"
        )
