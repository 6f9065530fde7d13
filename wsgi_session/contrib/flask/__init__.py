"""Flask's ``session`` on this package: ``Session(app)``, and everything that uses ``flask.session`` lives in it."""

from .extension import Session
from .interface import SessionInterface
from .session import FlaskSession

__all__ = ["FlaskSession", "Session", "SessionInterface"]

for _name in __all__:
    globals()[_name].__module__ = __name__
