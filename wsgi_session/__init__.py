"""Sessions for any WSGI application: safe by default, correct when requests race, free when unused.

::

    from wsgi_session import SessionMiddleware

    def application(environ, start_response):
        session = environ["session"]            # nothing is read until it is used
        hits = session.increment("hits")        # exact, even when requests race
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"Visit number {hits}".encode()]

    application = SessionMiddleware(application, secret="…")   # at least 32 bytes: `wsgi-session keygen`
"""

from types import FunctionType

from ._http.cookie import Cookie
from ._manager.manager import SessionManager
from ._manager.outcome import Outcome
from ._manager.registry import SessionRegistry
from ._session.lifetime import Lifetime
from ._session.session import Session
from ._session.summary import SessionSummary
from ._values.codec import Codec, JSONCodec
from ._wsgi.middleware import SessionMiddleware, get_session
from .events import (
    BreakerClosed,
    BreakerOpened,
    ClockSkew,
    CookieAmbiguous,
    CookieHeaderRejected,
    CookieRejected,
    CsrfRejected,
    Event,
    LoggedIn,
    NewDevice,
    OthersLoggedOut,
    ReuseDetected,
    SaveConflict,
    SessionCreated,
    SessionDestroyed,
    SessionEvicted,
    SessionExpired,
    SessionLoaded,
    SessionRenewed,
    SessionRevoked,
    SessionRotated,
    SessionSaved,
    SessionTouched,
    StoreFailed,
    ValueOverwritten,
)
from .stores.record import Record

__version__ = "1.0.0.dev0"

__all__ = [
    "BreakerClosed",
    "BreakerOpened",
    "ClockSkew",
    "Codec",
    "Cookie",
    "CookieAmbiguous",
    "CookieHeaderRejected",
    "CookieRejected",
    "CsrfRejected",
    "Event",
    "JSONCodec",
    "Lifetime",
    "LoggedIn",
    "NewDevice",
    "OthersLoggedOut",
    "Outcome",
    "Record",
    "ReuseDetected",
    "SaveConflict",
    "Session",
    "SessionCreated",
    "SessionDestroyed",
    "SessionEvicted",
    "SessionExpired",
    "SessionLoaded",
    "SessionManager",
    "SessionMiddleware",
    "SessionRegistry",
    "SessionRenewed",
    "SessionRevoked",
    "SessionRotated",
    "SessionSaved",
    "SessionSummary",
    "SessionTouched",
    "StoreFailed",
    "ValueOverwritten",
    "__version__",
    "get_session",
]

# Reprs and tracebacks show the names that applications import, not the modules that define them.
for _promised in map(globals().__getitem__, __all__):
    if isinstance(_promised, type | FunctionType):
        _promised.__module__ = __name__
