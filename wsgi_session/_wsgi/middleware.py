"""Environ in, ``start_response`` and ``close()`` wrapped (PEP 3333). Knows the order of events, no session policy."""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Self

from .._common.options import checks_options
from .._http.cookie import Cookie
from .._manager.lifetime import Lifetime
from .._manager.manager import SessionManager
from .._manager.registry import SessionRegistry
from .._session.session import Session, transaction_of
from .._values.codec import Codec
from ..errors import ConfigError
from ..events import Event
from ..stores.contract import Store
from ..stores.memory import MemoryStore
from .response import Response
from .wrapper import Wrapper

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["SessionMiddleware", "get_session"]

logger = logging.getLogger("wsgi_session")

COOKIE_NAMES: Final = "wsgi_session..cookie_names"
"""Where environ has the names of the session cookies. Two dots: no environ_key without a dot makes this name."""

_OF_A_MANAGER: Final = ("store", "secret", "cookie", "lifetime", "codec", "on_event", "clock", "user_key")
"""The options that a middleware passes on to its manager."""


@checks_options
class SessionMiddleware(Wrapper):
    """Gives *app* a session in ``environ["session"]``, safe by default and free when it is not used.

    Args:
        app: Any WSGI application. Its attributes stay reachable through the middleware, except those that would serve
            or test it without (Flask's ``run``, ``test_client``, ``wsgi_app``).
        store: A store, or its URL (see :func:`~wsgi_session.stores.store_from_url`). Default: the URL in the
            environment variable ``WSGI_SESSION_STORE``, else ``sqlite:///wsgi-session.sqlite3``.
        secret: Signs the cookies: one secret or up to five, newest first, each at least 32 bytes. A list, or a text
            in which white space separates them, as in the environment variable ``WSGI_SESSION_SECRET``, which is the
            default. White space around a secret never counts. Make one with ``wsgi-session keygen``.
        cookie: How the cookie looks.
        lifetime: When sessions end.
        codec: How values become bytes.
        environ_key: Where the session is in ``environ``; also under ``"wsgi_session." + environ_key`` unless the
            key has a dot of its own.
        on_event: Called with every :class:`~wsgi_session.Event`. We log what it raises and go on.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.
        user_key: The key under which the application, or its framework, writes the id of the user who logged in
            (Flask-Login and Django: ``"_user_id"`` and ``"_auth_user_id"``). When it writes another user's, the
            session gets a fresh id, belongs to that user, and its absolute limit starts again; of what an earlier user
            left, only what this request has set remains. When it removes the key, the session gets a fresh id and
            belongs to nobody. Such an id is a ``str``, ``int`` or ``UUID`` of 1 to 255 characters; anything else raises
            ``EncodeError`` at that line.
        manager: Opens and commits the sessions, instead of one made from the other options: they belong to it then,
            all but *environ_key*. For sharing sessions with a framework adapter.

    Raises:
        ConfigError: An option is not allowed; the text names the option and the remedy. Also on the first request
            if another middleware uses the same environ key or cookie name.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        app: "WSGIApplication",
        store: Store | str | None = None,
        *,
        secret: str | bytes | Sequence[str | bytes] | None = None,
        cookie: Cookie | None = None,
        lifetime: Lifetime | None = None,
        codec: Codec | None = None,
        environ_key: str = "session",
        on_event: Callable[[Event], None] | None = None,
        clock: Callable[[], float] | None = None,
        user_key: str | None = None,
        manager: SessionManager | None = None,
    ) -> None:
        super().__init__(app, environ_key)
        self._namespaced_key = _namespaced_key(environ_key)
        if manager is None:
            manager = SessionManager(
                store,
                secret=secret,
                cookie=cookie,
                lifetime=lifetime,
                codec=codec,
                on_event=on_event,
                clock=clock,
                user_key=user_key,
            )
        else:
            options = zip(
                _OF_A_MANAGER, (store, secret, cookie, lifetime, codec, on_event, clock, user_key), strict=True
            )
            _check_shared(manager, [name for name, option in options if option is not None])
        self._manager = manager
        self._cookie_name = self._manager.cookie.wire_name
        self._cookie_names = (self._cookie_name,)
        self._is_memory = isinstance(self._manager.store, MemoryStore)

    def __repr__(self) -> str:
        return f"<SessionMiddleware around {self.app!r} with {self._manager.store!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Release what the store holds, connections and files; also at the end of a ``with`` block.

        For tests and short programs: a process that ends releases them anyway. A later request opens them again. A
        shared manager is closed, too.
        """
        self._manager.close()

    def handle(self) -> SessionRegistry:
        """Return the registry of all sessions in the store: list, count, revoke, sweep."""
        return self._manager.handle()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request."""
        session = self._manager.open(environ.get("HTTP_COOKIE", ""))
        self._place_in_environ(session, environ)
        return Response(self._manager, session, environ, start_response).run(self.app)

    def _place_in_environ(self, session: Session, environ: "WSGIEnvironment") -> None:
        """Put *session* in *environ*, unless another middleware's is there."""
        if COOKIE_NAMES in environ or self._environ_key in environ or self._namespaced_key in environ:
            environ[COOKIE_NAMES] = (*self._outer_cookie_names(environ), self._cookie_name)
        else:
            environ[COOKIE_NAMES] = self._cookie_names
        environ[self._environ_key] = environ[self._namespaced_key] = session
        if self._is_memory and environ.get("wsgi.multiprocess"):
            self._is_memory = False
            logger.warning(
                "MemoryStore under a server with several processes: each has sessions of its own, so users are logged "
                "out at random. Use the default store, or one that the processes share."
            )

    def _outer_cookie_names(self, environ: "WSGIEnvironment") -> tuple[str, ...]:
        """Return the cookie names of the session middlewares around this one."""
        cookie_names: tuple[str, ...] = environ.get(COOKIE_NAMES, ())
        if self._environ_key in environ or self._namespaced_key in environ:
            former = environ.get(self._namespaced_key)
            # A middleware that repeats a request calls again with the same environ: that session is closed.
            if not isinstance(former, Session) or not transaction_of(former).is_closed:
                raise ConfigError(
                    f"environ[{self._environ_key!r}] is taken by another middleware. "
                    "Give one of them another environ_key."
                )
            cookie_names = tuple(name for name in cookie_names if name != self._cookie_name)
        if self._cookie_name in cookie_names:
            raise ConfigError(
                f"two session middlewares around one application use the cookie name {self._cookie_name!r}. "
                "Give one of them another Cookie(name=...)."
            )
        return cookie_names


