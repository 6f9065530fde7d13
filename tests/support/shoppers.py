"""What twenty people do to the examples at once, and what each of them must find."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from support.client import Answer
from support.servers import Browser

BROWSERS = 20
COOKIE = "__Host-session"


def json_of(answer: Answer) -> Any:
    assert answer.status == 200, (answer.status, answer.body)
    return json.loads(answer.body)


def visit(browser: Browser, user: str, halfway: threading.Semaphore) -> None:
    """Count, log in, and fill a cart, most of it in requests that run at the same time."""

    def count() -> Answer:
        return browser.get("/count")

    try:
        assert json_of(browser.get("/")) == {"hits": 0, "cart": []}
        assert COOKIE not in browser.jar  # nothing was stored yet
        assert json_of(count()) == {"hits": 1}
        before = browser.jar[COOKIE]
        browser.open_forms("/shop")
        assert json_of(browser.post("/login", user=user, password="open sesame"))["user"] == user
        assert browser.jar[COOKIE] != before
        browser.open_forms("/shop")  # a login ends the tokens from before
        at_once(count, count, count, lambda: browser.post("/cart", item=f"{user}'s tea"))
    finally:
        halfway.release()
    at_once(count, count, count, lambda: browser.post("/cart", item=f"{user}'s rice"))
    at_once(count, count, count, count)

    assert json_of(browser.get("/")) == {"hits": 11, "cart": [f"{user}'s tea", f"{user}'s rice"]}
    assert json_of(browser.get("/whoami"))["user"] == user


def at_once(*requests: Callable[[], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = [*pool.map(lambda request: request(), requests)]
    for answer in answers:
        assert answer.status == 200, (answer.status, answer.body)
    return answers
