"""The example with Django's admin, set up and served as its README says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.client import SECRET
from support.servers import EXAMPLES, Server, gunicorn

OFFICE = EXAMPLES / "django_admin"

PASSWORD = "open sesame, please"

MAKE_USERS = f"""
from django.contrib.auth.models import User
for name in ("ada", "barbara"):
    User.objects.create_user(name, password={PASSWORD!r})
"""


@contextmanager
def office(home: Path) -> Iterator[Server]:
    """Run the office in two processes, with Grace, who may everything, Ada and Barbara; look at what they logged."""
    environment = {"DJANGO_DATABASE": str(home / "users.sqlite3")}

    def manage(*words: str) -> None:
        ours = {"WSGI_SESSION_SECRET": SECRET, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        ours["PYTHONSAFEPATH"] = ""  # manage.py finds the project beside itself
        subprocess.run(
            [sys.executable, "manage.py", *words], cwd=OFFICE, env=os.environ | environment | ours, check=True
        )

    manage("migrate", "--verbosity=0")
    manage("createsuperuser", "--noinput", "--username=grace", "--email=grace@example.com")
    manage("shell", "--verbosity=0", "--command", MAKE_USERS)
    with gunicorn("office.wsgi", "--workers=2", "--preload", directory=OFFICE, home=home, **environment) as server:
        server.workers(2)
        yield server
    assert not server.said("Traceback|CRITICAL")
