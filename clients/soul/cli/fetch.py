"""`soul fetch`: a known checkpoint, downloaded; and where licences are shown and agreed to."""

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from soul.cli.console import BAD_INPUT, fail, stderr, stdout
from soul.cli.extras import need_extra

if TYPE_CHECKING:
    from soul.checkpoints.manifest import Manifest, Origin

Accept: TypeAlias = Annotated[
    bool, typer.Option("--accept-licence", help="Agree to a licence without being asked.")
]


def fetch(
    name: Annotated[str, typer.Argument(help="A name that `soul models` lists.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A folder; SOUL_HOME/checkpoints/NAME if not given."),
    ] = None,
    accept_licence: Accept = False,
) -> None:
    """Download a public checkpoint from the Hugging Face hub; run it again to go on.

    Every file is compared with the hash that the hub tells. A licence that forbids commercial use
    is shown first, once. HF_ENDPOINT names another hub, HF_TOKEN logs in.

    Examples:

      soul fetch wan2.2-ti2v-5b

      soul fetch talkverse-5b --accept-licence --out weights/talkverse
    """
    need_extra("fetch", "wan")
    from soul.checkpoints.catalogue import known
    from soul.checkpoints.fetch import fetch as download
    from soul.checkpoints.licences import home
    from soul.checkpoints.sources import CheckpointError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are no trouble yet
    try:
        entry = known(name)
    except CheckpointError as error:
        fail(str(error), BAD_INPUT)
    agree(entry.origin, accept_licence)
    folder = out or home() / "checkpoints" / name
    try:
        manifest = download(entry, folder, os.environ.get("HF_ENDPOINT"), said=tell)
    except CheckpointError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder} cannot be written: {error.strerror}")
    total = sum(file.bytes for file in manifest.files) / 1e9
    stdout().print(f"Done: {folder}, {len(manifest.files)} files, {total:.2f} GB, all as published")
    if entry.needs:
        stdout().print(f"It also needs: {', '.join(entry.needs)}")


def tell(sentence: str) -> None:
    """One sentence that is no trouble, on stderr."""
    stderr().print(sentence, highlight=False, markup=False)


def agreed(folder: Path, accept: bool) -> "Manifest":
    """A converted folder's manifest, once every licence in it is agreed to.

    CheckpointError if the folder has none; ends the command if nobody agrees.
    """
    from soul.checkpoints.manifest import MANIFEST, read_manifest

    manifest = read_manifest(folder / MANIFEST)
    for origin in manifest.origins:
        agree(origin, accept)
    return manifest


def agree(origin: "Origin", accept: bool) -> None:
    """Shows a licence that forbids commercial use, once; ends the command if nobody agrees."""
    from soul.checkpoints.licences import home, open_questions, remember
    from soul.checkpoints.sources import CheckpointError

    try:
        if not open_questions((origin,), home()):
            return
        stderr().print(
            f"{origin.name} may not be used for money. Its licence: {origin.licence} "
            f"(https://huggingface.co/{origin.repository})"
        )
        if not accept and not sys.stdin.isatty():
            fail("the licence was not agreed to; expected --accept-licence", BAD_INPUT)
        if not accept and not typer.confirm("Agree to it?", err=True):
            fail("the licence was not agreed to", BAD_INPUT)
        remember(origin, home())
    except CheckpointError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or home()} cannot be written: {error.strerror}")
