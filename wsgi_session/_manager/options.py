"""The options of a manager that take more than one form, or have a default outside the program."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from .._http.cookie import Cookie
from .._http.token import COMPACT, FULL, TokenForm
from .._values.codec import Codec, JSONCodec
from ..errors import ConfigError
from ..stores.contract import Store
from ..stores.url import DEFAULT_STORE_URL, store_from_url

__all__ = ["checked", "given_codec", "given_cookie", "given_form", "given_secret", "given_user_key", "make_store"]

logger = logging.getLogger("wsgi_session")

T = TypeVar("T")


def checked(option: str, value: T, kind: type[T]) -> T:
    """Return *value*, after a check that it is a *kind*. Raises ``ConfigError`` that names the *option*."""
    if not isinstance(value, kind):
        raise ConfigError(f"{option} must be a {kind.__name__}, such as {kind.__name__}(); got {value!r}.")
    return value


def given_cookie(cookie: Cookie | None) -> Cookie:
    """Return *cookie*, or the default. Raises ``ConfigError`` if it is not one; warns if scripts may read it."""
    cookie = checked("cookie", Cookie() if cookie is None else cookie, Cookie)
    if not cookie.httponly:
        logger.warning(
            "The session cookie %r is readable by scripts: one injected script can take the session over.",
            cookie.wire_name,
        )
    return cookie


def given_codec(codec: Codec | None) -> Codec:
    """Return *codec*, or the default. Raises ``ConfigError`` if it is not a codec."""
    if codec is None:
        return JSONCodec()
    if isinstance(codec, type) or not isinstance(codec, Codec):
        raise ConfigError(f"codec must be a Codec, such as JSONCodec(); got {codec!r}.")
    return codec


def given_secret(secret: str | bytes | Sequence[str | bytes] | None) -> str | bytes | Sequence[str | bytes]:
    """Return *secret*, by default that of the environment. Raises ``ConfigError`` if there is none."""
    if secret is not None:
        return secret
    from_environment = os.environ.get("WSGI_SESSION_SECRET", "")
    if not from_environment.strip():
        raise ConfigError(
            "secret is missing: pass secret=..., or set WSGI_SESSION_SECRET (several, newest first, separated by "
            "spaces). Make one with `wsgi-session keygen`, and keep it: a new one ends all sessions."
        )
    return from_environment


def given_form(compact: bool) -> TokenForm:
    """Return the form of tokens that the option *compact* asks for. Raises ``ConfigError`` if it is not a ``bool``."""
    if not isinstance(compact, bool):
        raise ConfigError(f"compact must be True or False, got {compact!r}.")
    return COMPACT if compact else FULL


def given_user_key(user_key: str | None) -> str | None:
    """Return *user_key*. Raises ``ConfigError`` if it is no key of a session."""
    if user_key is not None and (not isinstance(user_key, str) or not user_key):
        raise ConfigError(f"user_key must be a key of the session, such as '_user_id', or None; got {user_key!r}.")
    return user_key


def make_store(store: Store | str | None, clock: Callable[[], float]) -> Store:
    """Return *store*, or the one of its URL; the default is in the environment, or a SQLite file.

    Raises:
        ConfigError: It is neither, or no store can be made of the URL.
    """
    if store is None:
        store = os.environ.get("WSGI_SESSION_STORE") or DEFAULT_STORE_URL
    if isinstance(store, str):
        return store_from_url(store, clock=clock)
    if isinstance(store, type):
        raise ConfigError(f"store must be a Store, got the class {store.__name__}: write {store.__name__}(...).")
    if not isinstance(store, Store):
        raise ConfigError(
            f"store must be a Store or a URL such as {DEFAULT_STORE_URL!r}, got an object of type "
            f"{type(store).__name__}, which lacks a method of the store contract."
        )
    return store
