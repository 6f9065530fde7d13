"""What an attacker has at hand: cookies minted apart from the package, and look-alikes of a genuine one."""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from itsdangerous import Signer

from support.client import SECRET, Answer, Client, SpyStore, client_of
from wsgi_session.stores import MemoryStore, SQLiteStore, Store
from wsgi_session.testing import FakeClock

NAME = "__Host-session"
STORES = ["memory", "sqlite"]


@contextmanager
def open_store(kind: str, directory: Path, clock: FakeClock) -> Iterator[Any]:
    """Yield a store of *kind*, closed afterwards."""
    store = MemoryStore(clock=clock) if kind == "memory" else SQLiteStore(directory / "sessions.sqlite3", clock=clock)
    try:
        yield store
    finally:
        store.close()


def spied(app: Any, store: Store | None = None, **options: Any) -> tuple[Client, SpyStore]:
    """Return a client of *app*, and the spy that counts the calls of its store."""
    spy = SpyStore(MemoryStore() if store is None else store)
    return client_of(app, spy, **options), spy


def cookie(value: str, name: str = NAME) -> str:
    """Return a ``Cookie`` header."""
    return f"{name}={value}"


def value_of(answer: Answer, name: str = NAME) -> str:
    """Return the value of the one session cookie that *answer* sets."""
    (line,) = [line for line in answer.cookies if line.startswith(f"{name}=")]
    return line.removeprefix(f"{name}=").partition(";")[0]


def make_token() -> str:
    """Return a well-formed token that nobody knows."""
    return secrets.token_urlsafe(32)


def hkdf(secret: str, info: bytes) -> bytes:
    """Return the 32 bytes that HKDF-SHA256 (RFC 5869) makes of *secret* for the purpose *info*."""
    extracted = hmac.digest(b"wsgi_session/v1", secret.encode(), "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def mint(
    token: str,
    *,
    secret: str = SECRET,
    name: str = NAME,
    info: bytes = b"sid-sign",
    salt: str | None = None,
    key_derivation: str = "hmac",
    digest: Any = hashlib.sha256,
    key: bytes | None = None,
) -> str:
    """Return *token* signed by the published recipe, or by a recipe that is wrong in one place."""
    salt = f"wsgi_session.v1:sid:{len(name)}:{name}" if salt is None else salt
    key = hkdf(secret, info) if key is None else key
    return Signer(key, salt=salt, key_derivation=key_derivation, digest_method=digest).sign(token).decode()
