"""Words become the same numbers on every machine, and never too many."""

import zlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from soul.model.config import TextConfig
from soul.model.text import TextEncoder, pieces, tokenize

CONFIG = TextConfig(vocabulary=64, length=8, pieces=6, dim=16)


@given(st.text(max_size=200))
def test_any_prompt_becomes_a_row_of_numbers_of_the_vocabulary(prompt: str) -> None:
    numbers = tokenize(prompt, CONFIG)
    assert numbers.shape == (8, 6)
    assert numbers.dtype == torch.int64
    assert ((numbers >= 0) & (numbers < 64)).all()
    for present in ((numbers > 0).any(1).tolist(), *(numbers > 0).tolist()):
        assert present == sorted(present, reverse=True)  # first what is said, then filling
    assert torch.equal(numbers, tokenize(prompt, CONFIG))


def test_a_pieces_number_is_its_crc() -> None:
    assert pieces("woman") == ["<woman>", "<wo", "wom", "oma", "man", "an>"]
    assert pieces("a") == ["<a>"]
    wanted = [1 + zlib.crc32(p.encode()) % 63 for p in pieces("woman")]
    assert tokenize("A woman!", CONFIG)[1].tolist() == wanted


def test_words_of_one_stem_are_nearer_than_others() -> None:
    torch.manual_seed(1)
    config = TextConfig(vocabulary=4096, length=1, dim=32)
    encoder = TextEncoder(config)
    prompts = ("joyful", "joyfully", "angry")
    said = encoder(torch.stack([tokenize(p, config) for p in prompts]))[:, 0]
    near, far = (torch.cosine_similarity(said[0], said[i], dim=0) for i in (1, 2))
    assert near > far + 0.2


def test_words_beyond_the_length_are_dropped() -> None:
    assert torch.equal(tokenize("one " * 8, CONFIG), tokenize("one " * 500, CONFIG))


@pytest.mark.parametrize("empty", ["", "   ", "…!?", "_"])
def test_no_word_is_the_unconditional_prompt(empty: str) -> None:
    assert not tokenize(empty, CONFIG).any()


def test_words_are_told_apart_and_prompts_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    encoder = TextEncoder(CONFIG)
    numbers = torch.stack([tokenize(p, CONFIG) for p in ("a calm man", "a glad man", "")])
    together = encoder(numbers)
    assert together.shape == (3, 8, 16)
    assert together.isfinite().all()
    assert not torch.allclose(together[0], together[1])
    for i in range(3):
        torch.testing.assert_close(encoder(numbers[i : i + 1])[0], together[i])
