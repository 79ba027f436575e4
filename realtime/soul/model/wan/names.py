"""The transformer's parameters by another name: diffusers' `WanTransformer3DModel` → Wan's own.

Pure functions of strings. It knows neither tensors nor files, and imports nothing of diffusers.
"""

# diffusers' layers inside a block → Wan's; in diffusers the norm before the text is the second.
BLOCK = {
    "attn1": "self_attn",
    "attn2": "cross_attn",
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "scale_shift_table": "modulation",
}
ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
AROUND = {
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "proj_out": "head.head",
    "scale_shift_table": "head.modulation",
}


def swapped(name: str, table: dict[str, str]) -> str:
    """`name` with its first layers exchanged as `table` says; as it was if they are not in it."""
    for old, new in table.items():
        if name == old or name.startswith(f"{old}."):
            return new + name.removeprefix(old)
    return name


def from_diffusers(name: str) -> str:
    """Wan's name of diffusers' parameter or layer `name`; a name that is not diffusers' stays."""
    if not name.startswith("blocks."):
        return swapped(name, AROUND)
    _, number, inner = name.split(".", 2)
    layer, dot, rest = swapped(inner, BLOCK).partition(".")
    if layer in ("self_attn", "cross_attn"):
        rest = swapped(rest, ATTENTION)
    return f"blocks.{number}.{layer}{dot}{rest}"
