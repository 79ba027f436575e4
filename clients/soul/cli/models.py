"""`soul models`: the checkpoints that are known, or what a folder holds and whether it is whole."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from soul.cli.console import BAD_INPUT, fail, stdout

if TYPE_CHECKING:
    from soul.checkpoints.catalogue import Known
    from soul.checkpoints.manifest import Manifest


def models(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A fetched or converted folder: its files are checked by their hash."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """List the public checkpoints that are known here, or check a folder of weights.

    A size that could not be verified is left empty; the hub tells it when the files are fetched.

    Examples:

      soul models

      soul models --json

      soul models ~/.cache/soul/checkpoints/wan2.2-ti2v-5b
    """
    if folder is not None:
        show(folder, whole_folder(folder), as_json)
        return
    from soul.checkpoints.catalogue import CATALOGUE

    if as_json:
        stdout().print_json(json.dumps({"models": [asdict(entry) for entry in CATALOGUE]}))
        return
    for entry in CATALOGUE:
        stdout().print(described(entry))
    stdout().print("Download one: soul fetch NAME")


def described(entry: "Known") -> Text:
    """Three lines for people: name, size and licence; where it is; what it does."""
    licence = entry.licence if entry.commercial else f"{entry.licence} (no commercial use)"
    size = "" if entry.gigabytes is None else f"{entry.gigabytes:g} GB, "
    needs = f"; needs {', '.join(entry.needs)}" if entry.needs else ""
    return Text.assemble(
        (entry.name, "bold"),
        f": {size}{licence}\n",
        f"  {entry.repository} at {entry.revision[:12]}\n",
        f"  {entry.does}{needs}",
    )


def whole_folder(folder: Path) -> "Manifest":
    """Its manifest, every file checked; ends the command with one sentence if one is damaged."""
    from soul.checkpoints.manifest import FETCHED, MANIFEST, read_manifest, verify
    from soul.checkpoints.sources import CheckpointError

    path = next((folder / n for n in (MANIFEST, FETCHED) if (folder / n).is_file()), None)
    if path is None:
        fail(
            f"{folder} has neither {MANIFEST} nor {FETCHED}; expected a folder of weights",
            BAD_INPUT,
        )
    try:
        manifest = read_manifest(path)
        verify(folder, manifest)
    except CheckpointError as error:
        fail(str(error))
    return manifest


def show(folder: Path, manifest: "Manifest", as_json: bool) -> None:
    """A few lines for people, or the manifest for programs."""
    if as_json:
        stdout().print_json(json.dumps(asdict(manifest)))
        return
    total = sum(file.bytes for file in manifest.files) / 1e9
    out = stdout()
    out.print(f"{folder}: {manifest.name}, {len(manifest.files)} files, {total:.2f} GB, all whole")
    for origin in manifest.origins:
        place = f"{origin.repository} {origin.revision[:12]}".strip() or "no repository told"
        out.print(f"from {origin.name} ({place}), licence: {origin.licence or 'not told'}")
    for line in manifest.left_out:
        out.print(f"left out: {line}", markup=False)
