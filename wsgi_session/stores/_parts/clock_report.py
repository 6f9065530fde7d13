"""Whether a server's clock and this machine's agree."""

from collections.abc import Iterator
from typing import Final

from ..report import Finding

__all__ = ["clock_findings"]

_MAX_SKEW_S: Final = 60.0


def clock_findings(server_s: float, now: float) -> Iterator[Finding]:
    """Yield what is wrong if the server says that it is *server_s*, and this machine that it is *now*, Unix seconds."""
    skew_s = server_s - now
    if abs(skew_s) > _MAX_SKEW_S:
        how = "ahead of" if skew_s > 0 else "behind"
        yield Finding(
            level="warning",
            subject="clock",
            text=f"The server's clock is {abs(skew_s):.0f} seconds {how} this machine's. Where the clocks of the "
            "machines that share sessions differ, sessions end early or late.",
            remedy="timedatectl set-ntp true, on both",
        )
