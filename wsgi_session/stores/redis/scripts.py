"""What changes a session in Redis: one Lua script each, so that it is one round trip and atomic."""

from hashlib import sha1
from typing import Final

from ..base import EXPIRY_GRACE_S
from ..packed import FORMAT, JUDGED_BYTES, MAGIC

__all__ = ["DELETE", "TOUCH", "UPDATE", "Script"]


class Script:
    """A Lua script, sent whole only to a server that does not know it yet.

    It gets one key and the time now, and has already returned 0 if there is no live record under the key, -1 if a newer
    release wrote it.
    """

    def __init__(self, body: str) -> None:
        self.text = (_FIND_LIVE + body).encode()
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()


_FIND_LIVE: Final = f"""
local head = redis.call('GETRANGE', KEYS[1], 0, {JUDGED_BYTES - 1})
if #head < {JUDGED_BYTES} or string.sub(head, 1, 3) ~= '{MAGIC.decode()}' then return 0 end
if string.byte(head, 4) > {FORMAT} then return -1 end
local version = string.sub(head, 5, 12)
local seen_at, expires_at = struct.unpack('>dd', head, 13)
local now = struct.unpack('>d', ARGV[1])
if not (expires_at > now) then return 0 end
local function ttl_ms() return math.max(1, math.ceil((expires_at - now + {EXPIRY_GRACE_S:.0f}) * 1000)) end
local function move_limits(limits, at)
    local seen, expires = struct.unpack('>dd', limits, at)
    seen_at, expires_at = math.max(seen_at, seen), math.max(expires_at, expires)
    return struct.pack('>dd', seen_at, expires_at)
end
"""

# ARGV: now, the version that was loaded, the new value
UPDATE: Final = Script("""
if version ~= ARGV[2] then return 0 end
local limits = move_limits(ARGV[3], 13)
redis.call('SET', KEYS[1], string.sub(ARGV[3], 1, 12) .. limits .. string.sub(ARGV[3], 29), 'PX', ttl_ms())
return 1
""")

# ARGV: now, the new limits
TOUCH: Final = Script("""
redis.call('SETRANGE', KEYS[1], 12, move_limits(ARGV[2], 1))
redis.call('PEXPIRE', KEYS[1], ttl_ms())
return 1
""")

# ARGV: now, the version to remove or nothing
DELETE: Final = Script("""
if ARGV[2] ~= '' and version ~= ARGV[2] then return 0 end
return redis.call('UNLINK', KEYS[1])
""")
