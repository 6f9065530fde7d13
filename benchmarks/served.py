"""The application that gunicorn serves: the site that ``BENCHMARK_SITE`` names, on files in ``BENCHMARK_HOME``.

Without that name it is the plain application, with sessions in the store at ``BENCHMARK_STORE`` if there is one.
"""

import fcntl
import os
from pathlib import Path

from wsgi_session.stores import store_from_url

from .peers.plain import bare, ours
from .peers.sites import SITES
from .places import session_data

url = os.environ.get("BENCHMARK_STORE")
site = os.environ.get("BENCHMARK_SITE")
secret = os.environ["WSGI_SESSION_SECRET"]

if site:
    home = Path(os.environ["BENCHMARK_HOME"])
    # Two workers that both make the same tables would fail.
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        application = SITES[site](home, session_data())
else:
    application = ours(store_from_url(url), session_data(), secret).app if url else bare
