"""Options that `soul animate` and `soul serve` share: what a large model may be told."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Model: TypeAlias = Annotated[
    str, typer.Option(help="A shipped model's name, a folder with weights, or soul-5b.")
]
Steps: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Large models: denoising passes a chunk; else the folder's own.", min=1),
]
Size: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Large models: pixels of a picture, such as 480x832, 704x1280, 1088x1920 or these "
        "upright; multiples of 32.",
        metavar="HEIGHTxWIDTH",
    ),
]
Dtype: TypeAlias = Annotated[
    str, typer.Option(help="Large models: how weights are held: bf16, fp8 or fp32.")
]
Decoder: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Large models: full, evae or taew2_2; else full for a film, the folder's lightest "
        "for a call."
    ),
]
Tile: TypeAlias = Annotated[
    bool, typer.Option("--tile", help="Large models: decode in tiles, with less memory.")
]
Ear: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="Large models: the folder of their Whisper or wav2vec2; else in the model's, or as "
        "soul fetch leaves it."
    ),
]
AcceptLicence: TypeAlias = Annotated[
    bool, typer.Option("--accept-licence", help="Agree to a licence without being asked.")
]
Mode: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Large models: clip (109 frames at once) or stream; else the folder's own."),
]
Solver: TypeAlias = Annotated[
    str | None, typer.Option(help="Large models: unipc, dpm++ or euler; else the folder's own.")
]
Guidance: TypeAlias = Annotated[
    float | None,
    typer.Option(help="Large models: how far from --negative; 1 is none.", min=1, max=30),
]
AudioGuidance: TypeAlias = Annotated[
    float | None, typer.Option(help="Large models: how far from silence; 1 is none.", min=1, max=30)
]
Fps: TypeAlias = Annotated[
    int | None,
    typer.Option(help="Large models: pictures a second, 25 or 24; else the folder's own."),
]
Negative: TypeAlias = Annotated[str, typer.Option(help="Large models: what guidance leads from.")]
