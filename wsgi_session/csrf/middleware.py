"""Rejects requests that would change something unless the site's own page sent them. Goes inside the session's."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from .._common.options import checks_options
from .._http.cookie import Cookie
from .._http.headers import Headers, add_vary, keep_unshared, keep_unstored, replace_cookie
from .._session.session import Session, transaction_of
from .._wsgi.middleware import COOKIE_NAMES, get_session
from .._wsgi.wrapper import Wrapper
from ..errors import ConfigError, HeadersSent, StoreUnavailable
from ..events import CsrfReason, CsrfRejected
from .exempt import Exemptions
from .form import peek_field
from .options import checked_cookie, checked_field, checked_header, checked_list, require_options
from .origin import Origins, RequestOrigin
from .token import PURPOSE, is_token_of, make_masked_token

if TYPE_CHECKING:
    from types import TracebackType
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


__all__ = ["CSRFMiddleware", "csrf_field", "csrf_token"]

# RFC 9110, section 9.2.1, without TRACE: the list names the safe ones, so any other method is checked.
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# With two dots: no environ_key without a dot makes the same name.
_PAIR: Final = "wsgi_session..csrf."

_REFUSED_BODY: Final = b"This request was refused. Please go back, reload the page and try again.\n"
_REFUSED_HEADERS: Final = (
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", str(len(_REFUSED_BODY))),
    ("X-Content-Type-Options", "nosniff"),
)


@checks_options
class CSRFMiddleware(Wrapper):
    """Refuses requests to *app* that would change something, unless the site's own page sent them.

    Place it inside: ``SessionMiddleware(CSRFMiddleware(app), ...)``. Every method but ``GET``, ``HEAD`` and
    ``OPTIONS`` is checked, first by ``Sec-Fetch-Site``, then by ``Origin`` (``Referer`` only without it), then by
    the token; each one that is present must pass. A request that we refuse gets a 403 and does not reach *app*.

    Args:
        app: Any WSGI application. Its attributes stay reachable through the middleware.
        trusted_origins: Other origins whose pages may send requests, which still need a token: full ones such as
            ``"https://shop.example.com"``, or ``"https://*.example.com"`` for every host below ``example.com``. Also
            those of app shells and browser extensions: ``"capacitor://localhost"``, ``"chrome-extension://…"``.
        public_origins: The site's own origins as browsers see them. Default: scheme and ``Host`` of the request.
        exempt: Paths that we do not check: ``"/hooks/pay"`` that path alone, ``"/hooks/"`` it and all below it,
            ``"POST /hooks/pay"`` that method only; from the server's root, ``SCRIPT_NAME`` included. A path that
            could be read in two ways is checked.
        header_name: The request header that carries a script's token. If it is present, we do not read the body.
        field_name: The form field that carries a form's token.
        cookie: Also puts the token into this cookie, for scripts to send back in the header; never accepted as a token.
            ``Cookie(name="csrf", httponly=False, samesite="Strict")``; it ends with the browser's session.
        mode: ``"token"``; or ``"fetch-metadata"``, which needs no token and relies on the browser's headers.
        strict_origin: Refuse requests that have neither ``Origin`` nor ``Referer``, such as those of programs.
        max_form_bytes: How much of a form we search for the field. With a token in the header, we read none of it.
        report_only: Only report violations, by the event; refuse nothing, even when the store does not answer.
        on_reject: Answers instead of the generic 403, as ``on_reject(environ, start_response, reason)``; its answer
            is made uncacheable. The reasons are those of :class:`~wsgi_session.CsrfRejected`.
        environ_key: The ``environ_key`` of the session middleware.

    Raises:
        ConfigError: An option is not allowed; the text names the option and the remedy. Also on the first request if
            there is no session middleware around, or *cookie* has the name of its cookie.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        trusted_origins: Sequence[str] = (),
        public_origins: Sequence[str] = (),
        exempt: Sequence[str] = (),
        header_name: str = "X-CSRF-Token",
        field_name: str = "csrf_token",
        cookie: Cookie | None = None,
        mode: Literal["token", "fetch-metadata"] = "token",
        strict_origin: bool = False,
        max_form_bytes: int = 65536,
        report_only: bool = False,
        on_reject: "Callable[[WSGIEnvironment, StartResponse, str], Iterable[bytes]] | None" = None,
        environ_key: str = "session",
    ) -> None:
        super().__init__(app, environ_key)
        require_options(
            strict_origin=strict_origin,
            report_only=report_only,
            mode=mode,
            max_form_bytes=max_form_bytes,
            on_reject=on_reject,
        )
        self._origins = Origins(
            checked_list("public_origins", public_origins), checked_list("trusted_origins", trusted_origins)
        )
        self._exempt = Exemptions(checked_list("exempt", exempt))
        self._header_key = checked_header(header_name)
        self._field_name = checked_field(field_name)
        self._cookie = checked_cookie(cookie, mode)
        self._has_tokens = mode == "token"
        self._is_strict = strict_origin
        self._max_form_bytes = max_form_bytes
        self._is_report = report_only
        self._on_reject = on_reject or _refuse

    def __repr__(self) -> str:
        return f"<CSRFMiddleware around {self.app!r}>"

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request, or refuse it."""
        session = self._pair(environ)
        transaction = transaction_of(session)
        was_used = session.is_loaded or transaction.failure is not None
        try:
            reason = self._objection(environ, session)
        except StoreUnavailable:
            if not self._is_report:
                raise
            reason = None
            if not was_used:
                transaction.forget_failure()
        if reason is not None:
            handle = session.id if session.is_loaded else None
            transaction.backend.events.emit(CsrfRejected, id=handle, reason=reason)
            if not self._is_report:
                return self._on_reject(environ, _sealed(start_response), reason)
        return self.app(environ, start_response)

    def _pair(self, environ: "WSGIEnvironment") -> Session:
        """Return the request's session, and make its tokens available to the application."""
        try:
            session = get_session(environ, self.environ_key)
        except ConfigError:
            raise ConfigError(
                f"CSRFMiddleware found no session under environ_key={self.environ_key!r}. Place it inside, as in "
                "SessionMiddleware(CSRFMiddleware(app), ...), and give both the same environ_key."
            ) from None
        if self._cookie is not None:
            wire_name = self._cookie.wire_name
            if wire_name.lower() in map(str.lower, environ.get(COOKIE_NAMES, ())):
                raise ConfigError(
                    f"cookie has the name of the session's cookie, {wire_name!r}, which it would replace. Give it "
                    "another one: Cookie(name='csrf', httponly=False)."
                )
            transaction_of(session).edit_headers(_CookieEdit(session, self._cookie, environ.get("HTTP_COOKIE", "")))
        known, names = environ.get(_PAIR + self.environ_key, (None, ()))
        # Another one around this one, such as the site's around a dashboard, looks for the token in its own field.
        outer = names if known is session else ()
        environ[_PAIR + self.environ_key] = session, tuple(dict.fromkeys((*outer, self._field_name)))
        return session

    # --- the checks, in their order ----------------------------------------------------------------------------------

    def _objection(self, environ: "WSGIEnvironment", session: Session) -> CsrfReason | None:
        """Return why the request may not pass, or ``None`` if it may."""
        method = environ.get("REQUEST_METHOD", "")
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if method in SAFE_METHODS or self._exempt.cover(method, path):
            return None
        site = self._origins.by_fetch_site(environ)
        if site is RequestOrigin.FOREIGN:
            return "cross-site"
        if site is RequestOrigin.OURS and not self._has_tokens:
            return None
        origin = self._origins.by_origin(environ)
        if origin is RequestOrigin.FOREIGN:
            return "origin"
        referer = self._origins.by_referer(environ) if origin is RequestOrigin.UNKNOWN else origin
        if referer is RequestOrigin.FOREIGN:
            return "referer"
        if referer is RequestOrigin.UNKNOWN and (self._is_strict or not (self._has_tokens or _has_no_session(environ))):
            return "no origin"
        return self._token_objection(environ, session) if self._has_tokens else None

    def _token_objection(self, environ: "WSGIEnvironment", session: Session) -> CsrfReason | None:
        # Before derive(), which would store a new session: a refused request stores nothing.
        # Of an id that another request rotated away just now, derive() makes the token of a form from before.
        if session.is_new and not session.is_gone:
            return "no session"
        in_header = environ.get(self._header_key)
        if in_header is None:
            found = peek_field(environ, self._field_name, max_bytes=self._max_form_bytes)
            if not found.values:
                return found.problem or "no token"
            tokens = found.values
        else:
            # With a token in the header we leave the body alone, so as not to read an upload too early.
            tokens = (in_header,)
        secret = session.derive(PURPOSE)
        return None if all(is_token_of(secret, token) for token in tokens) else "bad token"


