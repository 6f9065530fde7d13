"""Protection against cross-site request forgery (CSRF), bound to the session.

::

    from wsgi_session import SessionMiddleware
    from wsgi_session.csrf import CSRFMiddleware, csrf_field

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [f'<form method="post">{csrf_field(environ)} <button>Buy</button></form>'.encode()]

    application = SessionMiddleware(CSRFMiddleware(application), secret="…")
"""

from .middleware import CSRFMiddleware, csrf_field, csrf_token

__all__ = ["CSRFMiddleware", "csrf_field", "csrf_token"]
