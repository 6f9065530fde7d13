"""``config.include("wsgi_session.contrib.pyramid")``: what gives a Pyramid application its sessions."""

from typing import Any

from ...errors import StoreConflict, StoreUnavailable
from .commits import answer_unavailable
from .csrf import CSRFStoragePolicy
from .factory import SessionFactory
from .settings import manager_of

__all__ = ["includeme"]


def includeme(config: Any) -> None:
    """Set the session factory, the storage of CSRF tokens, and a 503 for a store that does not answer.

    The settings that begin with ``session.`` say how; what the application sets itself comes before each of the three.

    Args:
        config: Pyramid's ``Configurator``, which calls this.

    Raises:
        ConfigError: A setting is not allowed; the text names it.

    .. versionadded:: 1.0
    """
    config.set_session_factory(SessionFactory(manager_of(config.registry.settings)))
    config.set_csrf_storage_policy(CSRFStoragePolicy())
    for failure in (StoreUnavailable, StoreConflict):
        config.add_exception_view(answer_unavailable, context=failure)
