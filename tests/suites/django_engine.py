"""The tests that Django has for each of its own engines, on this package's. A label, by which its runner finds it.

Here, not made at run time: its parallel workers get each test by the name of its class.
"""

from django.test import SimpleTestCase
from sessions_tests.tests import SessionTestsMixin  # type: ignore[import-not-found]  # in Django's archive

from wsgi_session.contrib.django import SessionStore


class EngineTests(SessionTestsMixin, SimpleTestCase):  # type: ignore[misc]  # no types there
    backend = SessionStore
