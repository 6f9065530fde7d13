"""The door of the dashboard: who may come in, asked with every request, and nothing for anybody else."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import SessionManager, get_session
from .._common.options import checks_options
from .._pages.answer import Answer
from ..csrf import CSRFMiddleware
from ..errors import ConfigError, StoreUnavailable
from .pages import Pages
from .view import error, plain, send

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

__all__ = ["Dashboard"]

logger = logging.getLogger("wsgi_session")

_RETRY: Final = ("Retry-After", "5")

_WRONG: Final = "500 Internal Server Error"
_NO_SESSION: Final = (
    "There is no session around the dashboard. Its forms are bound to the operator's own one, so wrap the dashboard, "
    "or the whole site, in the session middleware, and give both the same environ_key."
)
_WRAPPED: Final = "SessionMiddleware(dashboard, manager=manager)"

_REJECTED: Final = (
    "This form is too old, or another site sent it. Nothing was ended. Go back, reload the page and try again."
)

_EXAMPLE: Final = "Dashboard(manager, authorize=lambda environ: get_session(environ).user_id in OPERATORS)"


@checks_options
class Dashboard:
    """A WSGI application for operators: sees the sessions of a store, and ends them. Data of sessions is never shown.

    Mount it inside the session middleware of your site, under a path of its own, so that it knows the operator's own
    session. It needs the extra ``dashboard``.

    Args:
        sessions: Whose sessions: a :class:`~wsgi_session.SessionManager`, or what has one as ``manager``, such as
            :class:`~wsgi_session.SessionMiddleware`.
        authorize: Decides, as ``authorize(environ)``, whether this request is an operator's. We ask it with every
            request, those for forms and files included. Only ``True`` itself admits; anything else is a 403, and an
            exception a 500. If it needs the session and the store does not answer, that is a 503.
        audit: The path of the file that :class:`~wsgi_session.contrib.audit.AuditLog` writes, for the events of the
            last day.
        public_origins: The site's own origins as browsers see them, as for :class:`~wsgi_session.csrf.CSRFMiddleware`.
            Default: scheme and ``Host`` of the request.
        environ_key: The ``environ_key`` of the session middleware around it.
        clock: Returns the time in Unix seconds. Default: ``time.time``.

    Raises:
        ConfigError: *sessions* has no manager, *authorize* is missing or cannot be called, or another option is not
            allowed; the text has the line to write.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        sessions: object,
        *,
        authorize: "Callable[[WSGIEnvironment], object] | None" = None,
        audit: str | Path | None = None,
        public_origins: Sequence[str] = (),
        environ_key: str = "session",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._manager = _manager_of(sessions)
        self._authorize = _checked_authorize(authorize)
        self._environ_key = environ_key
        self._pages = Pages(
            self._manager, _checked_path(audit), environ_key=environ_key, clock=time.time if clock is None else clock
        )
        # The site may have such a middleware or not: a token for one passes the other.
        self._protected = CSRFMiddleware(
            self._pages, public_origins=public_origins, environ_key=environ_key, on_reject=self._reject
        )

    def __repr__(self) -> str:
        return f"<Dashboard of {self._manager.store!r}>"

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request of an operator, or refuse it."""
        refusal = self._refusal(environ)
        if refusal is not None:
            return send(refusal, environ, start_response)
        request = self._pages.request(environ)
        try:
            get_session(environ, self._environ_key)
        except ConfigError as wrong:
            logger.error("The dashboard needs the operator's session: %s", wrong)
            return send(error(request, _WRONG, _NO_SESSION, remedy=_WRAPPED), environ, start_response)
        try:
            return self._protected(environ, start_response)
        except StoreUnavailable as failure:
            text = f"The store does not answer: {failure}"
            return send(error(request, "503 Service Unavailable", text, _RETRY), environ, start_response)

    def _refusal(self, environ: "WSGIEnvironment") -> Answer | None:
        """Return what somebody gets who is no operator; ``None`` for an operator."""
        try:
            verdict = self._authorize(environ)
        except StoreUnavailable:
            return plain("503 Service Unavailable", "The service is temporarily unavailable.", _RETRY)
        except Exception:
            logger.exception("authorize() of the dashboard raised, so nobody is admitted.")
            return plain("500 Internal Server Error", "Something went wrong.")
        return None if verdict is True else plain("403 Forbidden", "Forbidden.")

    def _reject(self, environ: "WSGIEnvironment", start_response: "StartResponse", _reason: str) -> Iterable[bytes]:
        return send(error(self._pages.request(environ), "403 Forbidden", _REJECTED), environ, start_response)


def _manager_of(sessions: object) -> SessionManager:
    manager = sessions if isinstance(sessions, SessionManager) else getattr(sessions, "manager", None)
    if not isinstance(manager, SessionManager):
        # Not quoted: what stands here by mistake may be a URL with a password.
        raise ConfigError(
            "Dashboard needs a SessionManager, or what has one as manager, such as a SessionMiddleware; got an object "
            f"of type {type(sessions).__name__}. Write {_EXAMPLE}."
        )
    return manager


def _checked_path(audit: str | Path | None) -> Path | None:
    if audit is None:
        return None
    if not isinstance(audit, str | Path) or not str(audit):
        raise ConfigError(
            "audit must be the path of the file that AuditLog writes, such as '/var/log/shop/sessions.jsonl'; got an "
            f"object of type {type(audit).__name__}."
        )
    return Path(audit).absolute()  # the program may change its directory


def _checked_authorize(
    authorize: "Callable[[WSGIEnvironment], object] | None",
) -> "Callable[[WSGIEnvironment], object]":
    if not callable(authorize) or iscoroutinefunction(authorize):
        raise ConfigError(
            "Dashboard needs authorize, a function that takes environ and returns True for operators only: without it, "
            f"everybody could log your users out. Write {_EXAMPLE}; got {type(authorize).__name__}."
        )
    return authorize
