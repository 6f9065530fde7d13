"""The command line in this process, and stores with known sessions for it."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace

from click.testing import CliRunner, Result

from wsgi_session import Record
from wsgi_session._values.codec import JSONCodec
from wsgi_session._values.frame_codec import FrameCodec
from wsgi_session.cli.commands import cli
from wsgi_session.stores import Store

__all__ = ["CTRL_C", "INTERRUPTIBLE", "fill", "key_of", "run", "run_on_terminal"]

_CODEC = FrameCodec(JSONCodec())
_DAY_S = 86_400.0
_PATIENCE_S = 60.0
_AGAIN_S = 5.0

CTRL_C = "\x03"

INTERRUPTIBLE = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from wsgi_session.cli import main; main()"
)
"""The command as a user's shell starts it: what runs in the background of a script ignores Ctrl-C."""


def run(*arguments: str, env: dict[str, str] | None = None, typed: str | None = None) -> Result:
    """Run ``wsgi-session`` as in a pipe."""
    return CliRunner(env=env).invoke(cli, arguments, prog_name="wsgi-session", input=typed)


def key_of(number: int) -> str:
    """Return the id of the session with this *number*."""
    return f"{number:064x}"


def fill(store: Store, *, sessions: int = 4) -> None:
    """Store sessions 1, 2, …: each began and was last used as many days ago as its number says.

    Those with an even number are of the user ``ada``, with the label ``phone``; each holds its number times 100 bytes.
    """
    now = time.time()
    for number in range(1, sessions + 1):
        at = now - number * _DAY_S
        value = _CODEC.encode("text", "x" * 100 * number)
        record = Record(
            data=_CODEC.join({"text": value, "n": _CODEC.encode("n", number)}),
            created_at=at,
            seen_at=at,
            expires_at=now + _DAY_S,
        )
        if number % 2 == 0:
            record = replace(record, user_id="ada", label="phone", authenticated_at=at)
        store.create(key_of(number), record)
    store.close()


def run_on_terminal(
    *arguments: str,
    columns: int = 80,
    typed: str = "",
    env: dict[str, str] | None = None,
    program: str = INTERRUPTIBLE,
) -> tuple[int, str]:
    """Run ``wsgi-session``, or a *program*, on a terminal of its own; return its status, and what the terminal shows.

    What is *typed* comes when a question has been asked.
    """
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color", **(env or {})}
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while select.select([leader], [], [], _PATIENCE_S)[0]:
                shown += os.read(leader, 4096)
                if typed and b"? [y/N]" in shown:
                    if typed == CTRL_C:
                        _interrupt(process, leader)
                    else:
                        os.write(leader, typed.encode())
                    typed = ""
        except OSError:  # the end of a terminal whose program has ended
            pass
        os.close(leader)
    return process.returncode, re.sub("\r+\n", "\n", shown.decode())


def _interrupt(process: "subprocess.Popen[bytes]", terminal: int) -> None:
    """Do what Ctrl-C does on a terminal of the program's own, until it prints or ends.

    A signal that comes just before the program begins to read is noticed only when it has read: users press it again.
    """
    until = time.monotonic() + _PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        process.send_signal(signal.SIGINT)
        if select.select([terminal], [], [], _AGAIN_S)[0]:
            return
