"""The official VAE's and text encoder's names become those of the libraries, without a gap."""

import pytest

import made_checkpoints as made
from soul.checkpoints.families import WAN_5B, text_shapes, vae_shapes
from soul.checkpoints.names import text_from_official, text_from_transformers, vae_from_official


def test_the_vaes_names_are_covered_both_ways() -> None:
    official = made.official_vae_names()
    assert len(official) == len(set(official)) == 196  # of the official Wan2.2 VAE at 42bf4cf
    assert {vae_from_official(name) for name in official} == set(vae_shapes(WAN_5B.vae))


def test_the_text_encoders_names_are_covered_both_ways() -> None:
    official = made.official_text_names(WAN_5B.text.layers)
    assert len(official) == len(set(official)) == 242
    assert {text_from_official(name) for name in official} == set(text_shapes(WAN_5B.text))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1.bias", "quant_conv.bias"),
        ("encoder.conv1.weight", "encoder.conv_in.weight"),
        (
            "encoder.downsamples.1.downsamples.0.residual.6.bias",
            "encoder.down_blocks.1.resnets.0.conv2.bias",
        ),
        (
            "encoder.downsamples.1.downsamples.2.time_conv.weight",
            "encoder.down_blocks.1.downsampler.time_conv.weight",
        ),
        (
            "decoder.upsamples.0.upsamples.3.resample.1.weight",
            "decoder.up_blocks.0.upsampler.resample.1.weight",
        ),
        ("decoder.middle.2.residual.0.gamma", "decoder.mid_block.resnets.1.norm1.gamma"),
        ("decoder.middle.1.to_qkv.weight", "decoder.mid_block.attentions.0.to_qkv.weight"),
        ("decoder.head.0.gamma", "decoder.norm_out.gamma"),
        # Wan2.1 counts through all levels.
        ("encoder.downsamples.2.resample.1.bias", "encoder.down_blocks.2.resample.1.bias"),
        ("encoder.downsamples.3.shortcut.bias", "encoder.down_blocks.3.conv_shortcut.bias"),
        ("decoder.upsamples.7.resample.1.bias", "decoder.up_blocks.1.upsamplers.0.resample.1.bias"),
        ("decoder.upsamples.14.residual.2.bias", "decoder.up_blocks.3.resnets.2.conv1.bias"),
    ],
)
def test_the_vaes_layers_are_renamed(theirs: str, ours: str) -> None:
    assert vae_from_official(theirs) == ours


def test_the_tied_embedding_has_one_name() -> None:
    assert text_from_transformers("encoder.embed_tokens.weight") == "shared.weight"
    assert text_from_transformers("encoder.final_layer_norm.weight") == (
        "encoder.final_layer_norm.weight"
    )
