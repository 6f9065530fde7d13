"""The plan of the house, enforced by reading the source: what each room may import, and what no room may do."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import wsgi_session

ROOT = Path(wsgi_session.__file__).parent

# One folder, one floor: imports point strictly down each of these lines, and rooms on one floor do not know each other.
# A folder's __init__ is its face: it may import every room of the folder, and no room of the folder imports it.
FLOORS = {
    "": "__main__ / cli / contrib dashboard demo testing / _doctor / __init__ csrf / _wsgi / _manager "
    "/ _session importers / stores / _http _pages _values / events / _common / errors",
    "_common": "audit_line breaker_events csrf_rejected / dispatcher / clock options throttle",
    "_http": "cookie headers token / secret",
    "_values": "former / frame_codec / codec value / parts / to_json / from_json frame plain_json / limits meta moment",
    "importers": "beaker django flask / importer signature tagged_json / envelope event option payload / key_value",
    "stores": "url / memcached memory migrating mover redis sql sqlite / _parts / contract / record report",
    "stores/_parts": "breaker / clock_report epoch file_report fork moved option packed per_process permissions "
    "reasons reporting resting row sqlite_file table",
    "stores/memcached": "store / report / server / replies room",
    "stores/redis": "store / address report scan users / keyspace / topology / node / connections watch "
    "/ driver replies scripts",
    "stores/sql": "store / report / database schema / engine statement / cause command psycopg rested sqlite",
    "stores/sqlite": "store / report / file",
    "_session": "session / devices / ownership / status / mapping / transaction / backend / state / changes plan "
    "/ contents frame_merge / identity merge operation own_limits summary / lifetime path",
    "_manager": "manager / backend committer cookie_writer facts finder options outcome registry "
    "/ devices importing rotation / renewal users summaries / listed_data successor writer "
    "/ guarded record_data rules sweeping / abilities capture",
    "_wsgi": "middleware / response wrapper / body",
    "csrf": "middleware / options / exempt form origin token",
    "_doctor": "application site / manager layers answers / loading options ranking stack storage visit "
    "/ latency workers",
    "testing": "client contract / jar login manager users / tombstones / abilities races records / ending reading "
    "resources writing / hooks together / clock",
    "contrib": "audit bottle django falcon flask opentelemetry prometheus pyramid "
    "/ _adapter _listing _measured _secrets",
    "contrib/django": "admin apps management / checks / middleware / models store / managers / settings",
    "contrib/django/management": "commands",
    "contrib/django/management/commands": "sessions",
    "contrib/flask": "extension / commands / interface / session settings",
    "contrib/pyramid": "include / settings / factory / commits csrf session",
    "_pages": "answer wording",
    "dashboard": "application / pages / ending history / row / chart stats view",
    "demo": "server / site / devices / answers / words / journal",
    "cli": "commands / demo doctor migrate sessions stats store / opening / output units / keygen",
}

# For the outside world: they may use any library that has no door.
WINGS = {"cli", "contrib", "dashboard", "demo", "testing"}

# Each library enters the package through one room, or the rooms of one folder, for each thing that is asked of it, so
# that there is one place to check that.
DOORS = {
    "django": {"contrib/django", "importers/django", "testing"},
    "itsdangerous": {"_http/token", "importers/signature"},
    "secrets": {"_http/token", "csrf/token"},
    "werkzeug": {"_http/cookie", "csrf/form", "contrib/flask/interface", "contrib/pyramid/commits"},
    "markupsafe": {"_values/from_json", "importers/tagged_json"},
    "msgspec": {"_values", "importers/flask"},
    "sqlite3": {"stores/sqlite"},
    "redis": {"stores/redis/driver"},
    "ua_parser": {"_manager/capture"},
    "pymemcache": {"stores/memcached/server"},
    "sqlalchemy": {"stores/sql"},
}

# Ruff's SLF forbids to reach into what is private. These modules have a line that is excused, with its reason.
REACHES = {"_session/session", "stores/redis/connections", "stores/sql/rested", "testing/login"}

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 40

# What is longer, with its length: "stores/sqlite/store", or "stores/sqlite/store.load". It may only shrink.
EXCEPTIONS: dict[str, int] = {}

# SEC-68: each of them runs code that it finds in data.
BANNED_MODULES = {"pickle", "marshal", "shelve", "yaml", "dill", "cloudpickle", "jsonpickle"}
BANNED_CALLS = {"eval", "exec", "compile"}

# SEC-16: == stops at the first byte that differs, and tells an attacker where.
SECRET_NAME = re.compile(r"(^|_)(sig|signatures?|h?macs?|tokens?|(hex)?digests?|hash(es)?)(\d|_|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Module:
    """The source of one module; its path is relative to the package and has no suffix: ``stores/sqlite``."""

    path: str
    source: str

    @property
    def room(self) -> str:
        """What the module is called in the tables: a folder's ``__init__`` is the folder."""
        return self.path.removesuffix("/__init__")

    @property
    def is_in_a_wing(self) -> bool:
        return self.path.partition("/")[0] in WINGS

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def imports(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the absolute, dotted name of everything imported, wherever and however."""
        package = ["wsgi_session", *self.path.split("/")[:-1]]
        for node in ast.walk(self.tree):
            match node:
                case ast.Import():
                    yield from ((node.lineno, alias.name) for alias in node.names)
                case ast.ImportFrom():
                    base = package[: len(package) + 1 - node.level] if node.level else []
                    prefix = ".".join([*base, *filter(None, [node.module])])
                    yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)
                case ast.Call(
                    func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                    args=[ast.Constant(value=str(name)), *_],
                ):
                    yield node.lineno, name


MODULES = [
    Module(file.relative_to(ROOT).with_suffix("").as_posix(), file.read_text(encoding="utf-8"))
    for file in sorted(ROOT.rglob("*.py"))
]
PATHS = {module.path for module in MODULES}


def imported_path(name: str) -> str | None:
    """Return the path of the module that the dotted *name* is or lies in, or None if it is not ours."""
    package, *parts = name.split(".")
    if package != "wsgi_session":
        return None
    while parts:
        for path in ("/".join(parts), "/".join([*parts, "__init__"])):
            if path in PATHS:
                return path
        parts.pop()  # the last part is a name in the module
    return "__init__"


def floors_of(folder: str) -> dict[str, int]:
    """Return the rooms of *folder*, each with its floor, counted from the bottom; none if it has no line."""
    floors = reversed(FLOORS.get(folder, "").split("/"))
    return {room: floor for floor, rooms in enumerate(floors) for room in rooms.split()}


def may_import(path: str, other: str) -> bool:
    """Return whether *other* lies below *path*, in the first folder where their ways part."""
    folder: list[str] = []
    for room, other_room in zip(path.split("/"), other.split("/"), strict=False):
        if room != other_room:
            break
        folder.append(room)
    else:
        return False  # the module itself
    if folder and "__init__" in (room, other_room):
        return room == "__init__"
    floors = floors_of("/".join(folder))
    return room in floors and other_room in floors and floors[other_room] < floors[room]


# --- the rules: each yields what is wrong, and says where ------------------------------------------------------------


def rooms_without_a_floor(module: Module) -> Iterator[str]:
    folder, _, room = module.room.rpartition("/")
    if room not in floors_of(folder):
        yield f"{module.path}: has no floor yet; give it one in FLOORS[{folder!r}]"


def upward_imports(module: Module) -> Iterator[str]:
    for line, name in module.imports():
        path = imported_path(name)
        if path is not None and not may_import(module.path, path):
            yield f"{module.path}:{line}: imports {name}, which is not below it"
        if path is not None and path.startswith("testing/") and not module.path.startswith("testing/"):
            yield f"{module.path}:{line}: the package never imports its testing kit"


def side_doors(module: Module) -> Iterator[str]:
    for line, name in module.imports():
        library = name.partition(".")[0]
        doors = DOORS.get(library, set())
        is_at_door = any(module.room == door or module.room.startswith(f"{door}/") for door in doors)
        is_known = library in sys.stdlib_module_names or library == "wsgi_session" or module.is_in_a_wing
        if not (is_at_door or (not doors and is_known)):
            through = " and ".join(sorted(doors)) or "a door of its own, in DOORS,"
            yield f"{module.path}:{line}: {library} enters through {through} only"


def code_from_data(module: Module) -> Iterator[str]:
    for line, name in module.imports():
        if name.partition(".")[0] in BANNED_MODULES:
            yield f"{module.path}:{line}: imports {name}"
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                yield f"{module.path}:{node.lineno}: calls {name}"


def guessable_randomness(module: Module) -> Iterator[str]:
    """SEC-118: secrets come from the operating system. A pause may be random, if a comment at the import says so."""
    lines = module.source.splitlines()
    for line, name in module.imports():
        if name.partition(".")[0] == "random":
            comments = " ".join(text.partition("#")[2] for text in lines[max(line - 2, 0) : line])
            if module.room == "_http/token" or "jitter" not in comments:
                yield f"{module.path}:{line}: imports random without a comment that speaks of jitter"


def leaky_comparisons(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare):
            continue
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(operator, ast.Eq | ast.NotEq):
                for secret in filter(is_secret, (left, right)):
                    yield f"{module.path}:{node.lineno}: compares {ast.unparse(secret)}; use hmac.compare_digest"
            left = right


def is_secret(node: ast.expr) -> bool:
    """Return whether what *node* names, or what it calls a method of that name for, should stay secret."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Attribute(attr=name)):
            return SECRET_NAME.search(name) is not None
        case ast.Subscript(value=value):
            return is_secret(value)
        case _:
            return False


def unexcused_reaches(module: Module) -> Iterator[str]:
    for number, line in enumerate(module.source.splitlines(), start=1):
        if "noqa: SLF001" in line and module.path not in REACHES:
            yield f"{module.path}:{number}: reaches into what is private"


def too_long(module: Module) -> Iterator[str]:
    """A module that outgrows its limit usually holds two ideas; a function fits on a screen, its docstring apart."""
    lines = len(module.source.splitlines())
    if lines > EXCEPTIONS.get(module.path, MAX_MODULE_LINES):
        yield f"{module.path}: has {lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)
            if length > EXCEPTIONS.get(f"{module.path}.{node.name}", MAX_FUNCTION_LINES):
                yield f"{module.path}:{node.lineno}: {node.name} has {length} lines"


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return len((ast.get_docstring(node, clean=False) or "").splitlines())


RULES = [
    rooms_without_a_floor,
    upward_imports,
    side_doors,
    code_from_data,
    guessable_randomness,
    leaky_comparisons,
    unexcused_reaches,
    too_long,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule) -> None:
    """The plan of the house holds for all the source there is."""
    assert [complaint for module in MODULES for complaint in rule(module)] == []


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        pytest.param(upward_imports, "errors", "from wsgi_session._http import token", id="up"),
        pytest.param(upward_imports, "stores/contract", "from .._manager.manager import open", id="up, relative"),
        pytest.param(upward_imports, "stores/__init__", "from .._manager.manager import open", id="a face, up"),
        pytest.param(upward_imports, "stores/sql/schema", "from .store import SQLStore", id="up, in a folder"),
        pytest.param(upward_imports, "stores/sql/schema", "from . import SQLStore", id="the folder's face"),
        pytest.param(
            upward_imports,
            "_values/codec",
            "def f():\n    from .._http.cookie import Cookie",
            id="sideways, in a function",
        ),
        pytest.param(upward_imports, "_http/token", "import wsgi_session", id="the whole package"),
        pytest.param(upward_imports, "__init__", "from .testing import FakeClock", id="testing"),
        pytest.param(upward_imports, "demo/site", "import_module('wsgi_session.cli.commands')", id="cli"),
        pytest.param(
            upward_imports,
            "stores/__init__",
            "def __getattr__(name):\n    from .._manager import manager as home",
            id="lazily",
        ),
        pytest.param(rooms_without_a_floor, "utils", "", id="a room without a floor"),
        pytest.param(rooms_without_a_floor, "stores/tiered", "", id="in a folder that has floors"),
        pytest.param(side_doors, "_session/session", "import itsdangerous", id="itsdangerous"),
        pytest.param(side_doors, "cli/keygen", "import secrets", id="secrets, even in a wing"),
        pytest.param(side_doors, "_wsgi/middleware", "from werkzeug.http import parse_cookie", id="werkzeug"),
        pytest.param(side_doors, "_session/session", "import msgspec.json as json", id="msgspec"),
        pytest.param(side_doors, "stores/memory", "import sqlite3", id="sqlite3"),
        pytest.param(side_doors, "stores/sqlite/store", "import sqlalchemy", id="sqlalchemy, beside the folder"),
        pytest.param(side_doors, "_manager/manager", "import requests", id="a library without a door"),
        pytest.param(side_doors, "stores/url", "import_module('.cli', __package__)", id="by a relative name in a text"),
        pytest.param(code_from_data, "_values/codec", "def f():\n    import pickle", id="pickle"),
        pytest.param(code_from_data, "_values/codec", "from yaml import load", id="yaml"),
        pytest.param(code_from_data, "cli/main", "eval('1')", id="eval"),
        pytest.param(guessable_randomness, "_manager/manager", "import random", id="random without a reason"),
        pytest.param(guessable_randomness, "_http/token", "import random  # jitter", id="random for tokens"),
        pytest.param(leaky_comparisons, "_http/token", "signature == expected", id="signature"),
        pytest.param(leaky_comparisons, "_http/token", "a < b != self.csrf_token", id="token, chained"),
        pytest.param(leaky_comparisons, "_http/token", "x.hexdigest() == y", id="a digest just made"),
        pytest.param(leaky_comparisons, "_http/token", "mac[:8] == y", id="a part of a mac"),
        pytest.param(unexcused_reaches, "errors", "x._y  # noqa: SLF001  a reason", id="a reach"),
        pytest.param(too_long, "errors", "x = 1\n" * (MAX_MODULE_LINES + 1), id="a module"),
        pytest.param(too_long, "errors", "def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES, id="a function"),
    ],
)
def test_a_rule_notices_what_it_forbids(rule, path: str, source: str) -> None:
    """Each rule can fail."""
    assert list(rule(Module(path, source)))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        pytest.param(
            "stores/__init__", "from .contract import Store\nfrom .memory import MemoryStore", id="a face, its rooms"
        ),
        pytest.param("demo/site", "import jinja2\nfrom . import journal\nfrom .._wsgi.middleware import X", id="wing"),
        pytest.param("_http/token", "import secrets\nfrom itsdangerous import Signer", id="a door"),
        pytest.param("stores/sql/__init__", "from .store import SQLStore", id="a folder's face"),
        pytest.param("stores/sql/schema", "import sqlalchemy\nfrom .engine import server_of", id="a door with rooms"),
        pytest.param("_manager/manager", "# Jitter only:\nimport random  # jitter", id="random with a reason"),
        pytest.param("_values/codec", "design == machine\nlen(token) == 43\ntoken is None", id="harmless comparisons"),
        pytest.param("_values/codec", "re.compile('x')", id="a method called compile"),
        pytest.param("errors", f"def f():\n    {'x' * 9!r}\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1), id="40"),
    ],
)
def test_the_rules_leave_honest_code_alone(path: str, source: str) -> None:
    """No rule cries wolf."""
    assert [complaint for rule in RULES for complaint in rule(Module(path, source))] == []


