"""Sound → Whisper's features for a latent each: offline over a recording, or streamed by windows.

Offline, Whisper sees up to 30 s at once; live, a chunk is computed from its own window of samples,
with a given past and lookahead, so that a stream and a file are the same by construction. What the
shorter sight costs is for `compare` to tell. The encoder is transformers'. It knows no microphone
and no backbone.
"""

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import functional as F
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from soul.model.audio import CEILING, log_mel, mel_level, scaled
from soul.model.config import ConfigError
from soul.model.load import CONFIG, WEIGHTS, WeightsError, check
from soul.timebase import (
    AUDIO_RATE,
    FRAME_RATE,
    FRAMES_PER_LATENT,
    MEL_HOP,
    MEL_WINDOW,
    exact_div,
)

STRIDE = 2  # mel frames a feature
FEATURE_SAMPLES = STRIDE * MEL_HOP  # 320: 20 ms
FEATURE_RATE = exact_div(AUDIO_RATE, FEATURE_SAMPLES)  # 50 a second
TOKENS_PER_FRAME = 2  # features a picture: at 25 pictures a second each exactly once
TOKENS_PER_LATENT = TOKENS_PER_FRAME * FRAMES_PER_LATENT
SILENCE = float(scaled(torch.tensor(-torch.inf), CEILING))  # what `log_mel` gives for none

# The sizes by their names in transformers' `config.json`, in the order of `WhisperSizes`.
SIZES = (
    "num_mel_bins",
    "d_model",
    "encoder_ffn_dim",
    "encoder_layers",
    "encoder_attention_heads",
    "max_source_positions",
)
PREFIX = "model.encoder."  # of the encoder's tensors in a whole Whisper


class SoundError(ValueError):
    """Sound of a length that cannot be; the sentence names it and what was expected."""


@dataclass(frozen=True, slots=True)
class WhisperSizes:
    """Sizes of the encoder of openai/whisper-large-v3."""

    mels: int = 128
    width: int = 1280
    ffn_dim: int = 5120
    layers: int = 32
    heads: int = 20
    positions: int = 1500  # features of the 30 s that it was trained on

    @property
    def samples(self) -> int:
        return self.positions * FEATURE_SAMPLES


