"""Transformer, VAE and umT5 against the official code: its answers for the same weights and inputs.

Golden values: wan/modules/model.py, vae2_2.py and t5.py of Wan-Video/Wan2.2, commit 42bf4cf, built
at the sizes of `TINY` and run in float32 on the CPU, flash attention replaced by torch's own with
the same lengths. Weights and inputs are those of `made_official`, by the official names, so both
sides make them alike; here they lie in files of the official layout and come through the
converter's reading and its maps of names. A wrong name is another weight, or none.
"""

import zlib
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from made_official import save_official, spread
from soul.checkpoints.families import Family, VaeSizes, is_audio
from soul.checkpoints.modules import TIED, read
from soul.checkpoints.parts import TEXT, VAE, part_of, transformer
from soul.checkpoints.sources import Tensors
from soul.model.config import DiTConfig
from soul.model.dit import DiT
from soul.model.wan import text as umt5
from soul.model.wan.text import PromptEncoder, Tokenizer, Umt5Sizes
from soul.model.wan.vae import WanVae, WanVaeConfig

TINY = Family(
    "tiny",
    DiTConfig(dim=64, ffn_dim=96, layers=3, heads=2, text_len=16, text_dim=24, audio_dim=20),
    VaeSizes(encoder_width=8, decoder_width=8),
    Umt5Sizes(vocabulary=64, dim=32, head_dim=16, heads=4, ffn_dim=48, layers=3, length=160),
)
WORDS = (5, 16)  # of each clip's prompt; zeros fill up to 16
TIMES = (937, 250)  # of each clip; its first latent is given
PROMPTS = (160, 90, 40)  # tokens each; the longest reaches beyond the last bucket of distances
TOLERANCE = 1e-4

# Of each answer what `probes` takes from it.
FLOW = [
    0.018078, 0.097603, -0.261126, -0.158632, -0.665693, -0.101336, 0.505391, -1.137107,
    0.188805, 1.300639, -0.250881, 1.39906, -0.791931, 0.711799, 0.019609, 0.620088,
]  # fmt: skip
ENCODED = [
    -0.026752, -0.282699, -0.195234, -0.135295, 0.314343, -0.485331, 0.450321, -0.905308,
    1.042417, -0.357823, 0.212884, 0.144579, -0.232949, -0.273289, 0.07678, 0.498946,
]  # fmt: skip
DECODED = [
    0.27376, -0.316985, -0.265555, -0.296588, -0.449551, -0.299664, -0.329547, -0.145418,
    -0.198853, -0.380816, -0.353698, -0.304849, -0.314506, -0.373165, -0.013726, 0.346749,
]  # fmt: skip
VECTORS = [
    -0.695859, -1.409832, 0.280751, 1.569979, 2.070795, 0.182024, 1.805623, 0.03392,
    -0.874464, -2.737685, -0.938383, 0.139918, -0.391432, -0.336065, -0.018091, 1.054105,
]  # fmt: skip
SCALE = 0x7284ABCA  # CRC-32 of the VAE's means and reciprocal deviations, float32, little-endian


def latent() -> Tensor:
    """Two clips of three latents of 3 x 4 tokens: [2, 48, 3, 6, 8]."""
    return 1.7 * spread("latent", (2, 48, 3, 6, 8))


def text() -> Tensor:
    """[2, 16, 24]."""
    vectors = spread("text", (2, 16, 24))
    for vector, count in zip(vectors, WORDS, strict=True):
        vector[count:] = 0
    return vectors


def film() -> Tensor:
    """[2, 9, 3, 32, 48] in [-1, 1]."""
    return spread("film", (2, 9, 3, 32, 48))


def latents() -> Tensor:
    """[2, 4, 48, 2, 3], not what `film` is coded to."""
    return 1.7 * spread("latents", (2, 4, 48, 2, 3))


