"""A session beside Django's own.

Start it in the directory above::

    export WSGI_SESSION_SECRET=$(wsgi-session keygen) DJANGO_SECRET_KEY=$(wsgi-session keygen)
    python manage.py migrate && python manage.py createsuperuser
    gunicorn --workers 2 --preload shop.wsgi:application

``request.session`` stays Django's: ``django.contrib.auth`` keeps the logged-in user there. This package keeps
``request.environ["session"]``: in ``wsgi-session.sqlite3`` there, or in the store that ``WSGI_SESSION_STORE`` names.
"""
