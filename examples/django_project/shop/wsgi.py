"""What a WSGI server loads: Django, wrapped."""

import os

from django.core.wsgi import get_wsgi_application

from wsgi_session import SessionMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

application = SessionMiddleware(get_wsgi_application())
