"""One response: its headers are held back until the session is committed (PEP 3333).

Theory of operation
-------------------

The cookie depends on everything that the application does to its session before the first byte of the body. So the
headers that the application passes to ``start_response()`` wait here until the store has the session. A response is in
one of four states:

- *new*: the application has not called ``start_response()``;
- *held*: it has, and its status and headers wait;
- *sent*: the session is committed, and the server has the headers with the cookie;
- *closed*: the server called ``close()``, and the last commit is done.

For a list, a file or an object that is no body, all of this happens when the application returns: the server gets that
very object and calls nothing here. For any other body the server calls this object. Then this happens, in this order:

===============================  =====================  =====================  =====================  ==============
happening                        new                    held                   sent                   closed
===============================  =====================  =====================  =====================  ==============
start_response()                 nothing                raise                  raise                  raise
start_response(exc_info)         nothing                nothing                send again             send again
write()                          -                      commit, send, data     data                   data
a chunk                          data                   commit, send, data     data                   -
a chunk, the store is down       data                   close, send 503, data  data                   -
the end                          commit, end            commit, send, end      commit, end            -
the end, the store is down       close, send 503, data  close, send 503, data  close, raise           -
the body raises                  close, raise           close, raise           close, raise           -
the store fails the body         close, send 503, data  close, send 503, data  close, raise           -
close()                          close, commit          close, commit          close, commit          nothing
===============================  =====================  =====================  =====================  ==============

*send* is the server's ``start_response()``. In *held* its headers carry the cookie, and *send again* carries the same
one. A *commit* after the headers were sent stores what needs no cookie. An exception goes on to the server, unless the
store failed before the headers were sent: then our 503 replaces the response.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Final

from .._http.headers import Headers
from .._manager.manager import SessionManager
from .._manager.outcome import Outcome
from .._session.session import Session, transaction_of
from ..errors import HeadersSent, StoreConflict, StoreUnavailable
from .body import Sized, is_passthrough

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

__all__ = ["Response"]

logger = logging.getLogger("wsgi_session")

_UNAVAILABLE_BODY: Final = b"The service is temporarily unavailable. Please try again in a moment.\n"
_UNAVAILABLE_HEADERS: Final = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(_UNAVAILABLE_BODY))),
    ("Cache-Control", "no-store"),
    ("Retry-After", "5"),
    ("X-Content-Type-Options", "nosniff"),
)


def _write_too_late(_data: bytes) -> None:
    raise HeadersSent("write() came after a 503 took the place of the response: the session store did not answer.")


class Response:
    """One response, in one of the states above. Iterating over it iterates over the application's body.

    The headers are sent with the first chunk of the body (even an empty one), at its end, or with ``write()``.
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
        # Whether the session was committed for the headers, so that the server may have them.
        self._is_sent = False
        # What the server's start_response() returned; before that, only a response that a 503 replaced calls it.
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
            if not is_passthrough(self._app_iter, self._environ):
                body = self if self._may_start_late() else self._start_early()
                return Sized(body, self._app_iter) if hasattr(self._app_iter, "__len__") else body
            self._finish()
        except StopIteration:
            # The application took the connection over, for a WebSocket, and is done. This is how gunicorn learns it.
            self._end_taken_over()
            raise
        except BaseException as error:  # noqa: BLE001  raised again, or answered with a 503
            return self._rescue(error)
        return self._app_iter

    # --- what the application calls ----------------------------------------------------------------------------------

    def _start(self, status: str, headers: Headers, exc_info: "ExcInfo | None" = None, /) -> Callable[[bytes], object]:
        if self._status is not None and not exc_info:
            raise AssertionError("start_response() was called twice without exc_info (PEP 3333)")
        self._status, self._headers, self._exc_info = status, headers, exc_info
        if self._is_sent:
            # What was committed is not undone, so the new headers carry its cookie too, unless the server refuses them.
            self._send_headers()
        return self._write

    def _write(self, data: bytes) -> None:
        if not self._is_sent:
            self._commit_and_send()
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
                self._commit_and_send()
            if chunk is None:
                # Before the server ends the response: the browser's next request must find it.
                self._commit_late()
        except BaseException as error:  # noqa: BLE001  raised again, or answered with a 503
            self._chunks = iter(self._rescue(error))
            chunk = next(self._chunks, None)
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Close the application's body once, then save what changed after the headers were sent."""
        try:
            self._close_app()
        except BaseException:
            self._is_failed = True
            raise
        finally:
            self._commit_late(is_final=True)

    # --- the headers -------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Commit for a body that is passed on as it is: the server will not call this object."""
        if self._is_sent or self._status is None:
            self._commit_late(is_final=True)
        else:
            self._commit_and_send(is_final=True)

    def _commit_and_send(self, *, is_final: bool = False) -> None:
        """Commit, then send the headers: the browser learns of nothing that the store does not have."""
        if not self._transaction.pass_unused(is_final=is_final):
            status = _status_code(self._status)
            if status >= 500 and self._transaction.failure is not None:
                raise self._transaction.failure
            self._outcome = self._commit(status, can_set_cookie=True, is_final=is_final)
        self._is_sent = True
        self._send_headers()

    def _send_headers(self) -> None:
        headers = self._headers
        if self._outcome is None and self._transaction.state is not None:
            self._outcome = Outcome(self._session)  # first used after the headers that these replace
        if self._outcome is None:
            self._transaction.remember_headers(headers)  # as an outcome does; most requests need none
        else:
            headers = self._outcome.apply(headers)
        exc_info, self._exc_info = self._exc_info, None
        # Before the first headers there is nothing to restart, and uWSGI mistakes exc_info for a failure.
        if exc_info and self._is_started:
            self._server_write = self._server_start(self._status or "", headers, exc_info)
        else:
            self._server_write = self._server_start(self._status or "", headers)
        self._is_started = True

    # --- the end -----------------------------------------------------------------------------------------------------

    def _commit_late(self, *, is_final: bool = False) -> None:
        """Commit what needs no cookie: the headers were sent, or never will be."""
        transaction = self._transaction
        if not (transaction.is_closed or transaction.pass_unused(is_final=is_final)):
            status = None if self._is_failed else _status_code(self._status)
            self._commit(status, can_set_cookie=False, is_final=is_final)

    def _commit(self, status: int | None, *, can_set_cookie: bool, is_final: bool) -> Outcome:
        is_https = self._environ.get("wsgi.url_scheme") == "https"
        return self._manager.commit(
            self._session, status=status, is_https=is_https, can_set_cookie=can_set_cookie, is_final=is_final
        )

    def _end_taken_over(self) -> None:
        """Commit for a connection that gets no response: a failure can only be logged."""
        try:
            self._commit_late(is_final=True)
        except Exception:
            logger.exception("What a connection that was taken over did to its session could not be stored.")

    def _rescue(self, error: BaseException) -> Iterable[bytes]:
        """End a response that failed with *error*: with a 503 if the store failed before the headers were sent."""
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
            # The last commit, even after one that failed: it sends, or withdraws, what save() committed.
            outcome = self._commit(None, can_set_cookie=is_answerable and failure is not None, is_final=True)
        except StoreUnavailable as late_failure:
            failure = late_failure
        if failure is None or not is_answerable:
            raise error
        if not isinstance(error, StoreUnavailable | StoreConflict):
            logger.error("The application failed after its session store did: a 503 replaces it.", exc_info=error)
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

    def _may_start_late(self) -> bool:
        # PEP 3333 lets start_response() wait for the first chunk. Granian wants it before the application returns.
        return not str(self._environ.get("SERVER_SOFTWARE", "")).startswith("Granian")

    def _start_early(self) -> "Response":
        """Take the first chunk now, so that the headers are sent, and give it back as the first of this body."""
        first = next(self, None)
        if first is not None and self._chunks is not None:
            self._chunks = chain((first,), self._chunks)
        return self


def _status_code(status: str | None) -> int:
    # Whether it is a valid status line at all is for the server to judge.
    try:
        return int(status[:3])  # type: ignore[index]  # None and anything else end below
    except (TypeError, ValueError):
        return 200
