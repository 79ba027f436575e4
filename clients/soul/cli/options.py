"""Options that `soul animate` and `soul serve` share: what a large model may be told."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

LARGE = "Large models: folders that soul convert wrote"  # the panel of their options

Model: TypeAlias = Annotated[
    str,
    typer.Option(
        help="A shipped model's name, a folder with weights, or soul-5b for the folder "
        "SOUL_HOME/models/soul-5b."
    ),
]
Steps: TypeAlias = Annotated[
    int | None,
    typer.Option(
        help="Denoising passes a chunk; else the folder's own.", min=1, rich_help_panel=LARGE
    ),
]
Size: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Pixels of a picture, such as 480x832, 704x1280, 1088x1920 or these upright; "
        "multiples of 32; else the folder's own.",
        metavar="HEIGHTxWIDTH",
        rich_help_panel=LARGE,
    ),
]
Dtype: TypeAlias = Annotated[
    str, typer.Option(help="How weights are held: bf16, fp8 or fp32.", rich_help_panel=LARGE)
]
Decoder: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="full, evae or taew2_2; else full for a film, the folder's lightest for a call.",
        rich_help_panel=LARGE,
    ),
]
Tile: TypeAlias = Annotated[
    bool,
    typer.Option("--tile", help="Decode in tiles, with less memory.", rich_help_panel=LARGE),
]
Ear: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="The folder of their Whisper or wav2vec2; else in the model's, or as soul fetch "
        "leaves it.",
        rich_help_panel=LARGE,
    ),
]
AcceptLicence: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--accept-licence",
        help="Agree to a licence without being asked.",
        rich_help_panel=LARGE,
    ),
]
Mode: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="clip (109 frames at once, the first time 101) or stream; else as soul tune trained "
        "the folder, clips for others that guide, and for the rest their own.",
        rich_help_panel=LARGE,
    ),
]
Solver: TypeAlias = Annotated[
    str | None,
    typer.Option(help="unipc, dpm++ or euler; else the folder's own.", rich_help_panel=LARGE),
]
Guidance: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="How far from --negative; 1 is none; else the folder's own.",
        min=1,
        max=30,
        rich_help_panel=LARGE,
    ),
]
AudioGuidance: TypeAlias = Annotated[
    float | None,
    typer.Option(
        help="How far from silence; 1 is none; else the folder's own.",
        min=1,
        max=30,
        rich_help_panel=LARGE,
    ),
]
Fps: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Pictures a second, 25 or 24; else the folder's own.", rich_help_panel=LARGE),
]
Negative: TypeAlias = Annotated[
    str, typer.Option(help="A prompt that guidance leads away from.", rich_help_panel=LARGE)
]