def csrf_token(environ: "WSGIEnvironment", environ_key: str = "session") -> str:
    """Return a token for this request's session: 86 characters of ``A-Za-z0-9_-``, different with every call.

    For scripts, which send it back in the header. After ``rotate()`` it is already one for the new id. Calling it
    stores a new session, and forbids shared caches to keep the response.

    Args:
        environ: The WSGI environment of a request.
        environ_key: The ``environ_key`` of the middlewares.

    Raises:
        ConfigError: There is no :class:`CSRFMiddleware` around the application, so nothing would check it.
        HeadersSent: The response headers were sent, and the session is not stored yet or a shared cache may keep the
            page. Call it before the first chunk.

    .. versionadded:: 1.0
    """
    session, _ = _paired(environ, environ_key)
    transaction = transaction_of(session)
    if transaction.headers is not None and keep_unshared(transaction.headers) != transaction.headers:
        raise HeadersSent(
            "csrf_token() was called after the headers were sent without Cache-Control: private or no-store, so a "
            "cache could serve this page to somebody else. Call it before the first chunk."
        )
    transaction.edit_headers(keep_unshared)
    return make_masked_token(session.derive(PURPOSE))


def csrf_field(environ: "WSGIEnvironment", environ_key: str = "session") -> str:
    """Return a hidden ``<input>`` with a token, as safe HTML for a form with ``method="post"``.

    If several :class:`CSRFMiddleware` are around the application, one for each of their field names. Takes and raises
    the same as :func:`csrf_token`.

    .. versionadded:: 1.0
    """
    _, names = _paired(environ, environ_key)
    token = csrf_token(environ, environ_key)
    return "".join(f'<input type="hidden" name="{name}" value="{token}">' for name in names)


