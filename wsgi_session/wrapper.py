"""What every middleware of this package is: one WSGI application around another, which stays within reach."""

from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["Wrapper"]


class Wrapper:
    """A middleware around *app*, for the session under *environ_key*. The attributes of *app* stay reachable.

    Raises:
        ConfigError: *app* is no application, or *environ_key* no key of ours.
    """

    def __init__(self, app: "WSGIApplication", environ_key: str) -> None:
        if not callable(app):
            raise ConfigError(f"app must be a WSGI application, got {type(app).__name__}, which is not callable.")
        if not isinstance(environ_key, str) or not environ_key or environ_key.startswith("HTTP_"):
            raise ConfigError(
                f"environ_key must be a non-empty str that no request header makes (HTTP_...), got {environ_key!r}."
            )
        self.app = app
        self._environ_key = environ_key

    def __getattr__(self, name: str) -> Any:
        # Only reached for names that the middleware lacks. A copy has no "app" at first, and what Python asks of an
        # object under special names, it asks of the middleware: the application's __deepcopy__ would copy that alone.
        if name == "app" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.app, name)
