"""Names of the VAE's and the text encoder's parameters: the official files' → the libraries'.

The official VAEs of Wan2.1 and Wan2.2 → diffusers' `AutoencoderKLWan` (its own converter lacks
the layers of 2.2), and the official umT5 encoder → transformers' `UMT5EncoderModel`. The
transformer's map stands in `soul.model.wan.names`. Pure functions of strings: no tensors, no
files, no libraries.
"""

from soul.model.wan.names import swapped

# One residual block: norm, SiLU, conv, norm, SiLU, dropout, conv; counted by the official files.
RESIDUAL = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
SIDE = {
    "conv1": "conv_in",
    "head.0": "norm_out",
    "head.2": "conv_out",
}
DIRECTIONS = {
    "downsamples": ("down_blocks", "downsampler"),
    "upsamples": ("up_blocks", "upsampler"),
}
SAMPLERS = ("resample.", "time_conv.")
FLAT_LEVEL = 4  # Wan2.1's decoder counts through: three residual blocks and a resampler a level
T5_BLOCK = {
    "norm1": "layer.0.layer_norm",
    "attn": "layer.0.SelfAttention",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}
T5_AROUND = {"token_embedding": "shared", "norm": "encoder.final_layer_norm"}


def vae_from_official(name: str) -> str:
    """diffusers' name of an official VAE's parameter; any other name stays as it is."""
    side, _, inner = name.partition(".")
    if side not in ("encoder", "decoder"):
        return swapped(name, {"conv1": "quant_conv", "conv2": "post_quant_conv"})
    layer, _, rest = inner.partition(".")
    if layer == "middle":
        number, _, tail = rest.partition(".")
        return f"{side}.mid_block.{MIDDLE.get(number, number)}.{swapped(tail, RESIDUAL)}"
    if layer in DIRECTIONS:
        number, _, tail = rest.partition(".")
        nested = tail.startswith(f"{layer}.")  # Wan2.2: a list a level
        return f"{side}.{(level if nested else flat)(layer, number, tail)}"
    return f"{side}.{swapped(inner, SIDE)}"


def level(direction: str, number: str, tail: str) -> str:
    """Wan2.2: `tail` is "downsamples.LAYER.…", the last layer of a level its resampler."""
    blocks, sampler = DIRECTIONS[direction]
    layer, _, inner = tail.removeprefix(f"{direction}.").partition(".")
    if inner.startswith(SAMPLERS):
        return f"{blocks}.{number}.{sampler}.{inner}"
    return f"{blocks}.{number}.resnets.{layer}.{swapped(inner, RESIDUAL)}"


def flat(direction: str, number: str, tail: str) -> str:
    """Wan2.1: one list through all levels, which diffusers keeps on the way down alone."""
    blocks, sampler = DIRECTIONS[direction]
    if direction == "downsamples" or not number.isdigit():
        return f"{blocks}.{number}.{swapped(tail, RESIDUAL)}"
    block, layer = divmod(int(number), FLAT_LEVEL)
    if tail.startswith(SAMPLERS):
        return f"{blocks}.{block}.{sampler}s.0.{tail}"
    return f"{blocks}.{block}.resnets.{layer}.{swapped(tail, RESIDUAL)}"


def text_from_official(name: str) -> str:
    """transformers' name of the official umT5 encoder's parameter; any other name stays."""
    if not name.startswith("blocks."):
        return swapped(name, T5_AROUND)
    _, number, inner = name.split(".", 2)
    return f"encoder.block.{number}.{swapped(inner, T5_BLOCK)}"


def text_from_transformers(name: str) -> str:
    """The tied copy of the embedding has one name only."""
    return "shared.weight" if name == "encoder.embed_tokens.weight" else name
