"""Draws tables of what is added to a request as bar charts, in SVG."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from .fields import FIELDS
from .in_process import FLOOR, OURS

SIZE = 1024
ACTIONS = ("read", "write", "create", "rotate", "destroy")
WIDTH, LEFT, RIGHT, BAR, GAP = 760, 190, 60, 14, 22
# Both readable on white and on black.
COLOURS = {OURS: "#2a7de1", FLOOR: "#8a8f98"}
OTHERS = "#c99a4b"


def draw(folder: Path) -> Iterator[Path]:
    """Draw a chart for each field whose table is in *folder*; yield the files."""
    for name, field in FIELDS.items():
        file = folder / f"{name}-{SIZE}.json"
        if file.exists():
            rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
            chart = file.with_name(f"{name}.svg")
            chart.write_text(_chart(f"What a session of 1 KB on {field.label} adds to a request, in H", rows))
            yield chart


def _chart(title: str, rows: list[dict[str, Any]]) -> str:
    """Return bars for each action, the contenders below each other."""
    longest = max(row[action] for row in rows for action in ACTIONS if row[action] is not None)
    scale = (WIDTH - LEFT - RIGHT) / longest
    shapes = [_text(0, 16, title, "bold")]
    y = 24
    for action in ACTIONS:
        y += GAP
        shapes.append(_text(0, y, action, "bold"))
        for row in rows:
            if row[action] is None:
                continue
            name, length = row["contender"], max(row[action], 0) * scale
            shapes.append(_text(LEFT - 8, y, name, anchor="end"))
            colour = COLOURS.get(name, OTHERS)
            shapes.append(
                f'<rect x="{LEFT}" y="{y - BAR + 3}" width="{length:.1f}" height="{BAR - 2}" fill="{colour}"/>'
            )
            shapes.append(
                _text(LEFT + length + 6, y, f"{row[action]:,.0f}" if row[action] >= 10 else f"{row[action]:.1f}")
            )
            y += BAR + 2
    size = f'width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}"'
    style = 'font-family="sans-serif" font-size="12" fill="#808080" role="img"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>'
    return "\n".join([head, f"<title>{escape(title)}</title>", *shapes, "</svg>", ""])


def _text(x: float, y: float, text: str, weight: str = "normal", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" text-anchor="{anchor}">{escape(text)}</text>'
