"""What is weak or wrong in an application, as it is about to be served."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .._http.secret import MIN_SECRET_BYTES
from .._http.token import COMPACT, FULL, TokenSigner, make_token
from .._manager.manager import SessionManager
from ..errors import ConfigError
from ..stores.report import Finding
from .layers import check_layers
from .manager import check_manager
from .ranking import ranked
from .stack import managers_in, paths_through

__all__ = ["check_application"]

_NO_SESSIONS: Final = Finding(
    level="warning",
    subject="SessionMiddleware",
    text="No session of wsgi_session was found in the application, or a layer around it hides it.",
    remedy="application = SessionMiddleware(app), or give the URL of the running site instead",
)


def check_application(
    app: Any, *, sources: Iterable[Path] = (), environ: Mapping[str, str] | None = None, directory: Path | None = None
) -> list[Finding]:
    """Return what is weak or wrong in the sessions of *app*, the worst first. Serves no request, and stores no session.

    Args:
        app: A WSGI application: plain, or of Flask, Django, Pyramid, Bottle or Falcon.
        sources: Python files of the application, in which no secret should be.
        environ: The environment variables that its server starts with. Default: those of this process.
        directory: Where its server starts. Default: the current one.
    """
    paths = paths_through(app)
    managers = {id(manager): manager for path in paths for manager in managers_in(path)}
    found = [] if managers else [_NO_SESSIONS]
    for path in paths:
        found += check_layers(path)
    for manager in managers.values():
        found += check_manager(manager, environ=environ, directory=directory)
    found += _secrets_in_sources(managers.values(), sources)
    return ranked(found)


def _secrets_in_sources(managers: Iterable[SessionManager], sources: Iterable[Path]) -> Iterator[Finding]:
    managers = list(managers)
    for file in sources:
        line = next((line for line, text in _texts_in(file) if any(_is_secret(text, one) for one in managers)), None)
        if line is not None:
            yield Finding(
                level="error",
                subject="secret",
                text=f"{file}, line {line}, has the secret: everybody who can read the code can sign cookies.",
                remedy='export WSGI_SESSION_SECRET="$(cat /etc/shop/session-secret)", a new one',
            )


def _texts_in(file: Path) -> Iterator[tuple[int, str | bytes]]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() | bytes() as text) if len(text) >= MIN_SECRET_BYTES:
                yield node.lineno, text


def _is_secret(text: str | bytes, manager: SessionManager) -> bool:
    """Return whether *text* is a secret of *manager*: whether that accepts what it signs."""
    for form in (FULL, COMPACT):
        try:
            signer = TokenSigner(text, purpose=manager.cookie.wire_name, form=form)
        except ConfigError:  # a sentence, say
            return False
        if manager.is_signed(signer.sign(make_token(form))):
            return True
    return False
