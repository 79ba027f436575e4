"""True sizes, counted on the meta device, and what is no member of a family."""

import math

import pytest

from soul.checkpoints.families import (
    FAMILIES,
    WAN_1_3B,
    WAN_5B,
    Family,
    dit_shapes,
    family_of,
    text_shapes,
    vae_shapes,
)
from soul.checkpoints.sources import CheckpointError


def count(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


# Counted in the official code (Wan-Video/Wan2.2 at 42bf4cf), and in LiveTalk's published header.
@pytest.mark.parametrize(
    ("family", "dit", "vae", "text"),
    [
        (WAN_5B, 4_999_787_712, 704_688_668, 5_680_910_336),
        (WAN_1_3B, 1_418_996_800, 126_892_531, 5_680_910_336),
    ],
)
def test_the_parts_have_their_true_sizes(family: Family, dit: int, vae: int, text: int) -> None:
    assert count(dit_shapes(family.dit, audio=False)) == dit
    assert count(vae_shapes(family.vae)) == vae
    assert count(text_shapes(family.text)) == text
    assert len(dit_shapes(family.dit, audio=False)) == 825


def test_souls_audio_layers_are_counted_apart() -> None:
    heard = count(dit_shapes(WAN_5B.dit, audio=True)) - count(dit_shapes(WAN_5B.dit, audio=False))
    assert heard == 1_133_199_360 + 1280 * 3072 + 3072  # every block's layers, and the embedding


def test_a_family_is_known_by_width_and_depth() -> None:
    for family in FAMILIES:
        assert family_of(dit_shapes(family.dit, audio=False), FAMILIES, "here") == family


@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        (
            {"patch_embedding.weight": (5120, 16, 1, 2, 2), "blocks.39.ffn.0.bias": (13824,)},
            r"here is a Wan transformer of another family: 5120 wide, 40 blocks; expected one of "
            r"wan2.2-ti2v-5b \(3072 wide, 30 blocks\), wan2.1-t2v-1.3b \(1536 wide, 30 blocks\)",
        ),
        ({"down_blocks.0.resnets.0.conv1.weight": (320, 4, 3, 3)}, "here holds no Wan transformer"),
        ({}, "here holds no Wan transformer: .* but 0 tensors such as nothing"),
    ],
)
def test_strangers_are_named(shapes: dict[str, tuple[int, ...]], sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        family_of(shapes, FAMILIES, "here")
