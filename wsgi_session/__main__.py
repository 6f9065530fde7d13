"""``python -m wsgi_session`` is the command ``wsgi-session``."""

import sys

from .cli import main

sys.exit(main())
