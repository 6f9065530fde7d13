"""When a request's session is committed: with its response, and again when the request is over."""

from functools import partial
from typing import TYPE_CHECKING, Any

from pyramid.httpexceptions import HTTPException, HTTPNotFound, HTTPServiceUnavailable  # type: ignore[import-untyped]  # no types
from werkzeug.wsgi import ClosingIterator

from ..._manager.manager import SessionManager
from ..._session.session import Session
from ..._wsgi.body import is_passthrough
from ...errors import SessionError, StoreConflict, StoreUnavailable
from .._adapter import RETRY_AFTER_S, commit_late

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["Commits", "answer_unavailable"]


class Commits:
    """Commits the *session* of one request.

    Pyramid calls :meth:`with_response` for the response that is left when all views, tweens and exception views had
    their say, and :meth:`at_end` after it; that alone if an exception goes on to the server.
    """

    def __init__(self, manager: SessionManager, session: Session) -> None:
        self._manager = manager
        self._session = session
        # None until there is a response.
        self._status: int | None = None
        self._is_streamed = False
        self._is_postponed = False

    def with_response(self, request: Any, response: Any) -> None:
        """Commit before the headers of *response* are sent.

        If the store does not answer, *response* becomes a 503, as the application's exception views make it.

        Raises:
            SessionError: It cannot be stored, not because of its store, and no exception view takes it.
        """
        if not self._is_postponed and any(later != self.with_response for later in request.response_callbacks):
            # They may change the session, too. Once: another one may want to be the last as well.
            self._is_postponed = True
            request.add_response_callback(self.with_response)
            return
        is_https = request.environ.get("wsgi.url_scheme") == "https"
        commit = partial(self._manager.commit, self._session, is_https=is_https)
        self._status = status = response.status_int
        failure: SessionError | None = None
        try:
            outcome = commit(status=status)
            if status >= 500 and status != 503:
                failure = outcome.failure
        except SessionError as error:
            # Once more: the cookie of what the application's own save() stored before is still to be sent.
            failure, outcome = error, commit(status=None)
        if failure is not None:
            self._status = None  # the browser learns that it failed, so the last commit stores none of it
            _replace(response, _error_page(request, failure), request.environ)
        response.headerlist = outcome.apply(list(response.headerlist))
        if not is_passthrough(response.app_iter, request.environ):
            self._is_streamed = True
            length = response.content_length  # WebOb forgets it with the body
            response.app_iter = ClosingIterator(response.app_iter, self._close)
            response.content_length = length

    def at_end(self, _request: Any) -> None:
        """Commit for the last time; after a stream, its end does."""
        if not self._is_streamed:
            self._close()

    def _close(self) -> None:
        commit_late(self._manager, self._session, self._status)


def answer_unavailable(_failure: Exception, _request: Any) -> Any:
    """Return the response for a store that did not answer: an exception view."""
    return HTTPServiceUnavailable(headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"})


def _error_page(request: Any, failure: SessionError) -> Any:
    """Return the response that the application's exception views make of *failure*."""
    try:
        page = request.invoke_exception_view((type(failure), failure, failure.__traceback__))
    except (HTTPNotFound, StoreUnavailable, StoreConflict):
        page = None  # nobody handles it, or the page for it uses the session
    if not isinstance(failure, StoreUnavailable | StoreConflict):
        if page is None:
            raise failure
        return page
    # One for all exceptions says 500.
    return answer_unavailable(failure, request) if page is None or page.status_int == 500 else page


def _replace(response: Any, other: Any, environ: "WSGIEnvironment") -> None:
    """Make *response* look like *other*: Pyramid sends the object that it gave to us."""
    if isinstance(other, HTTPException):
        other.prepare(environ)  # it has no body before
    if callable(close := getattr(response.app_iter, "close", None)):
        close()
    response.status, response.app_iter = other.status, other.app_iter
    response.headerlist = other.headerlist  # last: WebOb forgets the length with the body
