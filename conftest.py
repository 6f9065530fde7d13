"""Runs the examples in docs/, and checks those in README.md: ``pytest -p no:xdist README.md docs``.

The Python blocks of one page run in order and share their names. Those of README.md are programs of their own and those
of the tutorial are files: ``tests/test_readme.py`` and ``tests/servers/test_tutorial.py`` run them. In a console or sh
block, the commands that speak of this package must name subcommands, options and extras that exist. ``<!--- skip: next
-->`` above a block leaves it out.
"""

import os
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import metadata
from itertools import dropwhile, groupby
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser


@pytest.fixture(scope="module")
def in_a_fresh_directory(tmp_path_factory: pytest.TempPathFactory):
    """Let a page's examples make their files elsewhere, with the secret that it tells its reader to set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("examples"))
        patch.setenv("WSGI_SESSION_SECRET", os.urandom(32).hex())
        patch.delenv("WSGI_SESSION_STORE", raising=False)
        yield


def begin_page(namespace: dict[str, Any]) -> None:
    namespace["__name__"] = "__main__"  # a page's examples are one program
    namespace["DOCS"] = Path(__file__).parent / "docs"  # for those that compare what a command prints with their page


def end_page(namespace: dict[str, Any]) -> None:
    """Close the files that a page's middlewares opened; a page that gives a name away closes its file before."""
    from wsgi_session import SessionMiddleware

    for middleware in namespace.values():
        if isinstance(middleware, SessionMiddleware):
            middleware.close()


def check_console(example: Example) -> str | None:
    """Check the lines behind a prompt: the others are what the commands print."""
    return check_commands("".join(re.findall(r"^\$ (.*\n(?:> .*\n)*)", f"{example.parsed}\n", re.MULTILINE)))


def check_script(example: Example) -> str | None:
    return check_commands(example.parsed)


def check_commands(text: str) -> str | None:
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        # One command ends, another begins: && ; | $( )
        for is_punctuation, command in groupby(words, key=lambda word: not word.strip("();<>|&")):
            if not is_punctuation and (problem := check_command(list(command))):
                return f"{problem}: {line}"
    return None


def check_command(words: list[str]) -> str | None:
    """Return what is wrong with a command, as far as this project can know."""
    words = list(dropwhile(re.compile(r"\w+=").match, words))  # settings in front
    match words:
        case ["wsgi-session", *arguments] | ["python", "-m", "wsgi_session", *arguments]:
            return check_subcommand(arguments)
        case [*_, "pip", "install", target] if found := re.fullmatch(r"(?:\.|.*wsgi-session)\[([\w,-]+)\]", target):
            unknown = set(found[1].split(",")) - set(metadata("wsgi-session-middleware").get_all("Provides-Extra", []))
            return f"no such extra {sorted(unknown)}" if unknown else None
        case _:
            return None


def check_subcommand(arguments: list[str]) -> str | None:
    from wsgi_session.cli.commands import cli

    name, *rest = arguments or ["--help"]
    command = cli if name.startswith("-") else cli.commands.get(name)
    if command is None:
        return f"no such subcommand {name!r}"
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
    unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
    return f"no such option {unknown}" if unknown else None


def examples_in(patterns: Sequence[str], *parsers: Any, excludes: Sequence[str] = ()) -> Sybil:
    return Sybil(
        parsers=[
            *parsers,
            CodeBlockParser("console", check_console),
            CodeBlockParser("sh", check_script),
            SkipParser(),
        ],
        patterns=patterns,
        excludes=excludes,
        path=str(Path(__file__).parent),
        setup=begin_page,
        teardown=end_page,
        fixtures=["in_a_fresh_directory"],
    )


COPIED = ["README.md", "docs/tutorial.md"]
pytest_collect_file = (
    examples_in(COPIED) + examples_in(["docs/*.md"], PythonCodeBlockParser(), excludes=COPIED)
).pytest()
