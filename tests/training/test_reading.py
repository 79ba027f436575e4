"""The stage that learns to read prompts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_TEST, TextConfig
from soul.model.manner import VALUES, Manner
from soul.model.text import MannerReader, tokenize
from soul.training.manner import FRAMES, SIDES, draw_manner, told
from soul.training.progress import Length
from soul.training.reading import (
    ReaderConfig,
    answer,
    as_typed,
    draw_prompts,
    train_reader,
    understood,
)

TEXT = TextConfig(vocabulary=2048, dim=32)
SHORT = ReaderConfig(length=Length(60), batch=64, peak=2e-2)


def test_what_is_named_is_what_the_prompt_says() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        manner = draw_manner(rng)
        prompt, named = told(rng, manner, "train")
        for side, values in SIDES.items():
            value = getattr(named, side)
            if value != VALUES[side][0]:
                assert value == getattr(manner, side)
                assert any(phrase in prompt for phrase in values[value].train)


def test_answers_are_the_values_numbers() -> None:
    assert answer(Manner()) == [0, 0, 0, 0]
    assert answer(Manner("tender", "lively", "nodding", "wandering")) == [5, 2, 2, 4]


def test_typing_keeps_most_words_and_drops_none() -> None:
    rng, config = np.random.default_rng(1), ReaderConfig()
    prompt = "a person speaking, happy and nodding again and again"
    typed = [as_typed(rng, prompt, config).split() for _ in range(40)]
    assert all(len(words) >= len(prompt.split()) for words in typed)
    assert any(len(words) > len(prompt.split()) for words in typed)
    careful = replace(config, ending=0.0, stranger=0.0)
    assert as_typed(rng, prompt, careful) == prompt


def test_no_word_loses_all_of_its_pieces() -> None:
    config = replace(ReaderConfig(), lost=1.0, unknown=1.0, batch=8)
    numbers, answers = draw_prompts(np.random.default_rng(2), TEXT, config)
    assert answers.shape == (8, len(VALUES))
    assert ((numbers > 0).any(-1).sum(1) > 0).all()


def test_it_learns_its_phrases_and_resumes(tmp_path: Path) -> None:
    reader = train_reader(TEXT, SHORT, tmp_path / "whole", 0)
    before = MannerReader(TEXT)
    assert understood(reader, "train", each=4) > understood(before, "train", each=4) + 0.4
    again = train_reader(TEXT, SHORT, tmp_path / "whole", 0)  # done already: as it was left
    prompt = tokenize("somebody sad", TEXT).unsqueeze(0)
    for a, b in zip(reader(prompt), again(prompt), strict=True):
        assert torch.equal(a, b)


def test_a_read_prompt_is_a_mood(tmp_path: Path) -> None:
    reader = train_reader(TEXT, SHORT, tmp_path, 0)
    smiles = {
        word: reader.mood(tokenize(FRAMES["train"][0].format(word), TEXT)).smile
        for word in ("happy", "sad")
    }
    assert smiles["happy"] > smiles["sad"] + 0.5


@pytest.mark.parametrize("prompt", ["", "..."])
def test_no_word_is_as_usual_for_a_fresh_reader(prompt: str) -> None:
    reader = MannerReader(SOUL_TEST.text)
    with torch.no_grad():
        reader.usual.copy_(torch.tensor([9.0, *[0] * 5, 9, 0, 0, 9, *[0] * 4, 9, *[0] * 4]))
    found = reader.mood(tokenize(prompt, SOUL_TEST.text))
    assert (found.smile, found.nodding, found.head) == (0.0, 0.0, 1.0)
