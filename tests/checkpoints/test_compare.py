"""What does not fit is told by name, in groups, with what was expected."""

from soul.checkpoints.compare import compare, grouped, pattern_of


def test_lists_of_like_layers_are_one_group() -> None:
    assert pattern_of("blocks.17.ffn.0.weight") == "blocks.*.ffn.0.weight"
    assert pattern_of("encoder.block.3.layer.0.layer_norm.weight") == (
        "encoder.block.*.layer.0.layer_norm.weight"
    )
    assert pattern_of("decoder.up_blocks.1.resnets.2.conv1.bias") == (
        "decoder.up_blocks.*.resnets.2.conv1.bias"
    )
    assert pattern_of("audio_cond_projs.3.weight") == "audio_cond_projs.*.weight"
    assert pattern_of("text_embedding.2.weight") == "text_embedding.2.weight"  # not like .0
    assert grouped(["blocks.0.a", "blocks.1.a", "blocks.1.b"]) == {
        "blocks.*.a": ["blocks.0.a", "blocks.1.a"],
        "blocks.1.b": ["blocks.1.b"],
    }


def test_each_kind_is_listed() -> None:
    expected = {f"blocks.{i}.q": (3, 3) for i in range(30)} | {"head": (2,)}
    found = {f"blocks.{i}.q": (3, 4) for i in range(29)} | {"tail": (5,)}
    difference = compare(expected, found)
    assert difference
    assert difference.told("weights.safetensors").splitlines() == [
        "weights.safetensors does not fit: 2 missing, 1 unexpected, 29 misshaped tensors",
        "  missing blocks.29.q, expected [3, 3]",
        "  missing head, expected [2]",
        "  unexpected tail [5]",
        "  misshaped blocks.*.q ×29 [3, 4], expected [3, 3]",
    ]


def test_what_fits_is_no_difference() -> None:
    assert not compare({"a": (1,)}, {"a": (1,)})
