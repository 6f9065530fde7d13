"""Environ in, ``start_response`` and ``close()`` wrapped (PEP 3333). Knows the order of events, no session policy."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from .._common.dispatcher import OnEvent
from .._common.options import checks_options
from .._http.cookie import Cookie
from .._manager.capture import Captured
from .._manager.manager import SessionManager
from .._manager.registry import SessionRegistry
from .._manager.rules import Overflow
from .._session.lifetime import Lifetime
from .._session.session import Session, transaction_of
from .._values.codec import Codec
from ..errors import ConfigError
from ..stores.contract import Store
from ..stores.memory import MemoryStore
from .response import Response
from .wrapper import Wrapper

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from ..importers.importer import Importer

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["SessionMiddleware", "client_of", "get_session"]

logger = logging.getLogger("wsgi_session")

COOKIE_NAMES: Final = "wsgi_session..cookie_names"
"""Where environ has the names of the session cookies. Two dots: no environ_key without a dot makes this name."""


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
        codec: How one value becomes bytes.
        environ_key: Where the session is in ``environ``; also under ``"wsgi_session." + environ_key`` unless the
            key has a dot of its own.
        on_event: Called with every :class:`~wsgi_session.Event`: one callable, or a list, such as
            ``[metrics, audit]``. We log what one raises and go on.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.
        max_bytes: How many bytes all values of one session may have together, as stored: 64 KiB by default, at most
            1 MiB. What has more raises ``SessionTooLarge`` at the commit.
        user_key: The key under which the application, or its framework, writes the id of the user who logged in
            (Flask-Login and Django: ``"_user_id"`` and ``"_auth_user_id"``). When it writes another user's, the
            session gets a fresh id, belongs to that user, and its absolute limit starts again; of what an earlier user
            left, only what this request has set remains. When it removes the key, the session gets a fresh id and
            belongs to nobody. Such an id is a ``str``, ``int`` or ``UUID`` of 1 to 255 characters; anything else raises
            ``EncodeError`` at that line.
        importers: What carries over the sessions that another library made, once, within a stated period: see
            :mod:`wsgi_session.importers`. Default: none.
        max_sessions_per_user: How many live sessions one user may have; ``None``: any number. Needs a store that can
            find them: any but Memcached.
        overflow: What happens at a login beyond that: ``"evict_oldest"`` (the default) ends the session whose login is
            the longest ago; ``"refuse"`` raises ``TooManySessions`` where the application logs the user in.
        capture: What a login notes of where it came from, for a list of the user's devices: ``"user_agent"`` (the names
            of the browser and of the system; needs ``pip install wsgi-session-middleware[devices]``), ``"address"``
            (the first 24 bits of ``REMOTE_ADDR``, 48 of an IPv6 address). Default: nothing.
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
        on_event: OnEvent | None = None,
        clock: Callable[[], float] | None = None,
        max_bytes: int | None = None,
        user_key: str | None = None,
        importers: "Sequence[Importer] | None" = None,
        max_sessions_per_user: int | None = None,
        overflow: Overflow | None = None,
        capture: Sequence[Captured] | None = None,
        manager: SessionManager | None = None,
    ) -> None:
        super().__init__(app, environ_key)
        self._namespaced_key = _namespaced_key(environ_key)
        options: dict[str, Any] = {
            "store": store,
            "cookie": cookie,
            "lifetime": lifetime,
            "codec": codec,
            "on_event": on_event,
            "clock": clock,
            "max_bytes": max_bytes,
            "user_key": user_key,
            "importers": importers,
            "max_sessions_per_user": max_sessions_per_user,
            "overflow": overflow,
            "capture": capture,
        }
        self._manager = manager = _chosen_manager(manager, secret, options)
        self._cookie_name, self._is_memory = manager.cookie.wire_name, isinstance(manager.store, MemoryStore)
        self._cookie_names = (self._cookie_name,)

    def __repr__(self) -> str:
        return f"<SessionMiddleware around {self.app!r} with {self._manager.store!r}>"

    @property
    def manager(self) -> SessionManager:
        """What opens and commits the sessions: the one that was given, or one made from the options."""
        return self._manager

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
        cookie_header = environ.get("HTTP_COOKIE", "")
        if self._manager.captures:
            session = self._manager.open(cookie_header, **client_of(environ, self._manager))
        else:
            session = self._manager.open(cookie_header)
        self._place_in_environ(session, environ)
        return Response(self._manager, session, environ, start_response).run(self.app)

    def _place_in_environ(self, session: Session, environ: "WSGIEnvironment") -> None:
        """Put *session* in *environ*, unless another middleware's is there."""
        if COOKIE_NAMES in environ or self.environ_key in environ or self._namespaced_key in environ:
            environ[COOKIE_NAMES] = (*self._outer_cookie_names(environ), self._cookie_name)
        else:
            environ[COOKIE_NAMES] = self._cookie_names
        environ[self.environ_key] = environ[self._namespaced_key] = session
        if self._is_memory and environ.get("wsgi.multiprocess"):
            self._is_memory = False
            logger.warning(
                "MemoryStore under a server with several processes: each has sessions of its own, so users are logged "
                "out at random. Use the default store, or one that the processes share."
            )

    def _outer_cookie_names(self, environ: "WSGIEnvironment") -> tuple[str, ...]:
        """Return the cookie names of the session middlewares around this one."""
        cookie_names: tuple[str, ...] = environ.get(COOKIE_NAMES, ())
        if self.environ_key in environ or self._namespaced_key in environ:
            former = environ.get(self._namespaced_key)
            # A middleware that repeats a request calls again with the same environ: that session is closed.
            if not isinstance(former, Session) or not transaction_of(former).is_closed:
                raise ConfigError(
                    f"environ[{self.environ_key!r}] is taken by another middleware. "
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


def client_of(environ: "Mapping[str, Any]", manager: SessionManager) -> dict[str, str | None]:
    """Return what ``open()`` of *manager* is to know of the client of a request; empty if no login notes it."""
    if not manager.captures:
        return {}
    # No header but this one: who sends Forwarded may write into it what they like. ProxyFix sets REMOTE_ADDR.
    return {"user_agent": environ.get("HTTP_USER_AGENT"), "address": environ.get("REMOTE_ADDR")}


def _chosen_manager(manager: SessionManager | None, secret: Any, options: dict[str, Any]) -> SessionManager:
    """Return *manager*, or one with those of *options* that are not ``None``; ``ConfigError`` if both are given."""
    # Error trackers show local variables, and hide a secret only under its own name: it is none of the options.
    given = {name: option for name, option in options.items() if option is not None}
    if manager is None:
        return SessionManager(secret=secret, **given)
    # The error does not quote *manager*: what stands in its place by mistake may be a URL with a password.
    if not isinstance(manager, SessionManager):
        raise ConfigError(f"manager must be a SessionManager, got an object of type {type(manager).__name__}.")
    names = list(given) if secret is None else [*given, "secret"]
    if names:
        raise ConfigError(
            f"SessionMiddleware takes either manager or {', '.join(names)}: "
            f"write manager=SessionManager({', '.join(f'{name}=...' for name in names)})."
        )
    return manager


def _namespaced_key(environ_key: str) -> str:
    # wsgiref.validate allows only strings under names without a dot.
    return environ_key if "." in environ_key else f"wsgi_session.{environ_key}"
