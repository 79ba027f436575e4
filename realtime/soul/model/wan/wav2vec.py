"""wav2vec2 as public checkpoints hear it: facebook/wav2vec2-base-960h, opened from its folder.

Reading is transformers' own, which knows the older names of these weights. It knows no windows.
"""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import Wav2Vec2Config, Wav2Vec2Model

from soul.model.load import CONFIG, WeightsError, first_line

UNUSED = "masked_spec_embed"  # stands for what training hides; some files have none


def told_config(folder: Path) -> Any:
    """transformers' config of the wav2vec2 in `folder`; WeightsError if there is none."""
    try:
        found = Wav2Vec2Config.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(f"no wav2vec2 at {str(folder)!r}: {first_line(error)}") from None
    if found.model_type != "wav2vec2":
        raise WeightsError(f"{str(folder)!r} holds a {found.model_type}, expected a wav2vec2")
    return found


def features_of(config: Any) -> int:
    """Numbers of one picture: the last layer, what enters the first, and what leaves each."""
    return int(config.hidden_size) * (int(config.num_hidden_layers) + 2)


def network(config: Any) -> Any:
    """transformers' `Wav2Vec2Model` of these sizes, with random weights, ready to serve."""
    return Wav2Vec2Model(config).eval().requires_grad_(False)


def load(folder: Path, device: str, dtype: Any) -> Any:
    """The wav2vec2 in `folder`; WeightsError if a file is missing, broken or not whole."""
    told_config(folder)
    try:
        net, told = Wav2Vec2Model.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"{str(folder)!r} holds no whole wav2vec2: {first_line(error)}"
        ) from error
    if lost := sorted(set(told["missing_keys"]) - {UNUSED}):
        raise WeightsError(
            f"{folder / CONFIG} tells of {len(lost)} tensors that are not there, the first is "
            f"{lost[0]!r}"
        )
    return net.to(device, dtype).eval().requires_grad_(False)
