"""What a WSGI server loads."""

import os

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "office.settings")

# The admin's stylesheets, for one machine. In production a web server has them, from `manage.py collectstatic`.
application = StaticFilesHandler(get_wsgi_application())
