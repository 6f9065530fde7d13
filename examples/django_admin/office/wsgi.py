"""What a WSGI server loads: Django, and beside it the dashboard of all sessions, for superusers."""

import os

from django.contrib.auth import get_user_model
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from wsgi_session import SessionMiddleware, get_session
from wsgi_session.dashboard import Dashboard

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "office.settings")


def is_operator(environ):
    """Asked with every request to the dashboard, which Django's own middleware does not see."""
    users = get_user_model().objects.filter(pk=get_session(environ).user_id, is_active=True, is_superuser=True)
    return users.exists()


def make_application():
    # The admin's stylesheets, for one machine. In production a web server has them, from `manage.py collectstatic`.
    django = StaticFilesHandler(get_wsgi_application())

    from wsgi_session.contrib.django import session_manager  # needs the settings

    manager = session_manager()
    dashboard = SessionMiddleware(Dashboard(manager, authorize=is_operator), manager=manager)
    return DispatcherMiddleware(django, {"/ops/sessions": dashboard})


application = make_application()
