"""What the data engine may be told: one frozen dataclass a duty, none of which knows another.

Figures from the paper (Soul-1M): above 480p, clips of 4-5 s, a fifth of them without sound. The
others are this project's, chosen on clips of its own; all of them are written beside the shards.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from soul.timebase import FRAME_RATE


@dataclass(frozen=True)
class ClipConfig:
    """Which videos are looked at, and what is cut out of their shots."""

    above: int = 480  # pixels: the shorter side must be longer than this
    slowest: float = 23.0  # frames/s: a slower source has too few mouths a syllable
    shortest: float = 4.0  # seconds
    longest: float = 5.0  # seconds
    guard: int = 2  # frames left out at either side of a cut: encoders smear it
    largest: int = 1088  # pixels: a longer shorter side is scaled down to this
    side: int = 480  # pixels: the shorter side of the pictures that are judged
    quality: int = 17  # libx264's crf


@dataclass(frozen=True)
class ShotConfig:
    """PySceneDetect's adaptive detector: a frame that differs far more than its neighbours do."""

    ratio: float = 3.0
    least: float = 15.0  # content value below which nothing is a cut
    window: int = 2  # neighbours on either side
    side: int = 144  # pixels


@dataclass(frozen=True)
class FaceConfig:
    """Who must be seen. `detector`: "" for OpenCV's cascade, a YuNet .onnx, or module:function."""

    detector: str = ""
    every: int = 5  # frames between two looks
    share: float = 0.8  # of the looks that must find a face
    height: int = 64  # pixels of the clip that is kept
    others: float = 0.1  # share of the looks that may find a second face
    rival: float = 0.5  # of the main face's height: a smaller second face is a passer-by


@dataclass(frozen=True)
class OverlayConfig:
    """How much writing, and how much black border, a clip may show."""

    looks: int = 3
    text: float = 0.002  # share of the picture that lies under writing
    sure: float = 0.8  # the reader's score above which it counts
    letters: int = 3  # fewer are more often noise than writing
    bars: float = 0.02  # share of the height, or of the width, that is black border


@dataclass(frozen=True)
class SyncConfig:
    """How well the mouth must follow the voice."""

    correlation: float = 0.4
    lag: int = 3  # frames, either way
    reach: int = 15  # frames within which the lag is looked for
    silence: float = -60.0  # dBFS of the loudest frame, below which a clip counts as without sound


@dataclass(frozen=True)
class ScoreConfig:
    """An aesthetic score: `module:function`, or "" for none."""

    plugin: str = ""
    least: float | None = None


@dataclass(frozen=True)
class CaptionConfig:
    """A vision model behind an OpenAI-compatible endpoint, or "" for none.

    `key` names the environment variable that holds the key: the key itself is written nowhere.
    """

    url: str = ""
    model: str = ""
    key: str = "SOUL_CAPTION_KEY"
    pictures: int = 4
    tries: int = 4
    pause: float = 2.0  # seconds before the second try; each further pause is twice as long
    timeout: float = 120.0  # seconds


@dataclass(frozen=True)
class ShardConfig:
    """How kept clips are packed."""

    clips: int = 256
    silent: float = 0.2  # at most this share of a shard is without sound


@dataclass(frozen=True)
class DataConfig:
    """Everything that decides what a run keeps; a run that is resumed must have the same."""

    clip: ClipConfig = field(default_factory=ClipConfig)
    shot: ShotConfig = field(default_factory=ShotConfig)
    face: FaceConfig = field(default_factory=FaceConfig)
    overlay: OverlayConfig = field(default_factory=OverlayConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    caption: CaptionConfig = field(default_factory=CaptionConfig)
    shard: ShardConfig = field(default_factory=ShardConfig)

    def to_json(self) -> dict[str, dict[str, Any]]:
        return asdict(self)


def problem(config: DataConfig) -> str | None:
    """One sentence about the first value that makes no sense; None if all of them do."""
    clip, caption = config.clip, config.caption
    if not 0 < clip.shortest <= clip.longest:
        return (
            f"clips of {clip.shortest:g} to {clip.longest:g} s make no sense; "
            "expected the shortest above 0 and not above the longest"
        )
    if config.shard.clips < 1:
        return f"a shard of {config.shard.clips} clips makes no sense; expected at least 1"
    if not 0 <= config.shard.silent < 1:
        return (
            f"a share of {config.shard.silent:g} without sound makes no sense; "
            "expected at least 0 and less than 1"
        )
    if config.score.least is not None and not config.score.plugin:
        return (
            f"a least score of {config.score.least:g} was given and nothing that scores; "
            "expected a plug-in module:function with it"
        )
    if bool(caption.url) != bool(caption.model):
        return (
            f"captions need both an endpoint and a model; given were {caption.url!r} and "
            f"{caption.model!r}"
        )
    if config.clip.shortest * FRAME_RATE < config.sync.reach + 2:
        return (
            f"clips of {clip.shortest:g} s are too short to look for a lag of {config.sync.reach} "
            f"frames; expected at least {(config.sync.reach + 2) / FRAME_RATE:g} s"
        )
    return None


def differences(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[str]:
    """What differs between two configurations, as "face.share was 0.8, is 0.5"."""
    names = sorted({(part, key) for whole in (old, new) for part in whole for key in whole[part]})
    return [
        f"{part}.{key} was {old.get(part, {}).get(key)!r}, is {new.get(part, {}).get(key)!r}"
        for part, key in names
        if old.get(part, {}).get(key) != new.get(part, {}).get(key)
    ]
