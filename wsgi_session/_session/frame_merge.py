"""The three-way merge on encoded values: only what both sides changed is decoded, and merged part by part."""

from collections.abc import Collection, Mapping
from typing import Any

from .._values.frame import Frame
from .._values.frame_codec import FrameCodec, Unreadable
from .merge import Merged, is_overwritten, is_same, merge
from .operation import Operation, redone
from .path import ABSENT, look, outermost, put

__all__ = ["FrameMerge"]


class FrameMerge:
    """One merge of a request's values with what the store has now.

    Args:
        codec: Encodes and decodes the values.
        base: The values both sides started from.
        mine: The values as this request leaves them.
        theirs: The values as the store has them now.
        assigned: Keys that got a new value, or were removed, on purpose.
        is_cleared: Whether this request emptied the session first.
        operations: What is done again on a newer value, for each key.
        watched: Keys whose value the application holds, and may have changed beside the operations.
    """

    def __init__(
        self,
        codec: FrameCodec,
        base: Frame,
        mine: Frame,
        theirs: Frame,
        *,
        assigned: Collection[str],
        is_cleared: bool,
        operations: Mapping[str, list[Operation]],
        watched: Collection[str],
    ) -> None:
        self._codec = codec
        self._base = base
        self._mine = mine
        self._theirs = theirs
        self._assigned = assigned
        self._is_cleared = is_cleared
        self._operations = operations
        self._watched = watched

    def run(self) -> Merged:
        """Return the encoded values of both sides together, and the keys whose value the other side lost.

        Raises:
            EncodeError: What an operation makes of a newer value cannot be stored.
            Exception: Whatever an operation raises on a newer value.
        """
        base, mine, theirs = self._base, self._mine, self._theirs
        sides, unreadable = self._decoded(self._changed_by_both())
        lost = [key for key in self._operations if any(key in side for side in sides) and self._redo(key, *sides)]
        merged = merge(*sides, assigned=self._assigned, is_cleared=self._is_cleared)
        frame = dict(mine if self._is_cleared else theirs)
        for key in dict.fromkeys([*base, *mine, *theirs]):
            if any(key in side for side in sides):
                put(frame, (key,), self._encoded(key, merged.data.get(key, ABSENT), sides[1].get(key, ABSENT)))
            elif key in unreadable or (not self._is_cleared and theirs.get(key) == base.get(key)):
                put(frame, (key,), mine.get(key, ABSENT))
        return Merged(frame, tuple(dict.fromkeys([*merged.overwritten, *lost, *unreadable])))

    def _changed_by_both(self) -> list[str]:
        base, mine, theirs = self._base, self._mine, self._theirs
        return [
            key
            for key in dict.fromkeys([*base, *mine, *theirs])
            if theirs.get(key) != base.get(key)
            and (self._is_cleared or key in self._assigned or key in self._operations or mine.get(key) != base.get(key))
        ]

    def _decoded(self, keys: list[str]) -> tuple[tuple[dict[str, Any], dict[str, Any], dict[str, Any]], list[str]]:
        """Return the values of *keys* on each side, and the keys of which one cannot be read: there, mine wins."""
        sides: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = ({}, {}, {})
        unreadable = []
        for key in keys:
            try:
                values = [
                    self._codec.decode(key, frame[key]) if key in frame else ABSENT
                    for frame in (self._base, self._mine, self._theirs)
                ]
            except Unreadable:
                unreadable.append(key)
                continue
            for side, value in zip(sides, values, strict=True):
                put(side, (key,), value)
        return sides, unreadable

    def _encoded(self, key: str, result: Any, mine: Any) -> Any:
        if result is ABSENT:
            return ABSENT
        return self._mine[key] if result is mine else self._codec.encode(key, result)

    def _redo(self, key: str, base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
        """Do the operations on *key* again, in *theirs* and in *base*: my other changes remain to merge.

        Returns:
            Whether one of them overwrote what the others did.
        """
        operations, was, now = self._operations[key], base.get(key, ABSENT), theirs.get(key, ABSENT)
        if is_same(was, now):
            return False  # mine wins
        expected = mine.get(key, ABSENT)
        if key in self._watched:
            try:
                expected = self._redone(key, was)
            except Exception:  # noqa: BLE001  it depends on what else I did to the value, and is merged as a part of that
                return False
        try:
            result = self._redone(key, now)
        except Exception:
            if is_same(expected, mine.get(key, ABSENT)):
                raise
            return False
        paths = {operation.path for operation in operations if operation.is_blind}
        lost = [is_overwritten(*(look(side, path) for side in (base, mine, theirs))) for path in outermost(paths)]
        put(base, (key,), expected)
        put(theirs, (key,), result)
        return any(lost)

    def _redone(self, key: str, value: Any) -> Any:
        result = redone(self._operations[key], key, value)
        if result is ABSENT or key not in self._watched:
            return result
        # As it is read back: what is stored by value would differ from mine.
        return self._codec.decode(key, self._codec.encode(key, result))
