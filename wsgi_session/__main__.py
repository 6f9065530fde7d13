"""``python -m wsgi_session`` is the command ``wsgi-session``."""

from .cli import main

main()
