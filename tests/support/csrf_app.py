"""A site that checks: ``GET`` answers with a token, every other method with the digest of the body that it read."""

import hashlib
import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from wsgi_session import SessionMiddleware
from wsgi_session.csrf import CSRFMiddleware, csrf_token


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "GET":
        answer = {"token": csrf_token(environ), "scheme": environ["wsgi.url_scheme"]}
    else:
        digest, size = hashlib.sha256(), 0
        while chunk := environ["wsgi.input"].read(65536):
            digest.update(chunk)
            size += len(chunk)
        answer = {"digest": digest.hexdigest(), "size": size}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


application = SessionMiddleware(CSRFMiddleware(app))
