"""The application that gunicorn serves: without sessions, or with them in the store at ``BENCHMARK_STORE``."""

import os

from wsgi_session.stores import store_from_url

from .peers.plain import bare, ours
from .places import session_data

url = os.environ.get("BENCHMARK_STORE")
secret = os.environ["WSGI_SESSION_SECRET"]

application = ours(store_from_url(url), session_data(), secret).app if url else bare
