"""What axe finds on a page: whatever WCAG 2.1 forbids at level AA, and a program can see, in light and dark."""

from importlib.resources import files
from typing import TYPE_CHECKING

from support.chromium import Page

if TYPE_CHECKING:
    from conftest import Require

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}


def violations(require: "Require", page: Page) -> list[str]:
    """Return what axe finds on *page*, and where."""
    require.module("axe_playwright_python", install="pip install axe-playwright-python")
    # Evaluated, not added as an element: our pages' own policy forbids foreign scripts.
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    seen = []
    for scheme in "light", "dark":
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("(rules) => axe.run(document, rules)", RULES)["violations"]
        nodes = [(rule["id"], node) for rule in found for node in rule["nodes"]]
        seen += [f"{scheme}: {rule}: {node['html']}: {node['failureSummary']}" for rule, node in nodes]
    return seen
