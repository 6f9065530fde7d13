"""What is weak or wrong in the sessions of an application, or of a running site; each with the line to write."""

from .application import check_application
from .latency import latency_ms
from .loading import CannotLoad, load_application, sources_in
from .manager import check_manager
from .site import check_site
from .visit import CannotAsk

__all__ = [
    "CannotAsk",
    "CannotLoad",
    "check_application",
    "check_manager",
    "check_site",
    "latency_ms",
    "load_application",
    "sources_in",
]
