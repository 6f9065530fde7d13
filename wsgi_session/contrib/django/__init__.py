"""Django's ``request.session`` on this package: ``SESSION_ENGINE = "wsgi_session.contrib.django"``."""

from .managers import session_manager
from .middleware import SessionMiddleware
from .store import SessionStore

__all__ = ["SessionMiddleware", "SessionStore", "session_manager"]

for _name in __all__:
    globals()[_name].__module__ = __name__
