"""Prompts as Wan2.2 wants them: cleaned, cut, padded to length, zero after the last token.

The encoder is transformers' on both sides here; `test_official` holds it against the official code.
"""

import gc
import json
import weakref
from pathlib import Path

import pytest
import sentencepiece
import torch
from transformers import UMT5EncoderModel

from made_tokenizer import SETTINGS, VOCABULARY, save_tokenizer
from soul.model.wan.text import PromptEncoder, TextError, Tokenizer, Umt5Sizes, clean, network

TINY = Umt5Sizes(
    vocabulary=VOCABULARY, dim=32, ffn_dim=48, layers=2, heads=4, head_dim=16, buckets=8, length=24
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("umt5")
    save_tokenizer(path)
    return path


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer(folder, TINY)


@pytest.fixture(scope="module")
def net() -> UMT5EncoderModel:
    """Every weight random and of a size that counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = network(TINY)
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3 + (parameter.dim() == 1))
    return made


def test_the_true_sizes_have_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        made = network(Umt5Sizes())
    assert sum(p.numel() for p in made.parameters()) == 5_680_910_336


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("  a\tperson \n  smiles  ", "a person smiles"),
        ("salt &amp;amp; pepper &lt;b&gt;", "salt & pepper <b>"),  # escaped twice
        ("sheâ€™s here", "she's here"),  # UTF-8 read as Windows-1252, and a straight quote
        ("wide\u3000space\u00a0too", "wide space too"),
        ("ﬁne", "fine"),
        ("Upper, Lower_Case!", "Upper, Lower_Case!"),
        ("", ""),
    ],
)
def test_a_prompt_is_cleaned_as_wan_does(prompt: str, wanted: str) -> None:
    assert clean(prompt) == wanted


def test_tokens_are_sentencepieces_with_an_end_and_zeros(
    folder: Path, tokenizer: Tokenizer
) -> None:
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "spiece.model"))
    prompts = ["a person smiles", "  the   woman &amp; zebra  ", ""]
    numbers, real = tokenizer(prompts)
    assert numbers.shape == real.shape == (3, TINY.length)
    for row, mask, prompt in zip(numbers.tolist(), real.tolist(), prompts, strict=True):
        wanted = [*pieces.encode(clean(prompt)), 1]
        assert row == wanted + [0] * (TINY.length - len(wanted))
        assert mask == [1] * len(wanted) + [0] * (TINY.length - len(wanted))


def test_a_prompt_that_is_too_long_is_cut_and_still_ends(tokenizer: Tokenizer) -> None:
    numbers, real = tokenizer(["a happy person " * 40])
    assert real.all()
    assert numbers[0, -1] == 1
    assert (numbers[0, :-1] != 1).all()


def test_the_vectors_are_transformers_and_zero_behind_the_last_token(
    tokenizer: Tokenizer, net: UMT5EncoderModel
) -> None:
    prompts = ["a person speaks calmly", "", "the sad man smiles to the camera"]
    found = PromptEncoder(tokenizer, net).encode(prompts)
    assert found.shape == (3, TINY.length, TINY.dim)
    for vectors, prompt in zip(found, prompts, strict=True):
        numbers, real = tokenizer([prompt])
        count = int(real.sum())
        alone = net(input_ids=numbers[:, :count]).last_hidden_state[0]  # no padding, no mask
        torch.testing.assert_close(vectors[:count], alone, atol=1e-4, rtol=0)
        assert not vectors[count:].any()
        assert vectors[:count].abs().amax(1).min() > 0.1


def test_once_freed_the_weights_are_gone_and_it_says_so(tokenizer: Tokenizer) -> None:
    encoder = PromptEncoder(tokenizer, network(TINY))
    held = weakref.ref(encoder.net)
    kept = encoder.encode(["a man"])
    encoder.free()
    gc.collect()
    assert held() is None
    assert kept.isfinite().all()
    with pytest.raises(TextError, match=r"freed and cannot encode \['a woman'\]"):
        encoder.encode(["a woman"])


@pytest.mark.parametrize("held", [(), ("tokenizer_config.json",), ("spiece.model",)])
def test_a_missing_tokenizer_is_one_sentence(
    folder: Path, tmp_path: Path, held: tuple[str, ...]
) -> None:
    for name in held:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(TextError, match=r"expected tokenizer_config\.json and tokenizer\.json"):
        Tokenizer(tmp_path, TINY)


@pytest.mark.parametrize(
    ("name", "content"),
    [("spiece.model", b"no pieces"), ("tokenizer.json", b"{"), ("tokenizer.json", b"{}")],
)
def test_a_broken_tokenizer_is_one_sentence(
    folder: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(SETTINGS))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError, match="cannot be read") as told:
        Tokenizer(tmp_path, TINY)
    assert "\n" not in str(told.value)


def test_a_tokenizer_of_another_model_is_told(folder: Path) -> None:
    with pytest.raises(TextError, match="expected at most 8, as many as the encoder"):
        Tokenizer(folder, Umt5Sizes(vocabulary=8))
