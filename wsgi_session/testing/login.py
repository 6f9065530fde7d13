"""What the login of a framework writes into the session, beside the user's id."""

import sys
from importlib import import_module
from typing import Any

from ..errors import ConfigError

__all__ = ["login_values"]


def login_values(client: Any, user_key: str, user_id: Any) -> dict[str, Any]:
    """Return what a login as *user_id* writes into the session of *client*, *user_key* first.

    Raises:
        ConfigError: The user is to be one of Django's, and Django has none with this id.
    """
    if user_key == "_user_id":
        return {user_key: str(user_id), "_fresh": True} | _identifier(client)
    if user_key == "_auth_user_id":
        return {user_key: str(user_id)} | _credentials(user_id)
    return {user_key: user_id}


def _identifier(client: Any) -> dict[str, str]:
    """Return what Flask-Login knows the browser by. A session without it is not fresh, or is refused."""
    app: Any = getattr(client, "application", None)
    if (login_manager := getattr(app, "login_manager", None)) is None:
        return {}
    with app.test_request_context(environ_base=getattr(client, "environ_base", None)):
        # It has no other name, and login_user() needs more than an id.
        return {"_id": login_manager._session_identifier_generator()}  # noqa: SLF001  see above


def _credentials(user_id: Any) -> dict[str, str]:
    """Return what Django's authentication asks for beside the id: who says so, and that the password is the same."""
    registry = getattr(sys.modules.get("django.apps"), "apps", None)
    if registry is None or not registry.ready or not registry.is_installed("django.contrib.auth"):
        return {}
    auth = import_module("django.contrib.auth")
    for path in import_module("django.conf").settings.AUTHENTICATION_BACKENDS:
        get_user = getattr(auth.load_backend(path), "get_user", None)
        if get_user is not None and (user := get_user(user_id)) is not None:
            return {auth.BACKEND_SESSION_KEY: path, auth.HASH_SESSION_KEY: user.get_session_auth_hash()}
    raise ConfigError("no backend in AUTHENTICATION_BACKENDS has an active user with the id that log_in() was given.")
