"""What the parts of a request take that a session cannot do without, each library's own call by itself."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import msgspec
from itsdangerous import Signer
from werkzeug.sansio.http import parse_cookie

from wsgi_session.stores import MemoryStore

from .in_process import requests
from .measure import Call, Contender, Tick, interleaved
from .places import session_bytes, session_data
from .report import Table

HASH = "H: one HMAC-SHA256 of 64 bytes"
PAUSE_S = 0.0005
OFTEN = 100


def measure(*, rounds: int, calls: int, tick: Tick) -> Table:
    """Time each part in a loop of its own, and after a pause in which the processor did other things."""
    from .peers.plain import bare, beaker, ours

    parts = _parts()
    warm: dict[str, Contender] = {name: partial(_repeated, part) for name, part in parts.items()}
    cold: dict[str, Contender] = {name: _rested(partial(_given, part)) for name, part in parts.items()}
    data = session_data(1024)
    readers = {
        "a request that reads a session of 1 KB in memory": ours(MemoryStore(), data).app,
        "the same with Beaker": beaker(data, type="memory").app,
    }
    without = requests(bare, "untouched", first="/untouched")
    whole = {"a request without sessions": without} | {name: requests(app, "read") for name, app in readers.items()}
    warm |= whole
    cold |= {name: _rested(contender) for name, contender in whole.items()}
    warm_s = {name: median(times) for name, times in interleaved(warm, rounds=rounds, calls=calls, tick=tick).items()}
    cold_s = {name: median(times) for name, times in interleaved(cold, rounds=rounds, calls=calls, tick=tick).items()}
    one_hash = warm_s[HASH] / OFTEN
    table = Table("parts", "What the parts of a request take, in H")
    for name in warm:
        times = OFTEN if name in parts else 1
        table.add(part=name, at_once=warm_s[name] / times / one_hash, after_a_pause=cold_s[name] / one_hash)
    return table


def _parts() -> dict[str, Call]:
    token, signer = secrets.token_urlsafe(32), Signer(b"k" * 32, key_derivation="none", digest_method=hashlib.sha256)
    cookie = f"__Host-session={signer.sign(token).decode()}"
    small, large = session_data(1024), session_data(20480)
    payload, large_payload, cart = session_bytes(small), session_bytes(large), msgspec.json.encode(large["cart"])
    split = msgspec.msgpack.Decoder(dict[str, bytes]).decode
    return {
        HASH: partial(hmac.digest, b"k" * 32, b"m" * 64, "sha256"),
        "werkzeug: parse one cookie": partial(parse_cookie, cookie),
        "itsdangerous: sign a token, as a check does": partial(signer.sign, token),
        "hashlib: SHA-256 of a token": lambda: hashlib.sha256(token.encode()).hexdigest(),
        "secrets: make a token": partial(secrets.token_urlsafe, 32),
        "msgspec: split a session of 1 KB into values": partial(split, payload),
        "msgspec: split one of 20 KB": partial(split, large_payload),
        "msgspec: join the values of 20 KB": partial(msgspec.msgpack.encode, split(large_payload)),
        "msgspec: decode a list of almost 20 KB": partial(msgspec.json.decode, cart),
        "msgspec: encode it": partial(msgspec.json.encode, large["cart"]),
    }


def _given(part: Call) -> Call:
    return part


def _repeated(part: Call) -> Call:
    def call() -> None:
        for _ in range(OFTEN):
            part()

    return call


def _rested(prepare: Contender) -> Contender:
    def rest() -> Callable[[], object]:
        call = prepare()
        time.sleep(PAUSE_S)
        return call

    return rest
