"""Falcon middleware that hands the session to the resources. The middleware around the application does all the rest.

Falcon calls ``process_response()`` before a body is streamed, and never for what fails outside of its ``App``. So
:class:`~wsgi_session.SessionMiddleware` commits the session and sets the cookie, and this component only looks.
"""

from typing import TYPE_CHECKING, NoReturn

from .._common.options import checks_options
from .._wsgi.middleware import get_session
from .._wsgi.wrapper import checked_environ_key
from ..errors import ConfigError

if TYPE_CHECKING:
    from falcon import Request, Response

__all__ = ["SessionComponent"]


@checks_options
class SessionComponent:
    """Puts the session into ``req.context.session``: ``falcon.App(middleware=[SessionComponent()])``.

    The application must be wrapped: ``SessionMiddleware(app)``. It reads nothing: that happens at the first use.

    Args:
        environ_key: The ``environ_key`` of the middleware.

    Raises:
        ConfigError: An option is not allowed; the text names it. When a ``falcon.asgi.App`` gets it, since sessions are
            for WSGI. In a request, if the application is not wrapped.

    .. versionadded:: 1.0
    """

    def __init__(self, *, environ_key: str = "session") -> None:
        self.environ_key = checked_environ_key(environ_key)

    def process_request(self, req: "Request", _resp: "Response") -> None:
        """Falcon calls this before it looks for the resource."""
        req.context.session = get_session(req.env, self.environ_key)

    @property
    def process_request_async(self) -> NoReturn:
        """What an ASGI application looks for while it is made, so it is refused there and not in each request."""
        raise ConfigError(
            "SessionComponent is for falcon.App, which speaks WSGI; an application of falcon.asgi cannot have it."
        )