@dataclass(frozen=True, slots=True)
class Hearing:
    """What one latent's features are computed from, in features of 20 ms.

    `positions` is how many the encoder is given: what the window does not fill is silence behind
    it. 1500 is what Whisper was trained on; as many as `heard` is cheapest.
    """

    past: int = 150
    lookahead: int = 2
    positions: int = 1500
    fps: int = FRAME_RATE  # pictures a second, 25 or 24

    def __post_init__(self) -> None:
        if min(self.past, self.lookahead) < 0 or self.fps < 1:
            raise ConfigError(
                f"past {self.past}, lookahead {self.lookahead}, fps {self.fps}: expected none "
                "below 0, and at least one picture a second"
            )
        if self.positions < self.heard:
            raise ConfigError(
                f"positions {self.positions} cannot hold the {self.heard} that a latent hears"
            )

    @property
    def chunk(self) -> int:
        """Features that begin within the four frames of a latent, rounding up."""
        return -(-FRAMES_PER_LATENT * FEATURE_RATE // self.fps)

    @property
    def heard(self) -> int:
        return self.past + self.chunk + self.lookahead

    @property
    def past_samples(self) -> int:
        """Before the latent's first sample: the past, and half a window of its first mel frame."""
        return self.past * FEATURE_SAMPLES + MEL_WINDOW // 2

    @property
    def window_samples(self) -> int:
        """All that a latent hears, up to the end of its last mel frame."""
        last = (self.chunk + self.lookahead) * FEATURE_SAMPLES - MEL_HOP
        return self.past_samples + last + MEL_WINDOW // 2


def network(sizes: WhisperSizes) -> Any:
    """transformers' `WhisperEncoder` of these sizes, with random weights, ready to serve."""
    told = dict(zip(SIZES, astuple(sizes), strict=True))
    return WhisperEncoder(WhisperConfig(**told)).eval().requires_grad_(False)


def sizes_of(net: Any) -> WhisperSizes:
    """The sizes that `net` was made with."""
    told = net.config.to_dict()
    return WhisperSizes(*(told[name] for name in SIZES))


def told_sizes(folder: Path) -> WhisperSizes:
    """The sizes that the `config.json` in `folder` tells; WeightsError if it tells none."""
    try:
        told = json.loads((folder / CONFIG).read_text())
        return WhisperSizes(*(int(told[name]) for name in SIZES))
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError(
            f"no Whisper at {str(folder)!r}: expected a folder with {CONFIG} and {WEIGHTS}"
        ) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise WeightsError(f"{str(folder)!r} holds no whole Whisper: {error!r}") from error


def load(folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """The encoder of a Whisper that lies in `folder` as openai/whisper-large-v3 does.

    WeightsError, one sentence, if a file is missing, broken or not of the sizes that it tells.
    """
    path = folder / WEIGHTS
    sizes = told_sizes(folder)
    try:
        with safe_open(path, framework="pt", device=device) as file:
            names: list[str] = file.keys()
            kept = [name for name in names if name.startswith(PREFIX)]
            found = {n.removeprefix(PREFIX): file.get_tensor(n).to(dtype) for n in kept}
    except FileNotFoundError:
        raise WeightsError(
            f"no Whisper at {str(folder)!r}: expected a folder with {CONFIG} and {WEIGHTS}"
        ) from None
    except (ValueError, KeyError, TypeError, SafetensorError, OSError) as error:
        raise WeightsError(f"{str(folder)!r} holds no whole Whisper: {error!r}") from error
    with torch.device("meta"):
        net = network(sizes)
    check(net.state_dict(), found, path)
    net.load_state_dict(found, assign=True)
    return net.requires_grad_(False)


def shortened(net: Any, positions: int) -> Any:
    """The same encoder over its first `positions` only; shares all weights with `net`."""
    config = WhisperConfig(**{**net.config.to_dict(), "max_source_positions": positions})
    with torch.device("meta"):
        short = WhisperEncoder(config)
    weights = dict(net.state_dict())
    table = "embed_positions.weight"
    weights[table] = weights[table][:positions]
    short.load_state_dict(weights, assign=True)
    return short.eval().requires_grad_(False)


def whisper_mel(pcm: Tensor, sizes: WhisperSizes) -> Tensor:
    """Whisper's own log-mel [B, mels, 2 · positions] of `pcm` [B, n] at 16 kHz.

    Silence fills up to 30 s; the dynamic range hangs from the loudest frame of each row, which a
    stream cannot know. SoundError beyond 30 s.
    """
    if pcm.shape[-1] > sizes.samples:
        raise SoundError(
            f"{pcm.shape[-1] / AUDIO_RATE:g} s of sound, expected at most "
            f"{sizes.samples / AUDIO_RATE:g} s at once"
        )
    filled = F.pad(pcm, (0, sizes.samples - pcm.shape[-1]))
    margin = MEL_WINDOW // 2
    level = mel_level(F.pad(filled, (margin, margin), mode="reflect"), sizes.mels)[..., :-1]
    return scaled(level, level.amax((-2, -1), keepdim=True))


def offline(net: Any, pcm: Tensor) -> Tensor:
    """Features [B, positions, width], 50 a second, of whole recordings [B, n] of up to 30 s."""
    mel = whisper_mel(pcm, sizes_of(net))
    features: Tensor = net(mel.to(net.dtype)).last_hidden_state
    return features


def latents_of(samples: int, fps: int) -> int:
    """How many latents last as long as `samples` of sound, rounding up: 1 frame, then 4 each."""
    frames = max(1, -(-samples * fps // AUDIO_RATE))
    return 1 + -(-(frames - 1) // FRAMES_PER_LATENT)


def taken(features: Tensor, places: Sequence[int], fps: int) -> Tensor:
    """`features` [B, p, width] at places/fps, linearly between neighbours: [B, n, width].

    Beyond the last feature the last one goes on.
    """
    last = features.shape[1] - 1
    low = [min(place // fps, last) for place in places]
    high = [min(at + 1, last) for at in low]
    share = torch.tensor([place % fps / fps for place in places]).to(features).unsqueeze(-1)
    return torch.lerp(features[:, low], features[:, high], share)


def aligned(features: Tensor, latents: int, fps: int) -> Tensor:
    """Features [B, p, width], 50 a second → [B, latents, 8, width], two for each picture.

    Latent 0 is frame 0 alone, and holds its two four times; latent k is frames 4 k − 3 to 4 k.
    """
    frames = [max(0, frame) for frame in range(1 - FRAMES_PER_LATENT, 1 + 4 * (latents - 1))]
    places = [FEATURE_RATE // TOKENS_PER_FRAME * token for frame in frames for token in pair(frame)]
    found = taken(features, places, fps)
    return found.view(len(found), latents, TOKENS_PER_LATENT, -1)


def pair(frame: int) -> range:
    """Numbers of a frame's tokens."""
    return range(TOKENS_PER_FRAME * frame, TOKENS_PER_FRAME * (frame + 1))


def windows(pcm: Tensor, latents: int, hearing: Hearing) -> Tensor:
    """Each latent's window of a recording [n] → [latents, window_samples].

    Latent k's four frames begin at frame 4 k − 3: those of latent 0 end with frame 0, as if silence
    had been before. Silence is also what lies beyond the end.
    """
    begins = [
        (FRAMES_PER_LATENT * k + 1 - FRAMES_PER_LATENT) * AUDIO_RATE // hearing.fps
        for k in range(latents)
    ]
    before = hearing.past_samples - begins[0]
    behind = max(0, begins[-1] - hearing.past_samples + hearing.window_samples - len(pcm))
    padded = F.pad(pcm, (before, behind))
    first = torch.tensor([begin - begins[0] for begin in begins], device=pcm.device)
    return padded[first.unsqueeze(1) + torch.arange(hearing.window_samples, device=pcm.device)]


def listen(net: Any, pcm: Tensor, hearing: Hearing) -> Tensor:
    """Windows [B, window_samples] → the features of their four frames [B, 8, width].

    `net` has as many positions as `hearing` says; see `shortened`.
    """
    if pcm.shape[-1] != hearing.window_samples:
        raise SoundError(f"a latent hears {hearing.window_samples} samples, got {pcm.shape[-1]}")
    mel = log_mel(pcm, net.config.num_mel_bins)
    mel = F.pad(mel, (0, STRIDE * hearing.positions - mel.shape[-1]), value=SILENCE)
    features = net(mel.to(net.dtype)).last_hidden_state
    origin = hearing.past * hearing.fps
    step = FEATURE_RATE // TOKENS_PER_FRAME
    places = [origin + step * token for token in range(TOKENS_PER_LATENT)]
    return taken(features, places, hearing.fps)


def first_alone(tokens: Tensor) -> Tensor:
    """[B, 8, width] → the same with the last frame's two tokens four times: a clip's latent 0."""
    return tokens[:, -TOKENS_PER_FRAME:].repeat(1, FRAMES_PER_LATENT, 1)


def streamed(net: Any, pcm: Tensor, latents: int, hearing: Hearing) -> Tensor:
    """A recording [n] as a stream hears it: [latents, 8, width], laid out as `aligned` does."""
    heard = windows(pcm, latents, hearing)
    tokens = torch.cat([listen(net, window, hearing) for window in heard.split(1)])
    return torch.cat((first_alone(tokens[:1]), tokens[1:]))


@dataclass(frozen=True, slots=True)
class Difference:
    """Streamed features against offline ones, of one recording."""

    past: int  # features of 20 ms, as in `Hearing`
    lookahead: int
    positions: int
    relative: float  # ‖streamed − offline‖ / ‖offline‖
    largest: float  # of all absolute differences
    cosine: float  # mean over the tokens


def compare(net: Any, pcm: Tensor, hearings: Sequence[Hearing]) -> list[Difference]:
    """What each of `hearings` costs on a recording [n] of up to 30 s.

    Three things differ: what is heard, the ceiling of the range, and the places: a window counts
    its own from 0, where offline a feature's place is that in the recording.
    """
    whole = offline(net, pcm.unsqueeze(0))
    found = []
    for hearing in hearings:
        latents = latents_of(len(pcm), hearing.fps)
        told = streamed(shortened(net, hearing.positions), pcm, latents, hearing).float()
        truth = aligned(whole, latents, hearing.fps)[0].float()
        apart = told - truth
        found.append(
            Difference(
                hearing.past,
                hearing.lookahead,
                hearing.positions,
                float(apart.norm() / truth.norm()),
                float(apart.abs().max()),
                float(F.cosine_similarity(told, truth, -1).mean()),
            )
        )
    return found
