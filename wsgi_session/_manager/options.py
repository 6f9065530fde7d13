"""The options of a manager that take more than one form, or have a default outside the program."""

import logging
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from .._common.clock import clock_of
from .._common.dispatcher import OnEvent
from .._http.cookie import Cookie
from .._http.token import COMPACT, FULL, TokenForm, TokenSigner
from .._session.lifetime import Lifetime
from .._values.codec import Codec, JSONCodec
from .._values.frame_codec import FrameCodec
from .._values.limits import DEFAULT_MAX_BYTES, MAX_DATA_BYTES
from ..errors import ConfigError
from ..events import Dispatcher
from ..stores.contract import Store, SupportsMaxBytes
from ..stores.url import DEFAULT_STORE_URL, store_from_url
from .abilities import FINDS_USERS, user_index_of
from .capture import Captured, describing
from .guarded import GuardedStore
from .rules import Overflow, Rules

if TYPE_CHECKING:
    from ..importers.importer import Importer
    from .importing import Importing

__all__ = [
    "given_rules",
    "make_importing",
    "make_store",
]

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


def given_max_bytes(max_bytes: int | None) -> int:
    """Return *max_bytes*, or the default. Raises ``ConfigError`` if a record cannot have so many."""
    if max_bytes is None:
        return DEFAULT_MAX_BYTES
    if type(max_bytes) is not int or not 1 <= max_bytes <= MAX_DATA_BYTES:
        raise ConfigError(
            f"max_bytes must be an int from 1 to {MAX_DATA_BYTES} (1 MiB), the bytes of all values of one session "
            f"together; got {max_bytes!r}."
        )
    return max_bytes


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


def given_max_sessions(max_sessions_per_user: int | None) -> int | None:
    """Return *max_sessions_per_user*. Raises ``ConfigError`` if it is no positive number."""
    limit = max_sessions_per_user
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ConfigError(f"max_sessions_per_user must be a positive int, or None for no limit; got {limit!r}.")
    return limit


def given_overflow(overflow: Overflow) -> Overflow:
    """Return *overflow*. Raises ``ConfigError`` if it is neither way to treat a login that is too many."""
    if overflow not in ("evict_oldest", "refuse"):
        raise ConfigError(
            "overflow must be 'evict_oldest' (the login that is too many ends the session of the earliest) or 'refuse' "
            f"(it raises TooManySessions); got {overflow!r}."
        )
    return overflow


def check_limit(rules: Rules, store: Store) -> None:
    """Raise ``ConfigError`` if a limit of sessions per user is set that *store* cannot enforce."""
    if rules.max_sessions_per_user is not None and user_index_of(store) is None:
        raise ConfigError(
            f"max_sessions_per_user needs a store that finds the sessions of a user: {FINDS_USERS}; "
            f"{type(store).__name__} cannot."
        )


def given_rules(
    *,
    secret: str | bytes | Sequence[str | bytes] | None,
    cookie: Cookie | None,
    lifetime: Lifetime | None,
    codec: Codec | None,
    on_event: OnEvent | None,
    clock: Callable[[], float] | None,
    max_bytes: int | None,
    users: tuple[str | None, int | None, Overflow, Sequence[Captured]],
    compact: bool,
) -> Rules:
    """Return the options of a manager, or their defaults. Raises ``ConfigError`` if one is not allowed."""
    user_key, max_sessions_per_user, overflow, capture = users
    cookie = given_cookie(cookie)
    max_bytes = given_max_bytes(max_bytes)
    clock = clock_of(clock)
    return Rules(
        cookie=cookie,
        signer=TokenSigner(given_secret(secret), purpose=cookie.wire_name, form=given_form(compact)),
        codec=FrameCodec(given_codec(codec), max_bytes),
        max_bytes=max_bytes,
        lifetime=checked("lifetime", Lifetime() if lifetime is None else lifetime, Lifetime),
        events=Dispatcher(on_event, clock),
        clock=clock,
        user_key=given_user_key(user_key),
        max_sessions_per_user=given_max_sessions(max_sessions_per_user),
        overflow=given_overflow(overflow),
        describe=describing(capture),
    )


def make_importing(importers: Sequence["Importer"], store: GuardedStore, rules: Rules) -> "Importing | None":
    """Return what asks *importers*, or ``None`` if there are none. Raises ``ConfigError`` if one is no importer."""
    if not importers and isinstance(importers, list | tuple):
        return None
    # Only now: most programs have no sessions to carry over.
    from ..importers.importer import Importer
    from .importing import Importing

    if not isinstance(importers, list | tuple) or not all(isinstance(importer, Importer) for importer in importers):
        raise ConfigError(
            "importers must be a list of importers, such as [FlaskCookie(secret=..., switched_at=..., until=...)] of "
            f"wsgi_session.importers; got {importers!r}."
        )
    return Importing(tuple(importers), store, rules)


def make_store(store: Store | str | None, clock: Callable[[], float], max_bytes: int) -> Store:
    """Return *store*, or the one of its URL, which then expects *max_bytes*.

    The default is in the environment, or a SQLite file.

    Raises:
        ConfigError: It is neither, or no store can be made of the URL.
    """
    if store is None:
        store = os.environ.get("WSGI_SESSION_STORE") or DEFAULT_STORE_URL
    if isinstance(store, str):
        store = store_from_url(store, clock=clock)
    if isinstance(store, type):
        raise ConfigError(f"store must be a Store, got the class {store.__name__}: write {store.__name__}(...).")
    if not isinstance(store, Store):
        raise ConfigError(
            f"store must be a Store or a URL such as {DEFAULT_STORE_URL!r}, got an object of type "
            f"{type(store).__name__}, which lacks a method of the store contract."
        )
    if isinstance(store, SupportsMaxBytes):
        store.expect_max_bytes(max_bytes)
    return store