# --- what is promised to users ---------------------------------------------------------------------------------------


def public_names(module: Module) -> set[str]:
    """Return what the module's top level binds without an underscore, and that is not a whole module.

    A folder's face passes on what it imports; what another module imports is for its own use.
    """
    is_face = module.path.endswith("__init__")
    names: set[str] = set()
    nodes = [*module.tree.body]
    for node in nodes:
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                nodes += node.body  # what is imported when it is first asked for
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                names.add(name)
            case ast.ImportFrom(module=source, level=level) if is_face and (
                level or (source or "").startswith("wsgi_session")
            ):
                names.update(alias.asname or alias.name for alias in node.names)
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize(
    "name",
    [
        "wsgi_session",
        "wsgi_session.errors",
        "wsgi_session.events",
        "wsgi_session.importers",
        "wsgi_session.stores",
        "wsgi_session.testing",
        "wsgi_session.csrf",
    ],
)
def test_all_is_sorted_complete_and_true(name: str) -> None:
    """``__all__`` is the promise: everything public is in it, once, and everything in it can be imported."""
    module = importlib.import_module(name)
    path = Path(str(module.__file__)).relative_to(ROOT).with_suffix("").as_posix()
    (source,) = (module for module in MODULES if module.path == path)

    promised = list(module.__all__)

    assert promised == sorted(set(promised))
    assert public_names(source) - set(promised) == set()
    assert [name for name in promised if not hasattr(module, name)] == []
