"""What an import brings along: nothing that nobody asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import wsgi_session
from wsgi_session import stores

# What every application needs of the stores, and what one asks for.
COMMON = {"_parts", "contract", "epoch", "memory", "option", "per_process", "record", "reporting", "url"}
EXTRA = {"memcached", "redis", "sql", "sqlite"}

# In a new interpreter, beyond what it started with and the libraries that the package cannot do without.
PROGRAM = """
import sys
import itsdangerous, msgspec, werkzeug.http
before = set(sys.modules)
{code}
print(*set(sys.modules) - before)
"""


def imported_by(code: str) -> set[str]:
    run = subprocess.run([sys.executable, "-c", PROGRAM.format(code=code)], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def homes_in(modules: set[str]) -> set[str]:
    """Return the modules and folders of ``wsgi_session.stores`` among *modules*."""
    return {
        name.removeprefix("wsgi_session.stores._parts.").removeprefix("wsgi_session.stores.").split(".")[0]
        for name in modules
        if name.startswith("wsgi_session.stores.")
    }


def test_the_package_brings_no_optional_library_and_no_store_but_memory() -> None:
    """``import wsgi_session`` is the start of every worker process: it reads its own code and the standard library."""
    modules = imported_by("import wsgi_session")

    assert {name.partition(".")[0] for name in modules} - sys.stdlib_module_names == {"wsgi_session"}
    assert homes_in(modules) == COMMON
    assert "sqlite3" not in modules


@pytest.mark.parametrize(
    ("url", "home", "library"),
    [
        pytest.param("memory://", "memory", "heapq", id="memory"),
        pytest.param("sqlite:///sessions.sqlite3", "sqlite", "sqlite3", id="sqlite"),
        pytest.param("redis://localhost:6379/0", "redis", "redis", id="redis"),
        pytest.param("memcached://localhost:11211", "memcached", "pymemcache", id="memcached"),
        pytest.param("sqlite+pysqlite:///sessions.sqlite3", "sql", "sqlalchemy", id="sql"),
    ],
)
def test_a_url_brings_its_own_store_alone(url: str, home: str, library: str) -> None:
    """An application with one store never reads the code of another."""
    pytest.importorskip(library)

    homes = homes_in(imported_by(f"import wsgi_session; wsgi_session.stores.store_from_url({url!r})"))

    assert homes & EXTRA == {home} & EXTRA


def test_a_command_does_not_bring_the_doctor() -> None:
    """An operator waits for every module that a command reads before it begins."""
    pytest.importorskip("click")
    pytest.importorskip("rich")

    assert not {name for name in imported_by("import wsgi_session.cli.commands") if "_doctor" in name}


def test_a_name_brings_its_own_store_alone() -> None:
    """``from wsgi_session.stores import RedisStore`` is all it takes, and all that is taken."""
    assert homes_in(imported_by("from wsgi_session.stores import RedisStore")) & EXTRA == {"redis"}


def test_every_store_can_be_seen_before_it_is_imported() -> None:
    """Completion in a shell lists all stores, and reads none."""
    code = "from wsgi_session import stores; assert {*stores.__all__, '__name__'} <= {*dir(stores)}"

    assert homes_in(imported_by(code)) == COMMON


def test_a_star_brings_every_store() -> None:
    """``import *`` means all of them."""
    namespace: dict[str, object] = {}

    exec("from wsgi_session.stores import *", namespace)

    assert set(stores.__all__) <= namespace.keys()


def test_a_name_that_does_not_exist_is_told_as_ever() -> None:
    """A misspelt store is an error of the import, in Python's words."""
    with pytest.raises(AttributeError, match=r"module 'wsgi_session.stores' has no attribute 'RediStore'"):
        stores.RediStore  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'RediStore'"):
        exec("from wsgi_session.stores import RediStore")


WITHOUT_UNIX = """
import importlib, os, pkgutil, select, signal, socket, sys
import django
import wsgi_session
from django.conf import settings

# Models can only be imported in a project.
applications = "django.contrib.admin django.contrib.auth django.contrib.contenttypes wsgi_session.contrib.django"
settings.configure(INSTALLED_APPS=applications.split())
django.setup()

def import_all():
    for module in pkgutil.walk_packages(wsgi_session.__path__, "wsgi_session."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if (error.name or "").partition(".")[0] not in sys.argv[1:]:
                    raise

import_all()  # and what they need, which is not in question
for place, names in {
    os: "fork register_at_fork geteuid getuid getegid getgid seteuid fchmod fchown chown link O_NOFOLLOW O_CLOEXEC",
    signal: "SIGKILL SIGALRM SIGHUP SIGCHLD SIGUSR1 alarm setitimer pthread_sigmask",
    socket: "AF_UNIX TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT SO_REUSEPORT",
    select: "poll epoll",
}.items():
    for name in names.split():
        if hasattr(place, name):
            delattr(place, name)
for name in ("fcntl", "pwd", "grp", "resource", "termios", "tty"):
    sys.modules[name] = None
for name in [name for name in sys.modules if name.partition(".")[0] == "wsgi_session"]:
    del sys.modules[name]
import wsgi_session
import_all()
from contextlib import closing
from wsgi_session.stores import SQLiteStore, SQLStore
with closing(SQLiteStore(sys.argv[-1])) as store:
    assert store.count() == 0
if "sqlalchemy" in sys.modules:
    with closing(SQLStore(f"sqlite+pysqlite:///{sys.argv[-1]}2")) as store:
        assert store.count() == 0
"""


def test_no_module_needs_what_windows_lacks(tmp_path: Path) -> None:
    """Each can be imported, and the stores in a file used, without a function or module that only Unix has."""
    extras = [
        "redis",
        "pymemcache",
        "sqlalchemy",
        "prometheus_client",
        "opentelemetry",
        "click",
        "gunicorn",
        "pytest",
        "psycopg",
    ]
    # What frameworks' own imports warn of is theirs: Pyramid's use pkg_resources, WebOb's cgi. Only that is let off.
    theirs = ["UserWarning:pyramid.path", "DeprecationWarning:pkg_resources", "DeprecationWarning:webob.compat"]
    quiet = [word for warning in theirs for word in ("-W", f"ignore::{warning}")]
    # Django does not expect to meet a model twice.
    quiet += ["-W", "ignore:Model 'wsgi_session.session' was already registered:RuntimeWarning"]
    program = [sys.executable, *quiet, "-c", WITHOUT_UNIX, *extras, str(tmp_path / "sessions.sqlite3")]
    run = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("name", sorted({*wsgi_session.__all__} - {"__version__"}))
def test_a_name_is_shown_as_it_is_imported(name: str) -> None:
    """A repr or a traceback names what an application can import, not the module inside that defines it."""
    assert getattr(wsgi_session, name).__module__ == "wsgi_session"
