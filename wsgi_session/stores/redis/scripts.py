"""The changes of a session in Redis: one Lua script each, so each is atomic and takes one round trip."""

from hashlib import sha1
from typing import Final

from .._parts.packed import FORMAT, JUDGED_BYTES, MAGIC, MAX_VALUE_BYTES
from ..contract import EXPIRY_GRACE_S

__all__ = ["DELETE", "TOUCH", "UPDATE", "UPDATE_OR_LOAD", "Script"]


class Script:
    """A Lua script; we send its text only to a server that does not know it yet.

    Its arguments begin with one key and the time now. Before *body* it returns 0 if there is no live record under the
    key, and -1 if a newer release wrote it. If it *returns_value*, it returns the value under the key in place of every
    number but 1.
    """

    def __init__(self, body: str, *, returns_value: bool = False) -> None:
        text = _FIND_LIVE + body
        self.text = (f"local function run() {text} end\n{_DONE_OR_VALUE}" if returns_value else text).encode()
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()


_FIND_LIVE: Final = f"""
local head = redis.call('GETRANGE', KEYS[1], 0, {JUDGED_BYTES - 1})
if #head < {JUDGED_BYTES} or string.sub(head, 1, 3) ~= '{MAGIC.decode()}' then return 0 end
if string.byte(head, 4) > {FORMAT} then return -1 end
local version = string.sub(head, 5, 12)
local seen_at, expires_at = struct.unpack('>dd', head, 13)
local now = struct.unpack('>d', ARGV[1])
if not (expires_at > now) then return 0 end
"""

_DONE_OR_VALUE: Final = f"""
if run() == 1 then return 1 end
return redis.call('GETRANGE', KEYS[1], 0, {MAX_VALUE_BYTES - 1})
"""

_TTL_MS: Final = f"math.max(1, math.ceil((expires_at - now + {EXPIRY_GRACE_S:.0f}) * 1000))"

# ARGV: now, the version that was loaded, the new value
_UPDATE: Final = f"""
if version ~= ARGV[2] then return 0 end
local value = ARGV[3]
local new_seen_at, new_expires_at = struct.unpack('>dd', value, 13)
if seen_at > now + {EXPIRY_GRACE_S:.0f} then seen_at, expires_at = new_seen_at, new_expires_at end
if new_seen_at < seen_at or new_expires_at < expires_at then
    new_seen_at, new_expires_at = math.max(seen_at, new_seen_at), math.max(expires_at, new_expires_at)
    value = string.sub(value, 1, 12) .. struct.pack('>dd', new_seen_at, new_expires_at) .. string.sub(value, 29)
end
expires_at = new_expires_at
redis.call('SET', KEYS[1], value, 'PX', {_TTL_MS})
return 1
"""
UPDATE: Final = Script(_UPDATE)
UPDATE_OR_LOAD: Final = Script(_UPDATE, returns_value=True)

# ARGV: now, the new limits
TOUCH: Final = Script(f"""
local new_seen_at, new_expires_at = struct.unpack('>dd', ARGV[2])
seen_at, expires_at = math.max(seen_at, new_seen_at), math.max(expires_at, new_expires_at)
redis.call('SETRANGE', KEYS[1], 12, struct.pack('>dd', seen_at, expires_at))
redis.call('PEXPIRE', KEYS[1], {_TTL_MS})
return 1
""")

# ARGV: now, the version to remove or nothing
DELETE: Final = Script("""
if ARGV[2] ~= '' and version ~= ARGV[2] then return 0 end
return redis.call('UNLINK', KEYS[1])
""")
