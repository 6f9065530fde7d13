"""What most pages are opened with: one Chromium, and the demo, for all tests of a module."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from support.chromium import running_chromium
from support.demo_process import Demo, running_demo

if TYPE_CHECKING:
    from conftest import Require


@pytest.fixture(scope="module")
def chromium(require: "Require") -> Iterator[Any]:
    with running_chromium(require) as browser:
        yield browser


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo")) as demo:
        yield demo
