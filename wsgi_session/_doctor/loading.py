"""``module:application``, as gunicorn takes it: imports the module and returns the application."""

import ast
import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from ..errors import ConfigError

__all__ = ["CannotLoad", "load_application", "sources_in"]

_DEFAULT: Final = "application"
_TELLING: Final = (ConfigError, ImportError, AttributeError, NameError, SyntaxError, KeyError)
"""Errors whose text is about names and options. That of others may quote what is secret, as a database's URL."""


class CannotLoad(Exception):
    """There is no such application, or its module fails. The text says where."""


def load_application(target: str, directory: Path) -> Any:
    """Return the application that *target* names: ``module:name``, ``module:factory()`` or ``module``.

    Args:
        target: As gunicorn takes it. Without a name: ``application``. A factory's arguments are literals.
        directory: Comes first on the path.

    Raises:
        CannotLoad: It cannot be imported or called, or is not callable itself.
    """
    module_name, _, expression = target.partition(":")
    call = _parsed(expression or _DEFAULT)
    place = str(directory.resolve())
    if place not in sys.path[:1]:
        sys.path.insert(0, place)
    try:
        app = _evaluated(call, importlib.import_module(module_name))
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever the application's own code raises
        raise CannotLoad(f"{target}: {_description(error)}") from None
    if not callable(app):
        raise CannotLoad(f"{target} is an object of type {type(app).__name__}, which is not callable.")
    return app


def sources_in(directory: Path) -> list[Path]:
    """Return the Python files in *directory* that were imported, without installed packages."""
    place = directory.resolve()
    files = {Path(file).resolve() for module in list(sys.modules.values()) if (file := _file_of(module))}
    return sorted(
        file for file in files if file.is_relative_to(place) and not {"site-packages", "dist-packages"} & {*file.parts}
    )


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and file.endswith(".py") else None


def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        raise CannotLoad(f"{expression!r} is neither a name nor a call, such as app or make_app().") from None


def _evaluated(expression: ast.expr, module: ModuleType) -> Any:
    match expression:
        case ast.Name(id=name):
            return getattr(module, name)
        case ast.Attribute(value=owner, attr=name):
            return getattr(_evaluated(owner, module), name)
        case ast.Call(func=factory, args=args, keywords=keywords):
            values = [ast.literal_eval(arg) for arg in args]
            options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in keywords}
            return _evaluated(factory, module)(*values, **options)
    raise NameError(f"{ast.unparse(expression)} is neither a name nor a call, such as app or make_app().")


def _description(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, _TELLING):
        return f"{name}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{name} at {frames[-1].filename}, line {frames[-1].lineno}"