def get_session(environ: "WSGIEnvironment", environ_key: str = "session") -> Session:
    """Return the session in *environ*, typed.

    Args:
        environ: The WSGI environment of a request.
        environ_key: The ``environ_key`` of the middleware.

    Raises:
        ConfigError: There is none: the application is not wrapped in a ``SessionMiddleware`` with this key.

    .. versionadded:: 1.0
    """
    session = environ.get(_namespaced_key(environ_key))
    if not isinstance(session, Session):
        raise ConfigError(
            f"no session under environ_key={environ_key!r}. Wrap the application: SessionMiddleware(app, ...)."
        )
    return session


def _check_shared(manager: SessionManager, given: list[str]) -> None:
    """Raise ``ConfigError`` unless *manager* is one, and no option that it brings itself is *given* beside it."""
    # The error does not quote *manager*: what stands in its place by mistake may be a URL with a password.
    if not isinstance(manager, SessionManager):
        raise ConfigError(f"manager must be a SessionManager, got an object of type {type(manager).__name__}.")
    if given:
        raise ConfigError(
            f"SessionMiddleware takes either manager or {', '.join(given)}: "
            f"write manager=SessionManager({', '.join(f'{name}=...' for name in given)})."
        )


def _namespaced_key(environ_key: str) -> str:
    # wsgiref.validate allows only strings under names without a dot.
    return environ_key if "." in environ_key else f"wsgi_session.{environ_key}"
