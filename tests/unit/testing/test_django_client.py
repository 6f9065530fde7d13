"""Django's test client, whose requests go through Django's own handler to a site with an adapter.

In a process of its own: Django has one configuration for each.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from support.client import SECRET

SITE = f"""
import django
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from wsgi_session import Cookie, SessionManager
from wsgi_session.csrf.token import is_token_of
from wsgi_session.stores import MemoryStore
from wsgi_session.testing import csrf_token, log_in, session_transaction

manager = SessionManager(MemoryStore(), secret="{SECRET}", user_key="_auth_user_id", cookie=Cookie(name="sid"))

def sessions(get_response):
    '''The adapter: what docs/writing-an-adapter.md asks for, in Django's words.'''
    def middleware(request):
        request.session = manager.open(request.headers.get("Cookie", ""))
        response = get_response(request)
        outcome = manager.commit(request.session, status=response.status_code, is_final=True)
        if outcome.set_cookie is not None:
            response.set_cookie(outcome.name, outcome.value, max_age=outcome.max_age, path="/", secure=True)
        return response
    return middleware

def home(request):
    return HttpResponse(repr(dict(request.session)))

def me(request):
    return HttpResponse(request.user.get_username())

def buy(request):
    is_ours = is_token_of(request.session.derive("csrf"), request.headers.get("X-CSRF-Token", ""))
    request.session["bought"] = is_ours
    return HttpResponse(str(is_ours))

settings.configure(
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[__name__ + ".sessions", "django.contrib.auth.middleware.AuthenticationMiddleware"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    AUTHENTICATION_BACKENDS=[__name__ + ".PermissionsOnly", "django.contrib.auth.backends.ModelBackend"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}}},
    SECRET_KEY="{SECRET}",
    ALLOWED_HOSTS=["testserver"],
)
urlpatterns = [path("", home), path("buy", buy), path("me", me)]
django.setup()
client = Client()

class PermissionsOnly:
    '''A backend without users.'''

def page():
    return eval(client.get("/").content)

"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            """
with session_transaction(client, manager) as session:
    session["cart"] = ["pear"]
assert page() == {"cart": ["pear"]}
with session_transaction(client, manager) as session:
    session["cart"].append("plum")
assert page() == {"cart": ["pear", "plum"]}
assert list(client.cookies) == ["__Host-sid"]
""",
            id="a session is begun, and changed",
        ),
        pytest.param(
            """
with session_transaction(client, manager) as session:
    session["cart"] = ["pear"]
with session_transaction(client, manager) as session:
    session.destroy()
assert not client.cookies and page() == {} and manager.handle().count() == 0
""",
            id="a session is ended",
        ),
        pytest.param(
            """
client.post("/buy")
assert page() == {"bought": False}
with session_transaction(client, manager) as session:
    assert dict(session) == {"bought": False}
    session["cart"] = ["pear"]
assert page() == {"bought": False, "cart": ["pear"]}
""",
            id="a session that a response began is opened",
        ),
        pytest.param(
            """
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from wsgi_session.errors import ConfigError

call_command("migrate", verbosity=0)
ada, bob = (User.objects.create_user(name, password="open sesame") for name in ("ada", "bob"))
assert client.get("/me").content == b""
log_in(client, ada.pk, app=manager)
assert client.get("/me").content == b"ada"
former = client.cookies["__Host-sid"].value
log_in(client, bob.pk, app=manager)
assert client.get("/me").content == b"bob" and client.cookies["__Host-sid"].value != former
try:
    log_in(client, 99, app=manager)
except ConfigError as error:
    assert "AUTHENTICATION_BACKENDS" in str(error)
else:
    raise AssertionError("a user that Django does not have")
assert client.get("/me").content == b"bob"
connection.close()
""",
            id="users log in",
        ),
        pytest.param(
            """
token = csrf_token(client, app=manager)
assert client.post("/buy", headers={"X-CSRF-Token": token}).content == b"True"
assert client.post("/buy", headers={"X-CSRF-Token": csrf_token(Client(), app=manager)}).content == b"False"
""",
            id="a token is of the session",
        ),
    ],
)
def test_a_client_of_django(program: str, tmp_path: Path) -> None:
    """What the other clients can, this one can with the manager of the site's sessions."""
    script = tmp_path / "program.py"
    script.write_text(SITE + program)
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr) == (0, "")
