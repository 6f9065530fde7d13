"""The rows about how the layers of an application stand to each other."""

from collections.abc import Iterator

from .._wsgi.middleware import SessionMiddleware
from ..csrf import CSRFMiddleware
from ..stores.report import Finding
from .stack import Layers, managers_in

__all__ = ["check_layers"]


def check_layers(path: Layers) -> Iterator[Finding]:
    """Yield what is wrong with the order of these layers, the outermost first."""
    yield from _csrf_outside(path)
    yield from _same_key(path)
    yield from _same_cookie(path)
    yield from _unchecked(path)


def _csrf_outside(path: Layers) -> Iterator[Finding]:
    keys = set()
    for layer in path:
        if isinstance(layer, SessionMiddleware):
            keys.add(layer.environ_key)
        elif isinstance(layer, CSRFMiddleware) and layer.environ_key not in keys:
            yield Finding(
                level="error",
                subject="CSRFMiddleware",
                text=f"No SessionMiddleware with environ_key={layer.environ_key!r} is outside of it, so every request "
                "fails.",
                remedy="application = SessionMiddleware(CSRFMiddleware(app), ...)",
            )


def _same_key(path: Layers) -> Iterator[Finding]:
    keys = [layer.environ_key for layer in path if isinstance(layer, SessionMiddleware)]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield Finding(
            level="error",
            subject="environ_key",
            text=f"Two SessionMiddlewares around one application use environ_key={key!r}, so every request fails.",
            remedy="Leave one of them out, or give one another: SessionMiddleware(app, environ_key='shop.session')",
        )


def _same_cookie(path: Layers) -> Iterator[Finding]:
    names = [manager.cookie.wire_name for manager in managers_in(path)]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Finding(
            level="error",
            subject="cookie name",
            text=f"Two parts of the application set the cookie {name!r}: each replaces the other's session.",
            remedy="Share one manager between them, or give one another name: cookie=Cookie(name='shop')",
        )


def _unchecked(path: Layers) -> Iterator[Finding]:
    has_checks = any(isinstance(layer, CSRFMiddleware) or _has_own_checks(layer) for layer in path)
    for layer in path:
        if isinstance(layer, SessionMiddleware) and layer.manager.cookie.samesite == "None" and not has_checks:
            yield Finding(
                level="error",
                subject="CSRFMiddleware",
                text="Other sites' requests carry the cookie (SameSite=None), and no CSRFMiddleware checks them.",
                remedy="application = SessionMiddleware(CSRFMiddleware(app), ...)",
            )


def _has_own_checks(layer: object) -> bool:
    """Return whether this is a Flask application with Flask-WTF, or one of Django, which checks by default."""
    extensions = getattr(layer, "extensions", None)
    return (isinstance(extensions, dict) and "csrf" in extensions) or type(layer).__module__.startswith("django.")
