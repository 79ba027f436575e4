"""`soul bench`: what a viewer of this machine gets, measured."""

from soul.cli.bench.commands import app

__all__ = ["app"]
