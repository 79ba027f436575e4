"""`soul fit`: what a large model has beside its transformer, fitted to clips.

Clips become latents once; codebook and light decoder are fitted to these and put into the model's
folder. It wires the data engine, that folder and the stages, none of which knows the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from soul.cli.console import BAD_INPUT, fail, stderr, stdout
from soul.cli.extras import need_extra
from soul.cli.fetch import Accept, agreed
from soul.cli.train import need_device, tell_progress

if TYPE_CHECKING:
    from soul.data.films import FilmConfig
    from soul.training.encoded import Pictures

app = typer.Typer(
    name="fit",
    no_args_is_help=True,
    help=(
        "Fit a codebook and a light decoder to a large model.\n\nFirst encode turns clips into "
        "latents; then codebook and evae, in any order, each put their part into the model's "
        "folder. Stop one whenever you like: the same words go on where it was."
    ),
)

Model = Annotated[Path, typer.Argument(help="A folder that soul convert wrote.")]
Run = Annotated[Path, typer.Option("--out", "-o", help="The run's folder; it is resumed.")]
Elsewhere = Annotated[
    Path | None,
    typer.Option(
        "--encoded",
        help="Where the latents are, if not in the run's folder; encoded/ of soul tune serves too.",
    ),
]
Device = Annotated[
    str, typer.Option(help="Where it runs: cpu or cuda. cuda has not been verified.")
]
Seed = Annotated[int, typer.Option(help="Of weights, and of what is drawn.", min=0)]


@dataclass(frozen=True, slots=True)
class Encoding:
    """What latents depend on."""

    films: "FilmConfig"
    encoder: list[str]  # SHA-256 of the VAE's files


@app.command("encode")
def encode(
    model: Model,
    clips: Annotated[
        Path, typer.Argument(help="A folder of shards that soul data wrote, or of videos.")
    ],
    out: Run,
    side: Annotated[
        int, typer.Option(help="Pixels of the shorter side; larger pictures are made smaller.")
    ] = 704,
    shortest: Annotated[
        int, typer.Option(help="Frames of a clip, at least: 1 + 4n. 97 are what evae walks along.")
    ] = 97,
    device: Device = "cpu",
    accept_licence: Accept = False,
) -> None:
    """Turn clips into latents with the model's full encoder.

    Shards give a clip each, videos one after another, of up to 109 frames.

    Example:

      soul fit encode models/soul-5b shards/ --out runs/fit --device cuda
    """
    need("encode", device)
    need_extra("fit encode", "data")
    from soul.checkpoints.modules import open_vae
    from soul.data.films import FilmConfig, find_sources
    from soul.training.encoded import encode_all, encoded
    from soul.training.notes import note

    with one_sentence(out):
        config = FilmConfig(side=side, shortest=shortest)
        agreed(model, accept_licence)
        sources = find_sources(clips, out)
        vae = open_vae(model, device)
        out.mkdir(parents=True, exist_ok=True)
        note(out / "encode.json", Encoding(config, hashes(model)), ())
        count = encode_all(
            sources,
            lambda source: readable(clips, source, config),
            lambda pictures: encoded(vae, pictures),
            out,
        )
    stdout().print(f"Done: {out}, {count} clips as latents")


@app.command("codebook")
def codebook(
    model: Model,
    out: Run,
    centroids: Annotated[int, typer.Option(help="How many; the paper has 40,000.")] = 40_000,
    each: Annotated[int, typer.Option(help="Cells that a centroid is fitted to.")] = 256,
    rounds: Annotated[int, typer.Option(help="Rounds of Lloyd's algorithm.")] = 20,
    quantile: Annotated[
        float, typer.Option(help="Share of unseen cells that lie within the threshold.")
    ] = 0.995,
    encoded: Elsewhere = None,
    seed: Seed = 0,
    device: Device = "cpu",
    accept_licence: Accept = False,
) -> None:
    """Fit the codebook to the run's latents, and measure its threshold on others of them.

    Example:

      soul fit codebook models/soul-5b --out runs/fit --device cuda
    """
    need("codebook", device)
    from soul.checkpoints.modules import save_codebook
    from soul.training.codebook import CodebookConfig, fit_codebook
    from soul.training.encoded import open_encoded

    with one_sentence(out):
        config = CodebookConfig(centroids=centroids, each=each, rounds=rounds, quantile=quantile)
        agreed(model, accept_licence)
        fitted = fit_codebook(open_encoded(encoded or out), config, out / "codebook", seed, device)
        save_codebook(fitted, model)
    count, channels = fitted.centroids.shape
    stdout().print(
        f"Done: {model} has a codebook of {count} x {channels}, threshold {fitted.threshold:.4g}"
    )


@app.command("evae")
def evae(
    model: Model,
    out: Run,
    width: Annotated[int, typer.Option(help="Of the decoder; 64 has the paper's 35 M.")] = 64,
    batch: Annotated[int, typer.Option(help="Clips at once.", min=1)] = 8,
    crop: Annotated[int, typer.Option(help="Cells a side; a cell is 16 pixels.", min=2)] = 16,
    latents: Annotated[int, typer.Option(help="Of a piece, an optimizer step each.")] = 5,
    pieces: Annotated[int, typer.Option(help="Of a walk along a clip.")] = 5,
    peak: Annotated[float, typer.Option(help="Learning rate at its highest.", min=0)] = 3e-4,
    steps: Annotated[int, typer.Option(help="Optimizer steps.", min=1)] = 200_000,
    minutes: Annotated[
        float | None, typer.Option(help="End after this long; by steps if not given.", min=0.01)
    ] = None,
    save_every: Annotated[
        int, typer.Option(help="Steps between two of what it can go on from.", min=1)
    ] = 1000,
    looks: Annotated[
        str,
        typer.Option(
            help="module:function that tells how unlike two batches of pictures in [-1, 1] look, "
            "such as LPIPS; without it that is no part of the loss."
        ),
    ] = "",
    encoded: Elsewhere = None,
    seed: Seed = 0,
    device: Device = "cpu",
    accept_licence: Accept = False,
) -> None:
    """Distil the light decoder from the full one on the run's latents.

    While it runs, look at samples.png (above the full decoder's pictures, below the light one's)
    and curves.png in the run's folder evae.

    Example:

      soul fit evae models/soul-5b --out runs/fit --device cuda
    """
    need("evae", device)
    import torch

    from soul.checkpoints.modules import open_vae, save_evae
    from soul.data.plugins import load
    from soul.model.wan.evae import Evae, EvaeConfig
    from soul.training.encoded import full_decoder, open_encoded
    from soul.training.evae import DistilConfig, distil_evae
    from soul.training.progress import Length

    with one_sentence(out):
        config = DistilConfig(
            decoder=replace(EvaeConfig(), width=width),
            length=Length(steps, minutes),
            batch=batch,
            crop=crop,
            latents=latents,
            pieces=pieces,
            peak=peak,
            save_every=save_every,
        )
        agreed(model, accept_licence)
        clips, unlikeness = open_encoded(encoded or out), load(looks) if looks else None
        teacher = full_decoder(open_vae(model, device))
        torch.manual_seed(seed)
        student = Evae(config.decoder).to(device)
        distil_evae(student, teacher, clips, config, out / "evae", seed, unlikeness)
        save_evae(student, model)
    numbers = sum(value.numel() for value in student.parameters())
    stdout().print(f"Done: {model} has a light decoder of {numbers / 1e6:.2f} M parameters")


def need(purpose: str, device: str) -> None:
    """Ends the command with one sentence if what it takes is not here; progress goes to stderr."""
    need_extra(f"fit {purpose}", "training")
    need_extra(f"fit {purpose}", "wan")
    need_device(device)
    tell_progress()


@contextmanager
def one_sentence(out: Path) -> Iterator[None]:
    """Trouble ends the command with one sentence."""
    from soul.checkpoints.sources import CheckpointError
    from soul.data.errors import DataError

    try:
        yield
    except ValueError as error:
        fail(str(error), BAD_INPUT)
    except (CheckpointError, DataError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out} cannot be used: {error.strerror or error}")
    except KeyboardInterrupt:
        fail(f"stopped; what was kept stays: the same command goes on with {str(out)!r}")


def hashes(model: Path) -> list[str]:
    """Of the files of the model's VAE."""
    from soul.checkpoints.manifest import MANIFEST, read_manifest
    from soul.checkpoints.parts import VAE

    manifest = read_manifest(model / MANIFEST)
    return [file.sha256 for file in manifest.files if file.path in manifest.parts.get(VAE, ())]


def readable(folder: Path, source: str, config: "FilmConfig") -> "Iterator[tuple[str, Pictures]]":
    """The clips of a source; one that cannot be read is told and left."""
    from soul.data.errors import SourceError
    from soul.data.films import clips

    try:
        yield from clips(folder, source, config)
    except SourceError as error:
        stderr().print(f"left out: {error}", markup=False)
