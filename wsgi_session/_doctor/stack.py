"""The layers of a WSGI application, and the managers of this package in them."""

import inspect
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from .._manager.manager import SessionManager
from .._wsgi.middleware import SessionMiddleware
from .._wsgi.wrapper import Wrapper

__all__ = ["Layers", "managers_in", "paths_through"]

Layers = tuple[Any, ...]
"""What a request passes on one of its ways, the outermost first."""

_ATTRIBUTES: Final = ("wsgi_app", "app", "application", "_app", "wrapped", "__wrapped__", "__self__")
"""Where middleware of others commonly keeps the application that it wraps."""

_MAX_DEPTH: Final = 40
_MAX_PATHS: Final = 200


def paths_through(app: Any) -> list[Layers]:
    """Return the ways of a request through *app*, one for each application that is mounted in it."""
    paths: list[Layers] = []
    _walk(app, (), paths)
    return paths


def managers_in(path: Layers) -> list[SessionManager]:
    """Return each manager that opens sessions on this way, the outermost first."""
    found: dict[int, SessionManager] = {}
    for layer in path:
        for manager in (layer.manager,) if isinstance(layer, SessionMiddleware) else _managers_of_adapters(layer):
            found.setdefault(id(manager), manager)
    return list(found.values())


def _walk(layer: Any, outside: Layers, paths: list[Layers]) -> None:
    path = (*outside, layer)
    inside = [] if len(path) >= _MAX_DEPTH else [one for one in _inside(layer) if not any(one is seen for seen in path)]
    for one in inside:
        if len(paths) < _MAX_PATHS:
            _walk(one, path, paths)
    if not inside:
        paths.append(path)


def _inside(layer: Any) -> Iterator[Any]:
    """Yield what *layer* may pass a request on to."""
    if isinstance(layer, Wrapper):
        yield layer.app  # its other attributes are those of the application
        return
    if isinstance(layer, partial):
        yield layer.func
    if inspect.isfunction(layer):
        for cell in layer.__closure__ or ():
            yield from _callables(_content(cell))
    for name in _ATTRIBUTES:
        yield from _callables(inspect.getattr_static(layer, name, None) and getattr(layer, name, None))
    mounts = getattr(layer, "mounts", None)
    if isinstance(mounts, dict):
        for mounted in mounts.values():
            yield from _callables(mounted)


def _callables(thing: Any) -> Iterator[Any]:
    if callable(thing) and not isinstance(thing, type) and not inspect.ismodule(thing):
        yield thing


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not set yet
        return None


def _managers_of_adapters(layer: Any) -> Iterator[SessionManager]:
    """Yield the manager of a framework's adapter. It is above this package's core, so we know it by its looks."""
    found = []
    if isinstance(getattr(layer, "extensions", None), dict):
        manager_of = getattr(getattr(layer, "session_interface", None), "manager_of", None)
        found.append(layer.extensions.get("wsgi_session") or (manager_of and manager_of(layer)))
    registered = getattr(getattr(layer, "registry", None), "registeredUtilities", None)
    if registered is not None:
        found += [getattr(utility.component, "manager", None) for utility in registered()]
    if type(layer).__module__.startswith("django."):
        adapter = sys.modules.get("wsgi_session.contrib.django.managers")
        found.append(adapter and adapter.session_manager())
    yield from (manager for manager in found if isinstance(manager, SessionManager))
