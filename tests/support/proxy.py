"""A proxy between a store and its server that does what networks do: forget connections, swallow, refuse.

::

    with closing(Proxy(server.port)) as proxy:
        store = RedisStore(f"redis://127.0.0.1:{proxy.port}")
        ...
        proxy.forget()  # as a firewall or load balancer whose table was emptied: the next packet is answered by a reset
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

__all__ = ["Proxy"]

Fate = Literal["pass", "reset", "swallow"]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 seconds
_BUFFER_BYTES = 1 << 20


@dataclass(eq=False)
class Link:
    """One connection: its end near the client, and its end far from it, at the server."""

    near: socket.socket
    far: socket.socket
    fate: Fate = "pass"


class Proxy:
    """Passes on what comes to its own ``port`` of 127.0.0.1, and can interfere.

    Args:
        target: The port of 127.0.0.1 where the server is; may be set later, before the first connection.
        port: The proxy's own port; by default a free one.

    ``on_question`` is called with what a client says before the server hears it; ``on_answer`` with what the server
    says, and returns what the client shall hear, or ``None`` to hang up.
    """

    def __init__(self, target: int = 0, *, port: int = 0) -> None:
        self.target = target
        self.said = b""
        self.on_question: Callable[[bytes], object] = lambda said: None
        self.on_answer: Callable[[bytes], bytes | None] = lambda said: said
        self._fate_of_new: Fate = "pass"
        self._links: list[Link] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = port
        self.admit()

    @property
    def address(self) -> str:
        """Where it is, as ``host:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        return len(self._links)

    # --- what networks do --------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Answer by a reset whatever comes on a connection that is open now. Its client notices when it sends."""
        self._doom("reset")

    def silence(self, *, new_ones_too: bool = False) -> None:
        """Swallow whatever comes on a connection that is open now: no answer, and no end either."""
        self._doom("swallow")
        if new_ones_too:
            self._fate_of_new = "swallow"

    def hang_up(self) -> None:
        """End every connection in good order, as a server that restarts does: its client can see that at once."""
        for link in self._links:
            for end in (link.near, link.far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Refuse new connections until :meth:`admit` is called."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            self._listener.close()
            self._listener = None

    def admit(self) -> None:
        """Take new connections, and pass on what comes on them."""
        self._fate_of_new = "pass"
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = int(self._listener.getsockname()[1])
            self._run(partial(self._accept, self._listener))

    def inject(self, said: bytes) -> None:
        """Tell the client of the newest connection something that it did not ask for."""
        self._links[-1].near.sendall(said)

    def close(self) -> None:
        """End every connection, and wait until nothing of the proxy runs any more."""
        self.refuse()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)
        for link in self._links:
            link.near.close()
            link.far.close()

    # --- one connection ----------------------------------------------------------------------------------------------

    def _doom(self, fate: Fate) -> None:
        for link in self._links:
            link.fate = fate

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                near, _ = listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self.target), 10)
                except OSError:  # the server is down: so is what stands before it
                    near.close()
                    continue
                far.settimeout(None)
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link = Link(near, far, self._fate_of_new)
                self._links.append(link)
                self._run(partial(self._ask, link))
                self._run(partial(self._answer, link))

    def _ask(self, link: Link) -> None:
        with suppress(OSError):
            while said := link.near.recv(_BUFFER_BYTES):
                if link.fate == "reset":
                    link.near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    link.near.close()
                    break
                if link.fate == "pass":
                    self.said += said
                    self.on_question(said)
                    link.far.sendall(said)
            link.far.shutdown(socket.SHUT_RDWR)

    def _answer(self, link: Link) -> None:
        with suppress(OSError):
            while said := link.far.recv(_BUFFER_BYTES):
                heard = self.on_answer(said) if link.fate == "pass" else b""
                if heard is None:
                    break
                link.near.sendall(heard)
            if link.fate == "pass":  # else its client is to notice nothing
                link.near.shutdown(socket.SHUT_RDWR)
