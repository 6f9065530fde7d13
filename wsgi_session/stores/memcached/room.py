"""Whether a server takes items as large as a session may become: its option ``-I``, by default 1 MiB."""

from typing import Any

from ...errors import StoreUnavailable
from .._parts.packed import BESIDE_BYTES

__all__ = ["check_room"]


def check_room(client: Any, max_bytes: int, name: str) -> None:
    """Ask the server called *name* for its limit, on a connection of its own.

    Raises:
        StoreUnavailable: It does not take items with *max_bytes* of data.
        OSError: It did not answer.
    """
    try:
        limit = client.stats("settings").get(b"item_size_max")
    except OSError:
        raise
    except Exception:  # noqa: BLE001  a proxy: many know no such command, and each refuses it in its own way
        return
    needed = max_bytes + BESIDE_BYTES
    if isinstance(limit, int) and limit < needed:
        raise StoreUnavailable(
            f"memcached at {name} takes items of at most {limit} bytes, and one for a session of max_bytes={max_bytes} "
            f"may have {needed}. Start it with a larger item size, such as -I 2m, or lower max_bytes to at most "
            f"{max(limit - BESIDE_BYTES, 0)}."
        )
