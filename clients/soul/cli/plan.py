"""What a film is made from, and what is told of it. Plain data; imports nothing that takes time."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AnimateConfig:
    """What `soul animate` may be told, and what it does if not told."""

    output: Path = Path("out.mp4")
    prompt: str = ""
    seed: int = 0
    steps: int | None = None  # None: the model's own
    model: str = "soul-mini"
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Report:
    """What `--json` prints. `realtime_factor` is the model's seconds over the film's seconds."""

    frames: int
    fps: float
    seconds: float
    realtime_factor: float
    first_frame_ms: float
    model: str
    device: str
    peak_memory_bytes: int


DEFAULTS = AnimateConfig()
