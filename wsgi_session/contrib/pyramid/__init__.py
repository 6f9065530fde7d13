"""Pyramid's ``request.session`` on this package: ``config.include("wsgi_session.contrib.pyramid")``."""

from .csrf import CSRFStoragePolicy
from .factory import SessionFactory, session_factory
from .include import includeme
from .session import PyramidSession

__all__ = ["CSRFStoragePolicy", "PyramidSession", "SessionFactory", "includeme", "session_factory"]

for _name in __all__:
    globals()[_name].__module__ = __name__
