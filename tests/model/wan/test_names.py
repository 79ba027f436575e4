"""diffusers' names of the transformer's parameters become Wan's, each exactly once."""

import pytest

from made_checkpoints import diffusers_name
from soul.checkpoints.families import WAN_5B, dit_shapes
from soul.model.wan.names import from_diffusers


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("blocks.29.attn1.to_out.0.bias", "blocks.29.self_attn.o.bias"),
        ("blocks.0.attn2.norm_q.weight", "blocks.0.cross_attn.norm_q.weight"),
        ("blocks.0.attn2.to_k", "blocks.0.cross_attn.k"),  # a layer's name, as in a LoRA
        ("blocks.3.norm2.weight", "blocks.3.norm3.weight"),
        ("blocks.3.ffn.net.0.proj.weight", "blocks.3.ffn.0.weight"),
        ("blocks.3.scale_shift_table", "blocks.3.modulation"),
        ("scale_shift_table", "head.modulation"),
        ("proj_out.weight", "head.head.weight"),
        ("condition_embedder.time_proj.bias", "time_projection.1.bias"),
        ("patch_embedding.weight", "patch_embedding.weight"),
    ],
)
def test_layers_are_renamed(theirs: str, ours: str) -> None:
    assert from_diffusers(theirs) == ours


def test_wans_own_names_stay_and_diffusers_lead_back_to_them() -> None:
    names = list(dit_shapes(WAN_5B.dit, audio=True))
    assert [from_diffusers(name) for name in names] == names
    theirs = [diffusers_name(name) for name in dit_shapes(WAN_5B.dit, audio=False)]
    assert len(set(theirs)) == len(theirs) == 825
    assert {from_diffusers(name) for name in theirs} < set(names)
