"""Whether a server runs the application in several processes, by what it will read when it starts."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["several_workers"]

_OPTION: Final = re.compile(r"(?:^|\s)(?:-w|--workers)[\s=]*([0-9]+)")
_COUNTS: Final = ("WEB_CONCURRENCY", "UWSGI_PROCESSES", "UWSGI_WORKERS")


def several_workers(environ: Mapping[str, str], directory: Path) -> str | None:
    """Return what asks for several worker processes, such as ``WEB_CONCURRENCY=4``; ``None`` if nothing does.

    Args:
        environ: The environment variables of the server.
        directory: Where it starts, and looks for ``gunicorn.conf.py``.
    """
    for name in _COUNTS:
        if _is_several(environ.get(name, "")):
            return f"{name}={environ[name].strip()}"
    option = _OPTION.search(environ.get("GUNICORN_CMD_ARGS", ""))
    if option is not None and _is_several(option[1]):
        return f"GUNICORN_CMD_ARGS with --workers {option[1]}"
    return _in_settings(directory / "gunicorn.conf.py")


def _is_several(count: str) -> bool:
    return count.strip().isdecimal() and int(count) > 1


def _in_settings(file: Path) -> str | None:
    # Reading it is enough, and has no effects: only the server runs it.
    try:
        statements = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id="workers")], value=value):
                if not (isinstance(value, ast.Constant) and value.value in (0, 1)):
                    return f"gunicorn.conf.py with workers = {ast.unparse(value)}"
    return None
