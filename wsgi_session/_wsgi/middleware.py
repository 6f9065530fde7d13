"""Environ in, ``start_response`` and ``close()`` wrapped (PEP 3333). Knows the order of events, no session policy."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

from .._common.options import checks_options
from .._http.cookie import Cookie
from .._http.headers import Headers
from .._manager.lifetime import Lifetime
from .._manager.manager import SessionManager
from .._manager.outcome import Outcome
from .._manager.registry import SessionRegistry
from .._session.session import Session, transaction_of
from .._values.codec import Codec
from ..errors import ConfigError, HeadersSent, StoreConflict, StoreUnavailable
from ..events import Event
from ..stores.contract import Store
from ..stores.memory import MemoryStore
from .wrapper import Wrapper

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["SessionMiddleware", "get_session"]

logger = logging.getLogger("wsgi_session")

COOKIE_NAMES: Final = "wsgi_session..cookie_names"
"""Where in environ the names of the session cookies stand. Two dots: no environ_key without a dot makes this name."""

_UNAVAILABLE_BODY: Final = b"The service is temporarily unavailable. Please try again in a moment.\n"
_UNAVAILABLE_HEADERS: Final = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(_UNAVAILABLE_BODY))),
    ("Cache-Control", "no-store"),
    ("Retry-After", "5"),
    ("X-Content-Type-Options", "nosniff"),
)


@checks_options
class SessionMiddleware(Wrapper):
    """Gives *app* a session in ``environ["session"]``, safe by default and free when it is not used.

    Args:
        app: Any WSGI application. Its attributes stay reachable through the middleware, but for those that would serve
            or test it without (Flask's ``run``, ``test_client``, ``wsgi_app``).
        store: A store, or its URL (see :func:`~wsgi_session.stores.store_from_url`). Default: the URL in the
            environment variable ``WSGI_SESSION_STORE``, else ``sqlite:///wsgi-session.sqlite3``.
        secret: Signs the cookies: one secret or up to five, newest first, each at least 32 bytes. A list, or a text
            in which white space separates them, as in the environment variable ``WSGI_SESSION_SECRET``, which is the
            default. White space around a secret never counts. Make one with ``wsgi-session keygen``.
        cookie: How the cookie looks.
        lifetime: When sessions end.
        codec: How values become bytes.
        environ_key: Where the session stands in ``environ``; also under ``"wsgi_session." + environ_key`` unless the
            key has a dot of its own.
        on_event: Called with every :class:`~wsgi_session.Event`. What it raises is logged and harms nothing.
        clock: Returns the time in Unix seconds. Default: ``time.time``, looked up at each call.

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
    ) -> None:
        super().__init__(app, environ_key)
        self._house_key = _house_key(environ_key)
        self._manager = SessionManager(
            store, secret=secret, cookie=cookie, lifetime=lifetime, codec=codec, on_event=on_event, clock=clock
        )
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

        For tests and short programs: a process that ends releases them anyway. A later request opens them again.
        """
        self._manager.close()

    def handle(self) -> SessionRegistry:
        """Return the registry of all sessions in the store: list, count, revoke, sweep."""
        return self._manager.handle()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request."""
        session = self._manager.open(environ.get("HTTP_COOKIE", ""))
        self._introduce(session, environ)
        return _Response(self._manager, session, environ, start_response).run(self.app)

    def _introduce(self, session: Session, environ: "WSGIEnvironment") -> None:
        """Put *session* in *environ*, unless somebody else's is there."""
        if COOKIE_NAMES in environ or self._environ_key in environ or self._house_key in environ:
            environ[COOKIE_NAMES] = (*self._names_of_others(environ), self._cookie_name)
        else:
            environ[COOKIE_NAMES] = self._cookie_names
        environ[self._environ_key] = environ[self._house_key] = session
        if self._is_memory and environ.get("wsgi.multiprocess"):
            self._is_memory = False
            logger.warning(
                "MemoryStore under a server with several processes: each has sessions of its own, so users are logged "
                "out at random. Use the default store, or one that the processes share."
            )

    def _names_of_others(self, environ: "WSGIEnvironment") -> tuple[str, ...]:
        """Return the cookie names of the session middlewares around this one."""
        cookie_names: tuple[str, ...] = environ.get(COOKIE_NAMES, ())
        if self._environ_key in environ or self._house_key in environ:
            former = environ.get(self._house_key)
            # A middleware that repeats a request calls again with the same environ: that session has ended.
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
    """Return the session that stands in *environ*, typed.

    Args:
        environ: The WSGI environment of a request.
        environ_key: The ``environ_key`` of the middleware.

    Raises:
        ConfigError: There is none: the application is not wrapped in a ``SessionMiddleware`` with this key.

    .. versionadded:: 1.0
    """
    session = environ.get(_house_key(environ_key))
    if not isinstance(session, Session):
        raise ConfigError(
            f"no session under environ_key={environ_key!r}. Wrap the application: SessionMiddleware(app, ...)."
        )
    return session


