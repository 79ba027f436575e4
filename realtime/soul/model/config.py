"""Sizes of a Soul model. Everything else derives from these frozen numbers by exact division.

It does not know where weights are, nor on which device they will live.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from soul.timebase import (
    AUDIO_RATE,
    FRAME_RATE,
    FRAMES_PER_LATENT,
    MEL_HOP,
    MEL_WINDOW,
    MELS_PER_LATENT,
    OPUS_RATE,
    exact_div,
)


class ConfigError(ValueError):
    """A size that cannot be; the sentence names it and what was expected."""


DEAF = "none"
AUDIO_FORMS = ("attention", "packed", DEAF)
EARS = ("whisper", "wav2vec2")


@dataclass(frozen=True, slots=True)
class DiTConfig:
    """Wan2.2-TI2V's transformer plus sound in one of two forms, or none.

    "attention": Soul's audio attention in every block (arXiv 2512.13495). "packed": a latent's
    features in one vector, narrowed and added before some blocks (OmniAvatar, arXiv 2506.18866).
    "none": Wan's own, which sound does not move.
    """

    dim: int = 3072
    ffn_dim: int = 14336
    layers: int = 30
    heads: int = 24
    latent_channels: int = 48
    condition_channels: int = 0  # beside the latent's own: a reference's, a mask's
    condition_edge: int = 0  # cells at the picture's edge that the mask leaves as they are
    patch: int = 2  # latent cells on a token's side; one latent deep in time
    text_len: int = 512
    text_dim: int = 4096
    audio_dim: int = 1280
    freq_dim: int = 256
    eps: float = 1e-6
    audio_form: str = "attention"
    audio_blocks: tuple[int, ...] = ()  # packed: before which blocks it is added
    audio_width: int = 32  # packed: of the narrowed vector
    steered: int = 0  # audio tokens, the last (cues' are) first, that steer the time embedding, too

    def __post_init__(self) -> None:
        object.__setattr__(self, "audio_blocks", tuple(self.audio_blocks))  # JSON has lists alone
        if self.audio_form not in AUDIO_FORMS:
            raise ConfigError(
                f"dit.audio_form {self.audio_form!r} is not known; "
                f"expected {', '.join(AUDIO_FORMS)}"
            )
        if (self.audio_form == "packed") != bool(self.audio_blocks):
            raise ConfigError(
                f"dit.audio_blocks {list(self.audio_blocks)} do not go with "
                f"dit.audio_form {self.audio_form!r}; packed sound, and it alone, names blocks"
            )
        if any(not 0 <= block < self.layers for block in self.audio_blocks):
            raise ConfigError(
                f"dit.audio_blocks {list(self.audio_blocks)} are not all blocks of a transformer "
                f"with {self.layers} layers; expected numbers below {self.layers}"
            )

    @property
    def head_dim(self) -> int:
        return exact_div(self.dim, self.heads)


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """Whisper's log-mel, and how much of it one chunk hears."""

    mels: int = 80
    noise_mels: int = 0  # before those of `past_mels`: only how quiet it was there is heard
    past_mels: int = 32  # 320 ms before the chunk
    future_mels: int = 3  # the last mel frame that is heard starts this far behind the chunk
    width: int = 192
    out_dim: int = 256
    ear: str = "whisper"  # whose features a large model hears; a small one has its own encoder
    positions: int = 0  # of a Whisper: features that it is given, silence behind; 0: what is heard

    def __post_init__(self) -> None:
        if self.ear not in EARS:
            raise ConfigError(f"audio.ear {self.ear!r} is not known; expected {' or '.join(EARS)}")

    @property
    def window_mels(self) -> int:
        return self.noise_mels + self.past_mels + MELS_PER_LATENT + self.future_mels

    @property
    def tokens(self) -> int:
        """Audio tokens of one chunk: two convolutions halve the mel frames, rounding up."""
        return (self.window_mels - self.noise_mels + 3) // 4

    @property
    def past_samples(self) -> int:
        return (self.noise_mels + self.past_mels) * MEL_HOP + MEL_WINDOW // 2

    @property
    def lookahead_samples(self) -> int:
        return (self.future_mels - 1) * MEL_HOP + MEL_WINDOW // 2


@dataclass(frozen=True, slots=True)
class TextConfig:
    """The small text encoder: hashed words and pieces, a learned table, one mixing layer."""

    vocabulary: int = 4096
    length: int = 24  # words
    pieces: int = 16  # of a word: itself and its trigrams
    dim: int = 64


@dataclass(frozen=True, slots=True)
class VaeConfig:
    """Encoder, full decoder and light decoder (eVAE) over one latent space, 4 x 16 x 16."""

    channels: int = 48
    encoder_width: int = 48
    decoder_trunk: int = 256
    decoder_width: int = 56
    light_trunk: int = 112
    light_width: int = 16
    spatial: int = 16
    temporal: int = FRAMES_PER_LATENT


