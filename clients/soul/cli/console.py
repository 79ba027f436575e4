"""How the command line speaks: one console for results, one for trouble. Knows no subcommand."""

import importlib.util
from collections.abc import Mapping
from typing import NoReturn

import typer
from rich.console import Console
from rich.text import Text

BAD_INPUT = 2
FAILED = 1


def stdout() -> Console:
    """Where results go."""
    return Console(soft_wrap=True)


def stderr() -> Console:
    """Where progress and trouble go, so that results can be piped."""
    return Console(stderr=True, soft_wrap=True)


def need_extra(purpose: str, extra: str, modules: Mapping[str, str]) -> None:
    """Ends the command with one sentence if a library is missing; `modules`: import → package."""
    missing = [name for module, name in modules.items() if importlib.util.find_spec(module) is None]
    if missing:
        names = ", ".join(missing)
        fail(f"{purpose} needs {names}: install it with pip install 'soul-live[{extra}]'")


def fail(sentence: str, code: int = FAILED) -> NoReturn:
    """Says one sentence on stderr and ends the command with `code`."""
    line = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    stderr().print(Text.assemble(("error: ", "bold red"), line))
    raise typer.Exit(code)
