"""A site for operators: what the sessions do, and how to end those that must end.

::

    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from wsgi_session import SessionMiddleware, get_session
    from wsgi_session.dashboard import Dashboard

    def is_operator(environ):
        return get_session(environ).user_id in OPERATORS

    dashboard = Dashboard(manager, authorize=is_operator)
    application = SessionMiddleware(DispatcherMiddleware(site, {"/sessions": dashboard}), manager=manager)
"""

from .application import Dashboard

__all__ = ["Dashboard"]
