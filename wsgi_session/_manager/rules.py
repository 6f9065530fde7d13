"""What finding, importing and committing have in common: the options of a manager, checked, and what they make."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .._http.cookie import Cookie
from .._http.token import TokenSigner
from .._session.lifetime import Lifetime
from .._values.frame_codec import FrameCodec
from ..events import Dispatcher
from .capture import Describe

__all__ = ["Overflow", "Rules"]

Overflow = Literal["evict_oldest", "refuse"]
"""What happens at a login that is one too many: the earliest session ends, or the login is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The options of one manager."""

    cookie: Cookie
    signer: TokenSigner
    codec: FrameCodec
    max_bytes: int
    lifetime: Lifetime
    events: Dispatcher
    clock: Callable[[], float]
    user_key: str | None
    max_sessions_per_user: int | None
    overflow: Overflow
    describe: Describe | None
