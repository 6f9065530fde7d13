"""A Bottle plugin that hands the session to the views. :class:`~wsgi_session.SessionMiddleware` does all the rest.

Bottle's ``redirect()`` and ``abort()`` raise the response, which so loses whatever a plugin would add to it. So the
middleware around the application commits the session and sets the cookie, and this plugin only looks.
"""

import keyword as grammar
from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from typing import Any

from bottle import BaseRequest, Bottle, PluginError, Route, request  # type: ignore[import-untyped]  # no types there

from .._common.options import checks_options
from .._wsgi.middleware import get_session
from .._wsgi.wrapper import checked_environ_key
from ..errors import ConfigError

__all__ = ["SessionPlugin"]


@checks_options
class SessionPlugin:
    """Puts the session into ``bottle.request.session``, and passes it to each view with a parameter ``session``.

    The application must be wrapped: ``SessionMiddleware(app)``. It reads nothing: that happens at the first use.

    Args:
        environ_key: The ``environ_key`` of the middleware.
        keyword: The name of the parameter, and of the attribute of ``bottle.request``. A wildcard of that name in a
            route keeps its meaning for the view.

    Raises:
        ConfigError: An option is not allowed; the text names it. In a request, if the application is not wrapped.

    .. versionadded:: 1.0
    """

    name = "wsgi_session"
    api = 2

    def __init__(self, *, environ_key: str = "session", keyword: str = "session") -> None:
        if not isinstance(keyword, str) or not keyword.isidentifier() or grammar.iskeyword(keyword):
            raise ConfigError(f"keyword must be the name of a parameter, such as 'session'; got {keyword!r}.")
        if hasattr(BaseRequest, keyword):
            raise ConfigError(f"keyword must not be {keyword!r}: bottle.request.{keyword} is Bottle's own.")
        self.environ_key = checked_environ_key(environ_key)
        self.keyword = keyword

    def setup(self, app: Bottle) -> None:
        """Bottle calls this at ``app.install()``.

        Raises:
            bottle.PluginError: Another plugin of *app* has this keyword.
        """
        if any(getattr(plugin, "keyword", None) == self.keyword for plugin in app.plugins):
            raise PluginError(f"two plugins pass {self.keyword!r} to the views. Give one of them another keyword.")

    def apply(self, callback: Callable[..., Any], route: Route) -> Callable[..., Any]:
        """Bottle calls this once for each route, and then what it returns in the place of *callback*."""
        name, is_wanted = self.keyword, _takes(route.callback, self.keyword)

        def with_session(*args: Any, **kwargs: Any) -> Any:
            session = get_session(request.environ, self.environ_key)
            # Bottle sets an attribute only once, and a middleware that repeats a request has the same environ again.
            with suppress(AttributeError):
                delattr(request, name)
            setattr(request, name, session)
            if is_wanted:
                kwargs.setdefault(name, session)
            return callback(*args, **kwargs)

        return with_session


def _takes(view: Callable[..., Any], name: str) -> bool:
    """Return whether *view* has a parameter *name*: decorators that use ``functools.wraps`` do not hide it."""
    # Bottle's own get_callback_args() takes any function that a view closes over for the view itself.
    try:
        return name in signature(view).parameters
    except (TypeError, ValueError):
        return False  # written in C