def _paired(environ: "WSGIEnvironment", environ_key: str) -> tuple[Session, tuple[str, ...]]:
    try:
        pair: tuple[Session, tuple[str, ...]] = environ[_PAIR + environ_key]
    except KeyError:
        raise ConfigError(
            f"no CSRFMiddleware with environ_key={environ_key!r} around the application, so nothing would check the "
            "token. Wrap it: SessionMiddleware(CSRFMiddleware(app), ...)."
        ) from None
    return pair


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _CookieEdit:
    """Hands the token to scripts in a cookie, unless the browser has a valid one."""

    session: Session
    cookie: Cookie
    cookie_header: str

    def __call__(self, headers: Headers) -> Headers:
        if not transaction_of(self.session).is_settled:
            return headers
        secret = self.session.derive(PURPOSE)
        if any(is_token_of(secret, text) for text in self.cookie.read(self.cookie_header)):
            return headers
        # Without Max-Age: it must not expire in the browser before a session that use prolongs.
        set_cookie = self.cookie.write(make_masked_token(secret), max_age_s=None)
        return replace_cookie(headers, self.cookie.wire_name, set_cookie)


def _has_no_session(environ: "WSGIEnvironment") -> bool:
    cookies = environ.get("HTTP_COOKIE", "")
    return not any(name in cookies for name in environ.get(COOKIE_NAMES, ()))


def _refuse(_environ: "WSGIEnvironment", start_response: "StartResponse", _reason: str) -> Iterable[bytes]:
    # The reason is for the log only: it would show an attacker what to try next.
    start_response("403 Forbidden", list(_REFUSED_HEADERS))
    return [_REFUSED_BODY]


def _sealed(server_start: "StartResponse") -> "StartResponse":
    """Return a ``start_response`` for answers that depend on who asks, and from where: no cache may keep them."""

    def start_response(status: str, headers: Headers, *exc_info: "ExcInfo | None") -> Callable[[bytes], object]:
        sealed = add_vary(keep_unstored(headers), "Cookie", "Origin", "Sec-Fetch-Site")
        return server_start(status, sealed, *exc_info)

    return start_response
