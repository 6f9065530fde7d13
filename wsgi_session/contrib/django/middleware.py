"""Django middleware in the place of ``django.contrib.sessions.middleware.SessionMiddleware``."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings  # type: ignore[import-untyped]  # Django ships no types
from django.contrib.sessions.middleware import (  # type: ignore[import-untyped]
    SessionMiddleware as DjangoSessionMiddleware,
)
from django.http import HttpResponse  # type: ignore[import-untyped]

from ..._manager.outcome import Outcome
from ..._session.session import Session, transaction_of
from ..._wsgi.middleware import client_of
from ...errors import ConfigError, SessionError, StoreConflict, StoreUnavailable
from .._adapter import RETRY_AFTER_S, commit_late
from .store import SessionStore

__all__ = ["SessionMiddleware"]

_IN_ENVIRON = "wsgi_session.session"
"""Where ``get_session(environ)`` looks."""

_IS_CACHED = "_cache_update_cache"
"""What Django's cache middleware sets on a request whose response it is to keep."""

_WAS_CACHED = "_wsgi_session_was_cached"


class SessionMiddleware(DjangoSessionMiddleware):  # type: ignore[misc]  # no types there
    """Opens the session of each request, and commits it with the response, by the rules of this package.

    For ``MIDDLEWARE``, in the place of Django's own, with ``SESSION_ENGINE = "wsgi_session.contrib.django"``.
    ``request.session`` is ``request.environ["session"]``, too.

    Raises:
        ConfigError: ``SESSION_ENGINE`` is another one.

    .. versionadded:: 1.0
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        super().__init__(get_response)
        if not issubclass(self.SessionStore, SessionStore):
            raise ConfigError(
                "SessionMiddleware of wsgi_session needs SESSION_ENGINE = 'wsgi_session.contrib.django', or an engine "
                f"whose SessionStore is derived from that one's; got {settings.SESSION_ENGINE!r}."
            )

    def process_request(self, request: Any) -> None:
        """Open the session. Reads nothing."""
        session = self.SessionStore()
        value = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        session.client = client_of(request.META, session.manager)
        session.open_cookies(request.META.get("HTTP_COOKIE", ""), value)
        session.on_access = partial(_keep_from_cache, request)
        request.session = session
        # A middleware around the whole site has a session of its own there, which is another one than Django's.
        former = request.META.get(_IN_ENVIRON)
        if not isinstance(former, Session) or transaction_of(former).is_closed:
            request.META["session"] = request.META[_IN_ENVIRON] = session

    def process_exception(self, _request: Any, exception: Exception) -> HttpResponse | None:
        """Return the response for a store that did not answer a view."""
        return _unavailable() if isinstance(exception, StoreUnavailable | StoreConflict) else None

    def process_response(self, request: Any, response: Any) -> Any:
        """Commit the session before the headers of *response* are sent, and have it done again after its body.

        Raises:
            SessionError: It cannot be stored, and not because of its store.
        """
        session = getattr(request, "session", None)
        if not isinstance(session, SessionStore):
            return response
        commit = partial(session.manager.commit, session.opened, is_https=request.is_secure())
        status = response.status_code
        try:
            _prolong(session)
            outcome = commit(status=status)
            failure: SessionError | None = outcome.failure if status >= 500 else None
        except (StoreUnavailable, StoreConflict) as error:
            # Once more: the cookie of what the application's own save() stored before is still to be sent.
            failure, outcome = error, commit(status=None)
        except SessionError:
            # The error page that Django makes of it comes without a cookie.
            commit_late(session.manager, session.opened, None)
            raise
        if failure is not None:
            response.close()
            response = _unavailable()
        if response.streaming or outcome.is_used:
            _apply(outcome, response)
        if getattr(request, _WAS_CACHED, False):
            setattr(request, _IS_CACHED, True)  # the response says now that it varies by cookie
        # A cache pickles the response: only the request can hold what is to be done when it is over.
        request.close = partial(_finish, request.close, session, status)
        return response


def _prolong(session: SessionStore) -> None:
    """Have the request count as a use, or not, as ``SESSION_SAVE_EVERY_REQUEST`` says."""
    if settings.SESSION_SAVE_EVERY_REQUEST:
        if session.session_key is not None:
            session.is_new  # noqa: B018  looks it up
    elif session.opened.is_loaded and not session.modified:
        session.opened.keep_idle()


def _apply(outcome: Outcome, response: Any) -> None:
    """Give *response* what *outcome* says of its headers, and the cookie."""
    headers = dict(outcome.apply(list(response.items()), with_cookie=False))
    for name in {name for name, _ in response.items()} - headers.keys():
        del response[name]
    for name, value in headers.items():
        response[name] = value
    if outcome.set_cookie is not None:
        attributes: dict[str, Any] = outcome.attributes
        attributes.pop("partitioned")  # Django cannot set it
        if outcome.erase:
            attributes["expires"] = "Thu, 01 Jan 1970 00:00:00 GMT"
        response.set_cookie(outcome.name, outcome.value or "", max_age=outcome.max_age, **attributes)


def _unavailable() -> HttpResponse:
    """Return the response for a store that did not answer."""
    headers = {"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"}
    text = "The session store did not answer. Please try again in a moment."
    return HttpResponse(text.encode(), status=503, content_type="text/plain; charset=utf-8", headers=headers)


def _keep_from_cache(request: Any) -> None:
    """Keep the page of a view that uses the session out of the cache that ``cache_page`` has for it.

    That cache sees the response before we can say that it varies by cookie, and would show one user's page to another.
    """
    if getattr(request, _IS_CACHED, False):
        setattr(request, _IS_CACHED, False)
        setattr(request, _WAS_CACHED, True)


def _finish(close: Callable[[], None], session: SessionStore, status: int) -> None:
    """Commit what no response headers are left for, and *close* the request."""
    commit_late(session.manager, session.opened, status)
    close()
