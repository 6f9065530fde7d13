"""What an application does with events, with the registry, and with errors."""

from typing import assert_type

from wsgi_session import Event, SessionManager, SessionMiddleware, SessionRegistry, StoreFailed
from wsgi_session.errors import ConfigError, SessionError, StoreUnavailable
from wsgi_session.testing import FakeClock


def note(event: Event) -> None:
    assert_type(event.at, float)
    assert_type(event.id, str | None)
    if isinstance(event, StoreFailed):
        assert_type(event.operation, str)


def silent() -> None: ...


manager = SessionManager(on_event=[note, print])
SessionManager(on_event=silent)  # type: ignore[arg-type]
registry = manager.handle()
assert_type(registry, SessionRegistry)
assert_type(registry.revoke("0" * 64), bool)
assert_type(registry.revoke_user("ada"), int)
assert_type(FakeClock()(), float)


def handles(app: SessionMiddleware) -> SessionError | None:
    try:
        app.handle().count()
    except (ConfigError, StoreUnavailable) as error:
        return error
    return None