def _house_key(environ_key: str) -> str:
    # wsgiref.validate allows only strings under names without a dot.
    return environ_key if "." in environ_key else f"wsgi_session.{environ_key}"


def _write_too_late(_data: bytes) -> None:
    raise HeadersSent("write() came after a 503 took the place of the response: the session store did not answer.")


class _Response:
    """One response: holds the head back until the application has done what the head depends on.

    The head leaves with the first chunk of the body (even an empty one), at its end, or with ``write()``; for a list,
    a file or what is no body at all, when the application returns. Iterating over this object is iterating over the
    application's body.
    """

    def __init__(
        self, manager: SessionManager, session: Session, environ: "WSGIEnvironment", server_start: "StartResponse"
    ) -> None:
        self._manager = manager
        self._session = session
        self._transaction = transaction_of(session)
        self._environ = environ
        self._server_start = server_start
        # Empty until the application returns, and for good if it raises.
        self._app_iter: Iterable[bytes] = ()
        # None until the server asks for the first chunk.
        self._chunks: Iterator[bytes] | None = None
        # What the application gave to start_response(), the last time; None until it calls that.
        self._status: str | None = None
        self._headers: Headers = []
        self._exc_info: ExcInfo | None = None
        # None while the session is not used.
        self._outcome: Outcome | None = None
        # Whether the commit is done on which the headers depend, and they are for the server to send.
        self._is_sent = False
        # What the server returned for them; until then, only a response that a 503 replaced can call it.
        self._server_write: Callable[[bytes], object] = _write_too_late
        # Whether the server's start_response() accepted headers of the application.
        self._is_started = False
        # Whether the application raised, or its body did.
        self._is_failed = False
        # Whether the application's body is closed, which happens once.
        self._is_closed = False

    def run(self, app: "WSGIApplication") -> Iterable[bytes]:
        """Call *app* and return what the server gets: the application's own body where nothing more can happen."""
        try:
            self._app_iter = app(self._environ, self._start)
            if not self._is_passed_on(self._app_iter):
                body = self if self._is_server_patient() else self._with_head()
                return _Sized(body, self._app_iter) if hasattr(self._app_iter, "__len__") else body
            self._finish()
        except StopIteration:
            # The application took the connection over, for a WebSocket, and is done: so it tells gunicorn.
            self._end_taken_over()
            raise
        except BaseException as error:  # noqa: BLE001  raised again, or answered for
            return self._rescue(error)
        return self._app_iter

    # --- what the application calls ----------------------------------------------------------------------------------

    def _start(self, status: str, headers: Headers, exc_info: "ExcInfo | None" = None, /) -> Callable[[bytes], object]:
        if self._status is not None and not exc_info:
            raise AssertionError("start_response() was called twice without exc_info (PEP 3333)")
        self._status, self._headers, self._exc_info = status, headers, exc_info
        if self._is_sent:
            # Our commit stands, so its cookie goes with the new head too, unless the server says it is too late.
            self._forward()
        return self._write

    def _write(self, data: bytes) -> None:
        if not self._is_sent:
            self._commit_head()
        self._server_write(data)

    # --- what the server calls ---------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._chunks is None:
                self._chunks = iter(self._app_iter)
            chunk = next(self._chunks, None)
            if not self._is_sent and self._status is not None:
                self._commit_head()
            if chunk is None:
                # Before the server tells the browser that this was all, so that its next request finds it.
                self._commit_late()
        except BaseException as error:  # noqa: BLE001  raised again, or answered for
            self._chunks = iter(self._rescue(error))
            chunk = next(self._chunks, None)
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Close the application's body once, then save what was changed after the head left."""
        try:
            self._close_app()
        except BaseException:
            self._is_failed = True
            raise
        finally:
            self._commit_late(is_over=True)

    # --- the head ----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Commit for a body that is passed on as it is: nothing is heard of it again."""
        if self._is_sent or self._status is None:
            self._commit_late(is_over=True)
        else:
            self._commit_head(is_over=True)

    def _commit_head(self, *, is_over: bool = False) -> None:
        """Commit, then let the head leave: the browser is told of nothing that the store does not have."""
        if not self._transaction.pass_unused(is_final=is_over):
            status = _status_code(self._status)
            if status >= 500 and self._transaction.failure is not None:
                raise self._transaction.failure
            self._outcome = self._commit(status, can_tell=True, is_over=is_over)
        self._is_sent = True
        self._forward()

    def _forward(self) -> None:
        headers = self._headers
        if self._outcome is None and self._transaction.state is not None:
            self._outcome = Outcome(self._session)  # first used between the head and this new one
        if self._outcome is None:
            self._transaction.remember_headers(headers)  # as an outcome would, which most requests need not make
        else:
            headers = self._outcome.apply(headers)
        exc_info, self._exc_info = self._exc_info, None
        # Before the head is out there is nothing to restart, and uWSGI mistakes exc_info for a failure.
        if exc_info and self._is_started:
            self._server_write = self._server_start(self._status or "", headers, exc_info)
        else:
            self._server_write = self._server_start(self._status or "", headers)
        self._is_started = True

    # --- the end -----------------------------------------------------------------------------------------------------

    def _commit_late(self, *, is_over: bool = False) -> None:
        """Commit what can be committed without a cookie: the head has left, or never will."""
        transaction = self._transaction
        if not (transaction.is_closed or transaction.pass_unused(is_final=is_over)):
            status = None if self._is_failed else _status_code(self._status)
            self._commit(status, can_tell=False, is_over=is_over)

    def _commit(self, status: int | None, *, can_tell: bool, is_over: bool) -> Outcome:
        is_https = self._environ.get("wsgi.url_scheme") == "https"
        return self._manager.commit(self._session, status=status, is_https=is_https, can_tell=can_tell, is_over=is_over)

    def _end_taken_over(self) -> None:
        """Commit for a connection on which no response can be sent: what fails is for the log alone."""
        try:
            self._commit_late(is_over=True)
        except Exception:
            logger.exception("What a connection that was taken over did to its session could not be stored.")

    def _rescue(self, error: BaseException) -> Iterable[bytes]:
        """End a response that failed with *error*: a 503 if the store is the reason and the head is still here."""
        self._is_failed = True
        self._exc_info = None
        try:
            self._close_app()
        except Exception:
            logger.exception("The application's body failed to close, after %s.", type(error).__name__)
        failure: BaseException | None = self._transaction.failure
        if isinstance(error, StoreUnavailable | StoreConflict):
            failure = error
        outcome: Outcome | None = None
        is_answerable = not self._is_sent and isinstance(error, Exception)
        try:
            # Also after a commit that failed, the last one: what save() committed is still to be sent, or withdrawn.
            outcome = self._commit(None, can_tell=is_answerable and failure is not None, is_over=True)
        except StoreUnavailable as late_failure:
            failure = late_failure
        if failure is None or not is_answerable:
            raise error
        if not isinstance(error, StoreUnavailable | StoreConflict):
            logger.error("The application failed after its session store did, and is answered for.", exc_info=error)
        self._is_sent = True
        headers = list(_UNAVAILABLE_HEADERS)
        if outcome is not None and outcome.set_cookie is not None:
            headers = outcome.apply(headers)
        self._server_start("503 Service Unavailable", headers)
        return [] if self._environ.get("REQUEST_METHOD") == "HEAD" else [_UNAVAILABLE_BODY]

    def _close_app(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            close = getattr(self._app_iter, "close", None)
            if close is not None:
                close()

    def _is_server_patient(self) -> bool:
        # PEP 3333 lets start_response() wait for the first chunk. Granian wants it before the application returns.
        return not str(self._environ.get("SERVER_SOFTWARE", "")).startswith("Granian")

    def _with_head(self) -> "_Response":
        """Take the first chunk now, so that the head leaves, and give it back as the first of this body."""
        first = next(self, None)
        if first is not None and self._chunks is not None:
            self._chunks = chain((first,), self._chunks)
        return self

    def _is_passed_on(self, app_iter: object) -> bool:
        """Return whether the server must get this very object: to see its length, or to send a file by itself."""
        if isinstance(app_iter, (list, tuple)):
            return True
        file_wrapper = self._environ.get("wsgi.file_wrapper")
        if isinstance(file_wrapper, type):
            is_file = isinstance(app_iter, file_wrapper)
        else:
            # On some servers the wrapper is a function that returns the file.
            is_file = file_wrapper is not None and hasattr(app_iter, "read")
        return is_file or _is_no_body(app_iter)


class _Sized:
    """A response to a body that has a length. PEP 3333: of one chunk alone a server makes the ``Content-Length``."""

    __slots__ = ("_body", "_response")

    def __init__(self, response: _Response, body: Any) -> None:
        self._response = response
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def __len__(self) -> int:
        return len(self._body)

    def close(self) -> None:
        """Do what the response does."""
        self._response.close()


def _is_no_body(app_iter: object) -> bool:
    """Return whether *app_iter* only says something to the server, as gunicorn's ``ALREADY_HANDLED`` does."""
    # It is recognised by identity, so it must arrive as it is. None is a forgotten return, for the server to fail on.
    return not (hasattr(app_iter, "__iter__") or hasattr(app_iter, "__getitem__") or app_iter is None)


def _status_code(status: str | None) -> int:
    # Whether it is a valid status line at all is for the server to judge.
    try:
        return int(status[:3])  # type: ignore[index]  # None and anything else end below
    except (TypeError, ValueError):
        return 200
