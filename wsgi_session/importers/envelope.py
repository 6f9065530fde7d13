"""Text in the envelope that Beaker puts around what its serializer made, read as a fixed pattern.

Beaker's containers pickle what they are given, the text of its JSON serializer too. A pickle is a program, so nothing
runs it: we accept the one sequence of instructions that such a text can only have, byte for byte, and nothing else.
There is no unpickler anywhere in this package.
"""

import re
from typing import Final

__all__ = ["text_in_dict", "text_in_envelope"]

# Protocol 4 or 5; frames, which only say how much to read at once; one text, whose length has one byte or four.
_FRAME: Final = rb"(?:\x95.{8})?"
_HEAD: Final = rb"\x80[\x04\x05]" + _FRAME
_TEXT: Final = _FRAME + rb"(?:\x8c(?P<short>.)|X(?P<long>.{4}))"

_ALONE: Final = re.compile(_HEAD + _TEXT, re.DOTALL)
_IN_DICT: Final = re.compile(_HEAD + rb"\}\x94\x8c\x07session\x94" + _TEXT, re.DOTALL)


def text_in_envelope(envelope: bytes) -> bytes:
    """Return the text that is all of *envelope*. Raises ``ValueError`` if anything else is in it."""
    return _content(_ALONE, envelope, end=rb"\x94\.")


def text_in_dict(envelope: bytes) -> bytes:
    """Return the text under ``"session"``, if that is all of *envelope*. Raises ``ValueError`` otherwise."""
    return _content(_IN_DICT, envelope, end=rb"\x94s\.")


def _content(begin: re.Pattern[bytes], envelope: bytes, *, end: bytes) -> bytes:
    match = begin.match(envelope)
    if match is None:
        raise ValueError("not an envelope around a text")
    length = int.from_bytes(match["short"] or match["long"], "little")
    start = match.end()
    if not re.compile(_FRAME + end, re.DOTALL).fullmatch(envelope, start + length):
        raise ValueError("more than a text in the envelope")
    return envelope[start : start + length]
