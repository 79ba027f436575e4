"""Stage `reader`: prompts → the manner that they ask for, one answer a side.

A few hundred phrases are all the wording there is, so they are told as people would type them: with
other endings, strangers in between, words that are known by their pieces alone. It needs no clips.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from soul.model.config import TextConfig
from soul.model.manner import VALUES, Manner
from soul.model.text import MannerReader, tokenize
from soul.training.checkpoint import Checkpoint
from soul.training.manner import SIDES, ask, draw_manner, told, values
from soul.training.progress import Length, Progress, learning_rate
from soul.training.speech import Split

ENDINGS = ("ly", "ness", "ing", "ed", "s", "er", "y", "ful", "ish")
LETTERS = "aeiouaeioubcdfghklmnprstvw"


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """How the reader is trained, and how carelessly its prompts are typed."""

    length: Length = Length(1200)
    batch: int = 192
    peak: float = 4e-3
    decay: float = 0.1  # what a piece is not told of stays near nothing
    ending: float = 0.12  # share of words that end otherwise
    stranger: float = 0.15  # share of words before which one without a meaning stands
    unknown: float = 0.3  # share of words that are known by their pieces alone
    lost: float = 0.15  # share of pieces that are left out


def train_reader(text: TextConfig, config: ReaderConfig, folder: Path, seed: int) -> MannerReader:
    """Run or resume the stage."""
    torch.manual_seed(seed)
    reader = MannerReader(text)
    with torch.no_grad():
        reader.encoder.table.weight.mul_(0.1)
    progress = Progress("reader", folder, config.length, every=100)
    optimizer = torch.optim.AdamW(reader.parameters(), lr=config.peak, weight_decay=config.decay)
    checkpoint = Checkpoint(folder / "state.pt", reader, optimizer, progress)
    checkpoint.resume()
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        numbers, answers = draw_prompts(rng, text, config)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(progress.fraction, config.peak)
        found = zip(reader(numbers), answers.T, strict=True)
        loss = torch.stack([F.cross_entropy(logits, wanted) for logits, wanted in found]).sum()
        checkpoint.learn(loss)
        progress.add(loss=loss.item())
        if (step + 1) % 500 == 0:
            progress.add(held_out=understood(reader, "held_out"))
            checkpoint.save()
    checkpoint.save()
    progress.plot()
    return reader.eval()


def draw_prompts(
    rng: np.random.Generator, text: TextConfig, config: ReaderConfig
) -> tuple[Tensor, Tensor]:
    """A batch of prompts as numbers [B, length, pieces], and what each says [B, sides]."""
    drawn = [told(rng, draw_manner(rng), "train") for _ in range(config.batch)]
    numbers = torch.stack([tokenize(as_typed(rng, prompt, config), text) for prompt, _ in drawn])
    lost = torch.from_numpy(rng.random(numbers.shape) < config.lost)
    lost[..., 0] = torch.from_numpy(rng.random(numbers.shape[:2]) < config.unknown)
    kept = numbers.masked_fill(lost, 0)
    whole = (kept > 0).any(-1, keepdim=True) | (numbers == 0).all(-1, keepdim=True)
    return torch.where(whole, kept, numbers), torch.tensor([answer(said) for _, said in drawn])


def as_typed(rng: np.random.Generator, prompt: str, config: ReaderConfig) -> str:
    """`prompt` with some words ending otherwise and some strangers between them."""
    words = []
    for word in prompt.split():
        if rng.random() < config.stranger:
            words.append("".join(rng.choice(list(LETTERS), rng.integers(2, 9))))
        bare = word.rstrip(",:")
        if len(bare) > 3 and rng.random() < config.ending:
            word = bare[: len(bare) - int(rng.integers(0, 3))] + str(rng.choice(ENDINGS))
        words.append(word)
    return " ".join(words)


def answer(manner: Manner) -> list[int]:
    """The number of each side's value."""
    sides = zip(VALUES.values(), values(manner), strict=True)
    return [names.index(value) for names, value in sides]


@torch.no_grad()
def understood(reader: MannerReader, split: Split, each: int = 24) -> float:
    """Share of prompts for one value, in the words of `split`, whose every side is read right."""
    rng = np.random.default_rng(0)
    right = total = 0
    for side in SIDES:
        for value in SIDES[side]:
            prompts = [ask(rng, side, value, split) for _ in range(each)]
            numbers = torch.stack([tokenize(prompt, reader.encoder.config) for prompt in prompts])
            found = torch.stack([logits.argmax(-1) for logits in reader(numbers)], -1)
            wanted = torch.tensor(answer(Manner(**{side: value})))
            right += int((found == wanted).all(-1).sum())
            total += each
    return right / total