@dataclass(frozen=True, slots=True)
class SoulConfig:
    """One model: its parts, its window and how it is sampled."""

    name: str
    image_size: int | tuple[int, int] = 256  # pixels: of a square's side, or height and width
    dit: DiTConfig = field(default_factory=DiTConfig)
    audio: AudioConfig = field(default_factory=AudioConfig)
    text: TextConfig = field(default_factory=TextConfig)
    vae: VaeConfig = field(default_factory=VaeConfig)
    chunk: int = 1  # latents made together; they all see each other
    window: int = 6  # latents of context beside the pivotal one; 0: clips, which keep no keys
    overlap: int = 0  # of clips: latents of one that the next begins with
    sink_distance: int = 8  # latents between the sink's position and the chunk's
    steps: int = 2
    shift: float = 3.0
    solver: str = "euler"  # how a step is taken; the others are those of `model.wan.solvers`
    guidance: float = 1.0  # away from the negative prompt; 1: none, one pass a step
    audio_guidance: float = 1.0  # away from silence
    tells_given: bool = True  # latents that are given carry timestep 0; False: that of the others
    fps: int = FRAME_RATE  # pictures a second; a call shows 25
    centroids: int = 1024
    cue_width: int = 0  # of the encoder that tells of blinks and listening; 0: it is not told
    cue_gains: tuple[float, ...] = ()  # how much larger each cue is told than meant; none: as meant
    gesture_gains: tuple[float, ...] = (1.0, 1.0)  # of nods and shakes besides, which are quick

    def __post_init__(self) -> None:
        if self.dit.dim % (2 * self.dit.heads):
            raise ConfigError(
                f"dit.dim {self.dit.dim} does not split into {self.dit.heads} heads "
                "of an even number of channels"
            )
        for name in ("cue_gains", "gesture_gains"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON has lists alone
        if len(self.gesture_gains) != 2:
            raise ConfigError(
                f"gesture_gains {list(self.gesture_gains)} are not two, of nods and of shakes"
            )
        if not isinstance(self.image_size, int):
            object.__setattr__(self, "image_size", tuple(self.image_size))  # JSON has lists alone
            if len(self.image_size) != 2:
                raise ConfigError(
                    f"image_size {self.image_size} is neither a square's side nor height and width"
                )
        token = self.vae.spatial * self.dit.patch
        for side in (self.height, self.width):
            if side < token or side % token:
                raise ConfigError(
                    f"image_size {side} is not a multiple of {token}, "
                    "the side of one token in pixels"
                )
        if self.chunk < 1:
            raise ConfigError(f"chunk {self.chunk} is not a number of latents, expected 1 or more")
        if not 0 <= self.overlap <= (self.chunk if self.clips else 0):
            raise ConfigError(
                f"overlap {self.overlap} cannot be with window {self.window} and chunk "
                f"{self.chunk}: expected window 0 and at most the chunk's latents"
            )
        if self.fps < 1 or OPUS_RATE % self.fps:
            raise ConfigError(
                f"fps {self.fps} does not divide the sound's {OPUS_RATE} samples a second; "
                "expected a rate such as 25 or 24"
            )
        if self.dit.latent_channels != self.vae.channels:
            raise ConfigError(
                f"dit.latent_channels {self.dit.latent_channels} differs from "
                f"vae.channels {self.vae.channels}"
            )
        if self.sink_distance <= self.window:
            raise ConfigError(
                f"sink_distance {self.sink_distance} must exceed window {self.window}, "
                "else the sink shares a position with a context latent"
            )
        if self.cue_width and self.dit.audio_form != "attention":
            raise ConfigError(
                f"cue_width {self.cue_width} does not go with dit.audio_form "
                f"{self.dit.audio_form!r}, "
                "which has no token to tell cues by: expected 0"
            )
        for part, found, told, expected in (
            ("audio.out_dim", self.audio.out_dim, "dit.audio_dim", self.dit.audio_dim),
            ("text.dim", self.text.dim, "dit.text_dim", self.dit.text_dim),
            ("text.length", self.text.length, "dit.text_len", self.dit.text_len),
        ):
            if found != expected:
                raise ConfigError(f"{part} {found} differs from {told} {expected}")

    @property
    def clips(self) -> bool:
        """Whether chunks are clips of their own, which share latents and not keys."""
        return self.window == 0

    @property
    def height(self) -> int:
        """Pixels of a picture, downwards."""
        return self.image_size if isinstance(self.image_size, int) else self.image_size[0]

    @property
    def width(self) -> int:
        """Pixels of a picture, across."""
        return self.image_size if isinstance(self.image_size, int) else self.image_size[1]

    @property
    def side(self) -> int:
        """Pixels on a side, for those who know squares alone; ConfigError if it is none."""
        if self.height != self.width:
            raise ConfigError(
                f"{self.name} makes pictures of {self.height} x {self.width}, expected squares"
            )
        return self.height

    @property
    def cells(self) -> tuple[int, int]:
        """Latent cells, down and across."""
        spatial = self.vae.spatial
        return exact_div(self.height, spatial), exact_div(self.width, spatial)

    @property
    def rows(self) -> int:
        """Tokens of one latent, downwards."""
        return exact_div(self.cells[0], self.dit.patch)

    @property
    def columns(self) -> int:
        """Tokens of one latent, across."""
        return exact_div(self.cells[1], self.dit.patch)

    @property
    def tokens(self) -> int:
        """Tokens of one latent."""
        return self.rows * self.columns

    @property
    def chunk_frames(self) -> int:
        return self.chunk * FRAMES_PER_LATENT

    def begin(self, latent: int) -> int:
        """The sample at which the first frame of a film's `latent` is shown, rounded down."""
        return latent * FRAMES_PER_LATENT * AUDIO_RATE // self.fps

    @property
    def chunk_samples(self) -> int:
        return self.begin(self.chunk)

    @property
    def latent_samples(self) -> int:
        """Samples one latent hears: past, its own in whole pairs of mel hops, and those ahead."""
        pair = 2 * MEL_HOP
        own = -(-FRAMES_PER_LATENT * AUDIO_RATE // (self.fps * pair)) * pair
        return self.audio.past_samples + own + self.audio.lookahead_samples

    @property
    def window_samples(self) -> int:
        """Samples one chunk hears: all that its latents hear."""
        return self.begin(self.chunk - 1) + self.latent_samples


SOUL_5B = SoulConfig(
    name="soul-5b",
    image_size=512,
    shift=5.0,
    centroids=40_000,
    # Whisper's sight in `model.wan.whisper.Hearing`: 3 s of past, 40 ms ahead.
    audio=AudioConfig(
        mels=128, past_mels=300, future_mels=4, width=1280, out_dim=1280, positions=1500
    ),
    text=TextConfig(length=512, dim=4096),
)
SOUL_MINI = SoulConfig(
    name="soul-mini",
    cue_width=64,
    dit=DiTConfig(
        dim=256,
        ffn_dim=768,
        layers=5,
        heads=4,
        text_len=24,
        text_dim=64,
        audio_dim=256,
        steered=16,  # all of them: 13 of sound, 3 of cues
    ),
    audio=AudioConfig(noise_mels=150),
)
# The same parts over four times as many tokens: nothing is wider, and every weight has the shape of
# soul-mini's. The levels of noise are Soul-5B's at this size: among more cells that tell the same,
# a level hides less (Esser et al. 2024, arXiv 2403.03206).
SOUL_MINI_512 = replace(SOUL_MINI, name="soul-mini-512", image_size=512, shift=5.0)
SOUL_TEST = SoulConfig(
    name="soul-test",
    image_size=64,
    cue_width=8,
    dit=DiTConfig(dim=48, ffn_dim=64, layers=2, heads=2, text_len=24, text_dim=16, audio_dim=16),
    audio=AudioConfig(noise_mels=20, width=16, out_dim=16),
    text=TextConfig(vocabulary=64, dim=16),
    vae=VaeConfig(
        encoder_width=8, decoder_trunk=16, decoder_width=8, light_trunk=16, light_width=8
    ),
    window=3,
    sink_distance=4,
    centroids=16,
)
PRESETS: dict[str, SoulConfig] = {c.name: c for c in (SOUL_5B, SOUL_MINI, SOUL_MINI_512, SOUL_TEST)}

CLIP_LATENTS, CLIP_OVERLAP = 28, 2  # the paper's: 1 + 27 · 4 = 109 frames


def in_clips(config: SoulConfig) -> SoulConfig:
    """`config` as the paper runs it, clip by clip: the pivotal latent, the overlap, new latents."""
    new = CLIP_LATENTS - 1 - CLIP_OVERLAP
    return replace(config, window=0, overlap=CLIP_OVERLAP, chunk=new)


_PARTS = {"dit": DiTConfig, "audio": AudioConfig, "text": TextConfig, "vae": VaeConfig}


def to_dict(config: SoulConfig) -> dict[str, Any]:
    """A JSON-able form that `from_dict` reads back."""
    return asdict(config)


def from_dict(values: dict[str, Any]) -> SoulConfig:
    """The config that `values` spell out; ConfigError names an unknown key."""
    if not isinstance(values, dict):
        raise ConfigError(f"a Soul config is {type(values).__name__}, expected an object of sizes")
    known = {f.name for f in fields(SoulConfig)}
    plain = dict(values)
    if unknown := sorted(set(plain) - known):
        raise ConfigError(f"unknown key {unknown[0]!r} in a Soul config; known: {sorted(known)}")
    for part, kind in _PARTS.items():
        if part in plain:
            inner = {f.name for f in fields(kind)}
            if unknown := sorted(set(plain[part]) - inner):
                raise ConfigError(f"unknown key {part}.{unknown[0]}; known: {sorted(inner)}")
            plain[part] = kind(**plain[part])
    return SoulConfig(**plain)
