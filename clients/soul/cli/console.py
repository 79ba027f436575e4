"""How the command line speaks: one console for results, one for trouble. Knows no subcommand."""

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


def fail(sentence: str, code: int = FAILED) -> NoReturn:
    """Says one sentence on stderr and ends the command with `code`."""
    line = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    stderr().print(Text.assemble(("error: ", "bold red"), line))
    raise typer.Exit(code)
