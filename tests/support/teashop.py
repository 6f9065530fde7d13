"""The example with Flask-Login and Flask-WTF, served as its README says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers import EXAMPLES, Server, gunicorn

TEASHOP = EXAMPLES / "flask_login"


@contextmanager
def teashop(home: Path, *options: str, **environment: str) -> Iterator[Server]:
    """Run the shop in two processes with users of its own, and look at what they logged."""
    with gunicorn(
        "teashop:create_app()",
        "--workers=2",
        "--preload",
        *options,
        directory=TEASHOP,
        home=home,
        FLASK_USERS_DATABASE=str(home / "users.sqlite3"),
        **environment,
    ) as server:
        yield server
    assert not server.said("Traceback|CRITICAL")
