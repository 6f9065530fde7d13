"""``wsgi-session demo`` as a user starts it: a process of its own, on a free port."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Demo:
    """A running demo; its temporary files are in *directory*."""

    process: "subprocess.Popen[str]"
    port: int
    greeting: str
    directory: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """End it, and return the exit status and what the terminal showed after the greeting."""
        if number is signal.SIGTERM:
            self.process.send_signal(number)
        else:
            # A terminal sends its signals to the workers, too.
            os.killpg(self.process.pid, number)
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output


@contextmanager
def running_demo(directory: Path, *options: str) -> Iterator[Demo]:
    """Start the demo with *options*, and end it if the test did not."""
    command = [sys.executable, "-m", "wsgi_session", "demo", "--port", "0", *options]
    environment = {**os.environ, "TMPDIR": str(directory), "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    # As a user has it: what gunicorn leaves unclosed is not for the output that is compared.
    environment.pop("PYTHONWARNINGS", None)
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            lines = []
            for line in process.stdout or ():
                lines.append(line)
                if line.startswith("╰"):
                    break
            greeting = "".join(lines)
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", greeting)
            assert found, greeting
            yield Demo(process, int(found[1]), greeting, directory)
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=20)
