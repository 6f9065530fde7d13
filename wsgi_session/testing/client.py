"""Opens the session of a test client without a request: to look, to change it, to log somebody in."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import BaseCookie
from typing import Any

from .._session.session import Session, transaction_of
from ..csrf.token import PURPOSE, make_masked_token
from ..errors import ConfigError, StoreConflict
from .jar import jar_of
from .login import login_values
from .manager import djangos_manager, manager_of

__all__ = ["csrf_token", "log_in", "session_transaction"]


@contextmanager
def session_transaction(client: Any, app: Any = None, *, host: str | None = None) -> Iterator[Session]:
    """Open the session of *client*, and store it at the end of the block, as a request of that client would.

    ::

        with session_transaction(client) as session:
            session["cart"] = ["pear"]

    The client then has the cookie in its jar, or no longer, after :meth:`~wsgi_session.Session.destroy`. If the block
    raises, nothing is stored but what :meth:`~wsgi_session.Session.save` did.

    Args:
        client: A test client of werkzeug, Flask, WebTest or Django; or the environ of a request, a ``dict``, whose
            ``HTTP_COOKIE`` we change.
        app: Whose sessions they are: a :class:`~wsgi_session.SessionMiddleware`, also inside of other middleware; a
            :class:`~wsgi_session.SessionManager`; or a Flask application with ``wsgi_session.contrib.flask``.
            Default: the client's own application; for Django's client, the site with the engine of
            ``wsgi_session.contrib.django``.
        host: The host that the client's requests are for, if the test names one. Clients of Django and an environ have
            no use for it.

    Raises:
        TypeError: *client* is none of these.
        ConfigError: *app*, or the client's application, has no sessions that we could find; or *client* has no
            application, and *app* is missing.
        EncodeError: A nested change cannot be stored, or all values together are too big. Nothing was stored.
        StoreUnavailable: The store did not answer.
        StoreConflict: Requests inside of the block, or others, ended the session or gave it a fresh id, so that what
            the block changed is lost; or they were faster, for two seconds.

    .. versionadded:: 1.0
    """
    manager = manager_of(_application_of(client) if app is None else app)
    jar = jar_of(client, manager.cookie, host=host)
    session = manager.open(jar.header())
    yield session
    outcome = manager.commit(session, status=200, is_final=True)
    if outcome.is_gone and session.is_modified:
        raise StoreConflict(
            "what the block of session_transaction() changed is lost: a request inside of it ended the session, or "
            "gave it a fresh id, as a login does. Send requests before the block or after it."
        )
    if outcome.set_cookie is not None:
        jar.receive(outcome)


def log_in(client: Any, user_id: Any, *, app: Any = None, host: str | None = None) -> None:
    """Log a user in: write *user_id* where the application's login does, so that its requests are this user's.

    The session gets a fresh id, as at any login. The key is the option ``user_key``. For Flask-Login and for Django's
    authentication, this also writes what their own logins write, so that they recognise the user.

    Args:
        client: As for :func:`session_transaction`.
        user_id: What the login writes under that key. Of Flask-Login and Django, the ``str`` of it.
        app: As for :func:`session_transaction`.
        host: As for :func:`session_transaction`.

    Raises:
        ConfigError: As for :func:`session_transaction`; also without the option ``user_key``, or if Django has no such
            user.
        EncodeError: *user_id* is no id of a user.

    .. versionadded:: 1.0
    """
    with session_transaction(client, app, host=host) as session:
        user_key = transaction_of(session).backend.user_key
        if user_key is None:
            raise ConfigError(
                "log_in() needs the option user_key, the key under which the application writes its user's id. "
                "Without it, write in session_transaction() what the application's login does."
            )
        for key, value in login_values(client, user_key, user_id).items():
            session[key] = value


def csrf_token(client: Any, *, app: Any = None, host: str | None = None) -> str:
    """Return a token that :class:`~wsgi_session.csrf.CSRFMiddleware` accepts from *client*, until its next login.

    As with a page that has a form, a session begins if there is none.

    Args:
        client: As for :func:`session_transaction`.
        app: As for :func:`session_transaction`.
        host: As for :func:`session_transaction`.

    Raises:
        ConfigError: As for :func:`session_transaction`.

    .. versionadded:: 1.0
    """
    with session_transaction(client, app, host=host) as session:
        return make_masked_token(session.derive(PURPOSE))


def _application_of(client: Any) -> Any:
    """Return the application that *client* calls."""
    for name in ("application", "app"):  # werkzeug's and Flask's; WebTest's
        if (app := getattr(client, name, None)) is not None:
            return app
    if isinstance(getattr(client, "cookies", None), BaseCookie) and (manager := djangos_manager()) is not None:
        return manager
    raise ConfigError(
        f"a client of type {type(client).__name__} does not say which application it calls. Pass "
        "app=..., which may be the SessionMiddleware or the SessionManager."
    )
