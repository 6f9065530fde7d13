"""The one manager of a Django project, made of its settings at the first use."""

import threading
from typing import Any

from django.core.signals import setting_changed  # type: ignore[import-untyped]  # Django ships no types

from ..._manager.manager import SessionManager
from .settings import NAMES, Settings

__all__ = ["session_manager"]


class _Current:
    """The manager in use, and the settings that it was made of."""

    def __init__(self) -> None:
        self.manager: SessionManager | None = None
        self._settings: Settings | None = None
        self._store_manager: SessionManager | None = None
        # Of two first requests at once each would make a store, and the sessions in one of them would be lost.
        self._lock = threading.Lock()
        setting_changed.connect(self.forget)

    def forget(self, *, setting: str, **_rest: Any) -> None:
        """Have the manager made again at the next use: a test changed the settings."""
        if setting in NAMES:
            self.manager = None

    def make(self) -> SessionManager:
        """Return the manager, made now unless another thread was faster."""
        with self._lock:
            if self.manager is None:
                settings, known = Settings.now(), self._settings
                is_same_store = known is not None and known.store == settings.store
                former = self._store_manager if is_same_store else None
                self._store_manager = settings.make_manager(None if former is None else former.store)
                self.manager, self._settings = self._store_manager, settings
            return self.manager


_current = _Current()


def session_manager() -> SessionManager:
    """Return the :class:`~wsgi_session.SessionManager` of this project's sessions, made of its settings.

    Raises:
        ConfigError: A setting is not allowed; the text names it.

    .. versionadded:: 1.0
    """
    return _current.manager or _current.make()
