"""A wav2vec2 in a folder: opened whole, or one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2Config, Wav2Vec2Model

from soul.model.load import WeightsError
from soul.model.wan import wav2vec

SIZES = Wav2Vec2Config(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=4,
    num_conv_pos_embedding_groups=2,
)


def test_a_folder_of_wav2vec2_is_opened_whole_or_not_at_all(tmp_path: Path) -> None:
    net = Wav2Vec2Model(SIZES)
    net.save_pretrained(tmp_path / "w")
    again = wav2vec.load(tmp_path / "w", "cpu", torch.float32)
    weights, wanted = again.state_dict(), net.state_dict()
    assert all(torch.equal(weights[name], wanted[name]) for name in wanted)
    assert wav2vec.features_of(wav2vec.told_config(tmp_path / "w")) == 16 * 4
    with pytest.raises(WeightsError, match="no wav2vec2 at"):
        wav2vec.told_config(tmp_path / "nowhere")
    (tmp_path / "w" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="holds no whole wav2vec2"):
        wav2vec.load(tmp_path / "w", "cpu", torch.float32)
    save_file({"lm_head.weight": torch.zeros(2)}, tmp_path / "w" / "model.safetensors")
    with pytest.raises(WeightsError, match="tensors that are not there"):
        wav2vec.load(tmp_path / "w", "cpu", torch.float32)
    (tmp_path / "w" / "config.json").write_text('{"model_type": "whisper"}')
    with pytest.raises(WeightsError, match="expected a wav2vec2"):
        wav2vec.told_config(tmp_path / "w")
