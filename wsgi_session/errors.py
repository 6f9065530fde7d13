"""Every error this package raises on purpose.

::

    SessionError
    ├── ConfigError (ValueError)            an option is wrong
    ├── EncodeError (TypeError)             a value cannot be stored
    │   └── SessionTooLarge                 all values together are too big, or one of them is
    ├── HeadersSent (RuntimeError)          too late to send a cookie
    ├── StoreUnavailable                    the store did not answer, or a value is damaged
    ├── StoreConflict                       other requests were faster, for two seconds
    ├── TooManySessions                     the user has as many other sessions as allowed
    └── NotSupported (NotImplementedError)  this store lacks that ability

What a *client* sends raises none of them: a forged, expired or unknown cookie reads as "no session".
"""

__all__ = [
    "ConfigError",
    "EncodeError",
    "HeadersSent",
    "NotSupported",
    "SessionError",
    "SessionTooLarge",
    "StoreConflict",
    "StoreUnavailable",
    "TooManySessions",
]


class SessionError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(SessionError, ValueError):
    """An option is wrong. Raised while the application starts; the text names the option and the remedy."""


class EncodeError(SessionError, TypeError):
    """A value cannot be stored. The text names the key and the path to the value, never the value."""


class SessionTooLarge(EncodeError):
    """All values of one session together exceed ``max_bytes``: raised at commit, and nothing was stored.

    A single value of more than 1 MiB raises it at the line that sets it.
    """


class HeadersSent(SessionError, RuntimeError):
    """The response headers were sent, so the browser would never learn of this change of the session."""


class StoreUnavailable(SessionError):
    """The store did not answer, refused the operation, or gave an answer that breaks its contract.

    Also raised where a value is read that is damaged: half a session must not look whole.

    The outcome of a write is unknown. The text holds no credentials; the driver's error is its ``__cause__``.
    """


class StoreConflict(SessionError):
    """Other requests changed the same session first, for two seconds. Nothing of this change was stored."""


class TooManySessions(SessionError):
    """This login is refused: the user has as many other live sessions as ``max_sessions_per_user`` allows."""


class NotSupported(SessionError, NotImplementedError):
    """The configured store lacks the ability that a call needs. The text names the stores that have it."""
