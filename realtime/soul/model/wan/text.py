"""Prompt → umT5-xxl's vectors, as Wan2.2 wants them: 512 rows, zero after the last token.

Cleaning, padding and the zeroed tail are Wan's; tokenizer and encoder are transformers'. Mind that
the transformer ATTENDS to the zeroed rows. It knows no backbone: the encoder may live on another
device, and may be freed once the prompts are encoded.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ftfy
import torch
from torch import Tensor
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from soul.model.load import first_line

# What a tokenizer's folder holds, as google/umt5-xxl does: the settings, and one of the pieces.
SETTINGS = "tokenizer_config.json"
PIECES = ("tokenizer.json", "spiece.model")
WHITESPACE = re.compile(r"\s+")


class TextError(Exception):
    """A prompt cannot be encoded; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Umt5Sizes:
    """Sizes of the encoder of google/umt5-xxl, and the length that Wan2.2 pads prompts to."""

    vocabulary: int = 256_384
    dim: int = 4096
    ffn_dim: int = 10_240
    layers: int = 24
    heads: int = 64
    head_dim: int = 64
    buckets: int = 32  # of relative positions
    distance: int = 128  # tokens; beyond it all are one bucket
    eps: float = 1e-6
    length: int = 512


def network(sizes: Umt5Sizes) -> Any:
    """transformers' `UMT5EncoderModel` of these sizes, with random weights, ready to serve."""
    config = UMT5Config(
        vocab_size=sizes.vocabulary,
        d_model=sizes.dim,
        d_ff=sizes.ffn_dim,
        num_layers=sizes.layers,
        num_heads=sizes.heads,
        d_kv=sizes.head_dim,
        relative_attention_num_buckets=sizes.buckets,
        relative_attention_max_distance=sizes.distance,
        layer_norm_epsilon=sizes.eps,
        feed_forward_proj="gated-gelu",
    )
    return UMT5EncoderModel(config).eval().requires_grad_(False)


def clean(prompt: str) -> str:
    """Broken characters mended, HTML's escapes undone twice, white space single."""
    mended = html.unescape(html.unescape(ftfy.fix_text(prompt)))
    return WHITESPACE.sub(" ", mended).strip()


class Tokenizer:
    """Prompts → numbers of tokens and which of them are real, each [B, length] int64."""

    def __init__(self, folder: Path, sizes: Umt5Sizes) -> None:
        """TextError if `folder` holds no tokenizer, a broken one, or one of another model."""
        held = {name for name in (SETTINGS, *PIECES) if (folder / name).is_file()}
        if SETTINGS not in held or held == {SETTINGS}:
            raise TextError(
                f"no tokenizer at {str(folder)!r}: expected {SETTINGS} and "
                f"{' or '.join(PIECES)}, as in google/umt5-xxl"
            )
        try:
            self.pieces: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (ValueError, OSError, RuntimeError, KeyError, TypeError) as error:
            raise TextError(
                f"the tokenizer at {str(folder)!r} cannot be read: {first_line(error)}"
            ) from error
        if len(self.pieces) > sizes.vocabulary:
            raise TextError(
                f"the tokenizer at {str(folder)!r} knows {len(self.pieces)} tokens, expected at "
                f"most {sizes.vocabulary}, as many as the encoder"
            )
        self.length = sizes.length

    def __call__(self, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What is too long is cut, and ends with the end token all the same."""
        found = self.pieces(
            [clean(prompt) for prompt in prompts],
            padding="max_length",
            truncation=True,
            max_length=self.length,
            add_special_tokens=True,
            return_tensors="pt",
        )
        return found.input_ids, found.attention_mask


class PromptEncoder:
    """Tokenizer and encoder together. The encoder stays on the device that it was given on."""

    def __init__(self, tokenizer: Tokenizer, net: Any) -> None:
        """`net` as `network` makes it."""
        self.tokenizer = tokenizer
        self.net: Any | None = net

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """[B, length, dim] on the encoder's device, in its type; TextError once it is freed."""
        if self.net is None:
            raise TextError(f"the text encoder is freed and cannot encode {list(prompts)!r}")
        numbers, real = (found.to(self.net.device) for found in self.tokenizer(prompts))
        hidden: Tensor = self.net(input_ids=numbers, attention_mask=real).last_hidden_state
        return hidden.masked_fill(real.unsqueeze(-1) == 0, 0)

    def free(self) -> None:
        """Let the weights go: 11 GB in bf16 that nothing needs until the prompt changes."""
        self.net = None
