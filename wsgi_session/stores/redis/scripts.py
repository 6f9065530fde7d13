"""The changes of a session in Redis: one Lua script each, so each is atomic and takes one round trip."""

from hashlib import sha1
from typing import Final

from .._parts.packed import FLAGS_AT, FORMAT, JUDGED_BYTES, MAGIC, MAX_VALUE_BYTES, USER_AT, USER_BYTES_AT
from .._parts.table import SWEEP_BATCH, SWEEP_EVERY
from ..contract import EXPIRY_GRACE_S

__all__ = ["ADD_SESSION", "DELETE", "MUST_ADD", "REMOVE_SESSIONS", "TOUCH", "UPDATE", "UPDATE_OR_LOAD", "Script"]

MUST_ADD: Final = 2
"""What an update returns that did nothing, because the session must first be added to those of its user."""


class Script:
    """A Lua script; we send its text only to a server that does not know it yet.

    Its arguments begin with one key.
    """

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.digest = sha1(self.text, usedforsecurity=False).hexdigest()


def _of_live(body: str, *, returns_value: bool = False) -> Script:
    """Return a script whose second argument is the time now.

    Before *body* it returns 0 if the key has no live session, as when it has a tombstone, and -1 if a newer release
    wrote what it has. If it *returns_value*, it returns the value under the key in place of 0 and -1.
    """
    text = _FIND_LIVE + body
    return Script(f"local function run() {text} end\n{_DONE_OR_VALUE}" if returns_value else text)


_FIND_LIVE: Final = f"""
local head = redis.call('GETRANGE', KEYS[1], 0, {JUDGED_BYTES - 1})
if #head < {JUDGED_BYTES} or string.sub(head, 1, 3) ~= '{MAGIC.decode()}' then return 0 end
if string.byte(head, 4) > {FORMAT} then return -1 end
local version = string.sub(head, 5, 12)
local seen_at, expires_at = struct.unpack('>dd', head, 13)
local now = struct.unpack('>d', ARGV[1])
if not (expires_at > now) then return 0 end
if string.byte(head, 4) == {FORMAT} and string.byte(head, {FLAGS_AT + 1}) % 2 == 1 then return 0 end
"""

_DONE_OR_VALUE: Final = f"""
local done = run()
if done > 0 then return done end
return redis.call('GETRANGE', KEYS[1], 0, {MAX_VALUE_BYTES - 1})
"""

_TTL_MS: Final = f"math.max(1, math.ceil((expires_at - now + {EXPIRY_GRACE_S:.0f}) * 1000))"

# A session that is used lives on for the gap between its limits: if that grows, so must the life of its user's set.
_GROWS: Final = "new_expires_at - new_seen_at > expires_at - seen_at + 3600"

# Whose session it is, until the end of its user's id. Only the present format has users.
_USER: Final = f"""
local function user()
    if string.byte(head, 4) ~= {FORMAT} then return '' end
    local bytes = struct.unpack('>i', redis.call('GETRANGE', KEYS[1], {USER_BYTES_AT}, {USER_BYTES_AT + 3}))
    if bytes < 1 then return '' end
    local at = {USER_AT} + (string.byte(head, {FLAGS_AT + 1}) % 4 >= 2 and 16 or 0)
    return redis.call('GETRANGE', KEYS[1], at, at + bytes - 1)
end
"""

# ARGV: now, the version that was loaded, the new value, and unless the user's set has it, its user
_UPDATE: Final = f"""
if version ~= ARGV[2] then return 0 end
{_USER}
local value = ARGV[3]
local new_seen_at, new_expires_at = struct.unpack('>dd', value, 13)
if ARGV[4] ~= '' and ({_GROWS} or user() ~= ARGV[4]) then return {MUST_ADD} end
local is_tombstone = string.byte(value, {FLAGS_AT + 1}) % 2 == 1
if is_tombstone or seen_at > now + {EXPIRY_GRACE_S:.0f} then seen_at, expires_at = new_seen_at, new_expires_at end
if new_seen_at < seen_at or new_expires_at < expires_at then
    new_seen_at, new_expires_at = math.max(seen_at, new_seen_at), math.max(expires_at, new_expires_at)
    value = string.sub(value, 1, 12) .. struct.pack('>dd', new_seen_at, new_expires_at) .. string.sub(value, 29)
end
expires_at = new_expires_at
redis.call('SET', KEYS[1], value, 'PX', {_TTL_MS})
return 1
"""
UPDATE: Final = _of_live(_UPDATE)
UPDATE_OR_LOAD: Final = _of_live(_UPDATE, returns_value=True)

# ARGV: now, the new limits, and something if its user's set has it. Returns the user if it must be added first.
TOUCH: Final = _of_live(f"""
{_USER}
local new_seen_at, new_expires_at = struct.unpack('>dd', ARGV[2])
if ARGV[3] == '' and {_GROWS} then
    local its_user = user()
    if its_user ~= '' then return its_user end
end
seen_at, expires_at = math.max(seen_at, new_seen_at), math.max(expires_at, new_expires_at)
redis.call('SETRANGE', KEYS[1], 12, struct.pack('>dd', seen_at, expires_at))
redis.call('PEXPIRE', KEYS[1], {_TTL_MS})
return 1
""")

# ARGV: now, the version to remove or nothing
DELETE: Final = _of_live("""
if ARGV[2] ~= '' and version ~= ARGV[2] then return 0 end
return redis.call('UNLINK', KEYS[1])
""")

# The key is that of a user's set. ARGV: the session's key, the time now, how long the set must live, and NX unless the
# entry goes to the end, if it is there. Returns some entries to look at, now and then: more than are added.
ADD_SESSION: Final = Script(f"""
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
local at = math.max(tonumber(ARGV[2]), (tonumber(last) or 0) + 0.000001)
redis.call('ZADD', KEYS[1], ARGV[4], string.format('%.17g', at), ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
if redis.call('ZCARD', KEYS[1]) % {SWEEP_EVERY} ~= 0 then return {{}} end
return redis.call('ZRANDMEMBER', KEYS[1], {SWEEP_BATCH})
""")

# ARGV: the time before which an entry must have been added to be removed, and the entries
REMOVE_SESSIONS: Final = Script("""
for place = 2, #ARGV do
    local at = redis.call('ZSCORE', KEYS[1], ARGV[place])
    if at and tonumber(at) < tonumber(ARGV[1]) then redis.call('ZREM', KEYS[1], ARGV[place]) end
end
return 1
""")
