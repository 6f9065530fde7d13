"""The adapters, as their frameworks' applications use them."""

from typing import assert_type

from flask import Flask

from wsgi_session import SessionManager
from wsgi_session.contrib import flask
from wsgi_session.contrib.prometheus import PrometheusMetrics
from wsgi_session.dashboard import Dashboard

app = Flask(__name__)
sessions = flask.Session(app)
assert_type(sessions.init_app(app), None)
metrics = PrometheusMetrics()
manager = SessionManager(on_event=[metrics])
Dashboard(manager, authorize=lambda environ: False)
Dashboard(manager, authorize=True)  # type: ignore[arg-type]
flask.Session("shop")  # type: ignore[arg-type]