class Numbered:
    """Stands for a tokenizer, whatever the prompts; 1 ends each, as in umT5."""

    def __call__(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        numbers = (7 * torch.arange(3 * 160) % 61 + 3).view(3, 160)
        real = torch.arange(160) < torch.tensor(PROMPTS)[:, None]
        ends = torch.arange(160) == torch.tensor(PROMPTS)[:, None] - 1
        return numbers.masked_fill(ends, 1) * real, real.long()


def filled(module: nn.Module, tensors: Tensors) -> nn.Module:
    """`module` with the weights that the converter read; all, and no others, but sound's own."""
    unread = [name for name in module.state_dict() if is_audio(name) or name == TIED]
    values = read(module, tensors, "official", "cpu", torch.float32, lambda name: name in unread)
    kept = module.load_state_dict(values, strict=False)
    assert kept.missing_keys == unread
    return module.eval().requires_grad_(False)


def dit(folder: Path) -> DiT:
    return cast(DiT, filled(DiT(TINY.dit), transformer(folder).tensors))


def vae(folder: Path) -> WanVae:
    sizes = WanVaeConfig(encoder_width=8, decoder_width=8)
    return cast(WanVae, filled(WanVae(sizes), part_of(VAE, [folder]).tensors))


def scribe(folder: Path) -> PromptEncoder:
    net = filled(umt5.network(TINY.text), part_of(TEXT, [folder]).tensors)
    return PromptEncoder(cast(Tokenizer, Numbered()), net)


def flow(dit: DiT) -> Tensor:
    """As Wan2.2-TI2V asks: the given latent's tokens at timestep 0, the others at an integer."""
    times = torch.tensor(TIMES)[:, None].repeat(1, 3 * 12)
    times[:, :12] = 0
    found: Tensor = dit(latent(), times, text(), None, None).flow
    return found


def probes(answer: Tensor) -> Tensor:
    """Fourteen values from first to last, the mean, and the root of the mean square."""
    flat = answer.double().flatten()
    places = [(len(flat) - 1) * step // 13 for step in range(14)]
    return torch.cat((flat[places], flat.mean()[None], flat.square().mean().sqrt()[None]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("official")
    save_official(path, TINY)
    return path


def close(answer: Tensor, wanted: list[float]) -> None:
    torch.testing.assert_close(probes(answer).float(), torch.tensor(wanted), atol=TOLERANCE, rtol=0)


def test_a_clips_flow_is_the_official_one(folder: Path) -> None:
    """Also where a prompt is filled up with zeros, which the official code attends to."""
    found = flow(dit(folder))
    assert found.shape == (2, 48, 3, 6, 8)
    close(found, FLOW)


def test_latents_are_told_on_the_official_scale(folder: Path) -> None:
    """48 means and 48 reciprocal deviations, bit for bit."""
    mine = vae(folder)
    scale = torch.cat((mine.mean, 1 / mine.deviation))
    assert zlib.crc32(scale.numpy().tobytes()) == SCALE


@pytest.mark.parametrize("pushes", [[9], [1, 4, 4], [3, 1, 5]])
def test_a_film_is_encoded_as_the_official_code_does(folder: Path, pushes: list[int]) -> None:
    mine = vae(folder)
    state, pulled = mine.open_encoder(), []
    for frames in film().split(pushes, 1):
        coded, state = mine.encode_next(frames, state)
        pulled.append(coded)
    found = torch.cat(pulled, 1)
    assert found.shape == (2, 3, 48, 2, 3)
    close(found, ENCODED)


@pytest.mark.parametrize("pushes", [[4], [1, 1, 1, 1], [1, 3]])
def test_latents_are_decoded_as_the_official_code_does(folder: Path, pushes: list[int]) -> None:
    mine = vae(folder)
    state, pulled = mine.open_decoder(), []
    for some in latents().split(pushes, 1):
        frames, state = mine.decode_next(some, state)
        pulled.append(frames)
    found = torch.cat(pulled, 1)
    assert found.shape == (2, 13, 3, 32, 48)
    close(found, DECODED)


def test_a_prompts_vectors_are_the_official_ones(folder: Path) -> None:
    found = scribe(folder).encode([""] * len(PROMPTS))
    assert found.shape == (3, 160, 32)
    close(torch.cat([row[:count] for row, count in zip(found, PROMPTS, strict=True)]), VECTORS)
    assert not any(row[count:].any() for row, count in zip(found, PROMPTS, strict=True))
