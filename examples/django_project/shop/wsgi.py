"""What a WSGI server loads: Django, wrapped."""

import os

from django.core.wsgi import get_wsgi_application

from wsgi_session import SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

# The tokens are Django's: its forms and its admin have them, and CsrfViewMiddleware checks them. This mode needs none.
# In front of Django, it rejects requests that browsers mark as cross-site, even for views that are csrf_exempt.
application = SessionMiddleware(CSRFMiddleware(get_wsgi_application(), mode="fetch-metadata"))
