"""Held-out takes, played by a model and by the world itself, and what a probe sees in both.

A scene is a face, a sound and a prompt; an actor paints its frames. `live` is a model's rollout as
in a call; `drawn` is the world, who cannot do better. Pictures are read and dropped take by take:
what is kept are curves and the few frames that are shown. Makes no figures and writes no files.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.measure.picture import psnr, sharpness, smudged, unmoved
from soul.model.cues import Blinks
from soul.model.sample import Soul, StreamState, advance, cut, open_stream, set_prompt
from soul.model.vae import from_bytes
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT, SAMPLES_PER_FRAME
from soul.training import augment
from soul.training.figures import BACKGROUNDS, Hush, Picture, Stare, Trial
from soul.training.life import Prosody, blinks_of, prosody
from soul.training.motion import Motion
from soul.training.performance import Performance, perform
from soul.training.probe import SIZE, Probe, readings_of, reduced
from soul.training.speech import Pcm
from soul.training.strips import Strip, moments, strip_at
from soul.training.visemes import closures
from soul.training.world import Artist, draw_identity

log = logging.getLogger("soul.training")

Frames = NDArray[np.uint8]

HUSHED, WATCHED = 10_000, 20_000  # added to the number of a take: other takes than the trials
SEARCHED = 24.0  # seconds of a performance in which the stretch with most silence is looked for
UNDER_SPEECH = 30.0  # dB by which a background is softer than speech
COLUMNS = 8  # frames of each take on the sheet


@dataclass(frozen=True)
class Scene:
    """What an actor plays, frames T; sound is float32 [640 T] at 16 kHz."""

    artist: Artist
    sound: Pcm
    prompt: str
    seed: int
    motion: Motion  # [T, 17], what the world's own face does
    later: tuple[tuple[int, str], ...] = ()  # prompts that come with the chunks of these numbers
    listening: NDArray[np.bool_] | None = None  # [T], where somebody else has the word

    @property
    def size(self) -> int:
        """Pixels on a side of its renders."""
        return self.artist.size


@dataclass(frozen=True)
class Played:
    """An actor's pictures uint8 [T, H, W, 3], and the lids [T] that it was told to show."""

    pictures: Frames
    told: NDArray[np.float32]


Actor = Callable[[Scene], Played]


@dataclass(frozen=True)
class Look:
    """What is kept of a take to look at."""

    portrait: Frames
    frames: Frames  # COLUMNS of them at even distances
    strips: tuple[Strip, ...]


Step = Callable[[Soul, Sequence[StreamState], Tensor], Tensor]  # as `soul.model.sample.advance`


def live(model: Soul, step: Step = advance) -> Actor:
    """The model's rollout, chunk by chunk as in a call.

    A model of larger pictures is shown the portrait at its own size, and its pictures are brought
    to the scene's: judges and renders have that one.
    """

    @torch.inference_mode()
    def play(scene: Scene) -> Played:
        portrait = artist_for(scene, model.config.side).portrait()
        state = open_stream(model, from_bytes(portrait), scene.prompt, scene.seed)
        heard = cut(model.config, torch.from_numpy(scene.sound)).to(model.device)
        made = []
        for chunk, window in enumerate(heard):
            tell(model, state, scene, chunk)
            made.append(step(model, [state], window.unsqueeze(0))[0].cpu())
        # Blinks are no answer to anything, so the same may be drawn once more.
        told = np.array(Blinks(scene.seed).next(len(scene.motion)), np.float32)
        return Played(reduced(torch.cat(made).numpy(), scene.size), told)

    return play


def artist_for(scene: Scene, size: int) -> Artist:
    """Who draws the scene's person at a size."""
    return scene.artist if size == scene.size else Artist(scene.artist.identity, size)


def tell(model: Soul, state: StreamState, scene: Scene, chunk: int) -> None:
    """What a call says besides sound before a chunk: a new prompt, and who has the word."""
    for number, prompt in scene.later:
        if number == chunk:
            set_prompt(model, state, prompt)
    if scene.listening is not None:
        state.listening = bool(scene.listening[chunk * FRAMES_PER_LATENT])


def drawn(scene: Scene) -> Played:
    """The world's own renders of a scene."""
    pictures = np.stack([scene.artist.frame(row) for row in scene.motion])
    return Played(pictures, blinks_of(scene.motion))


def attempt(actor: Actor, probe: Probe, seed: int, number: int, frames: int) -> tuple[Trial, Look]:
    """One take of `frames`, a multiple of a chunk's four."""
    scene, take = draw_scene(seed, number, frames)
    played, renders, portrait = actor(scene), drawn(scene).pictures, scene.artist.portrait()
    trial = Trial(
        prompt=take.prompt,
        truth=readings_of(take.motion),
        seen=probe.read(played.pictures),
        renders=probe.read(renders),
        silent=take.silent,
        closures=closures(take.phones, take.engine),
        voice=voice_of(take),
        told=played.told,
        picture=judge_picture(played.pictures, portrait, renders),
    )
    return trial, look(trial, played.pictures, portrait, renders)


def draw_scene(seed: int, number: int, frames: int) -> tuple[Scene, Performance]:
    """One held-out take of `frames`: what an actor plays, and all that is true of it."""
    rng = np.random.default_rng([seed, number])
    artist = Artist(draw_identity(rng), SIZE)
    take = perform(rng, frames / FRAME_RATE, "held_out")
    told = take.listening  # as in a call, and in training
    return Scene(artist, take.pcm, take.prompt, number, take.motion, listening=told), take


def voice_of(take: Performance) -> Prosody:
    return prosody(take.clean, len(take.motion))


def judge_picture(pictures: Frames, portrait: Frames, renders: Frames) -> Picture:
    """How clean the pictures are where the `renders` stay as the portrait is, and at the end."""
    still = unmoved(np.concatenate((portrait[None], renders)))
    return Picture(
        smudged=smudged(pictures, portrait, still),
        smudged_in_last_second=smudged(pictures[-FRAME_RATE:], portrait, still),
        sharpness_against_portrait=sharpness(pictures[-1]) / sharpness(portrait),
        still_psnr=psnr(portrait, pictures[-1]),
    )


def look(trial: Trial, pictures: Frames, portrait: Frames, renders: Frames) -> Look:
    """Frames for the sheet, and the strips of a take's telling moments."""
    at = np.linspace(10, len(pictures) - 1, COLUMNS).astype(int)
    telling = moments(trial.truth.mouth_open, trial.closures, trial.silent, trial.told)
    strips = tuple(strip_at(moment, pictures, renders) for moment in telling)
    return Look(portrait, pictures[at], strips)


def hush(actor: Actor, probe: Probe, seed: int, number: int, frames: int) -> list[Hush]:
    """The quietest `frames` of one take, heard under each background."""
    rng = np.random.default_rng([seed, HUSHED + number])
    artist = Artist(draw_identity(rng), SIZE)
    take = perform(rng, max(SEARCHED, frames / FRAME_RATE), "held_out")
    first = quietest(take.silent, frames)
    shown = slice(first, first + frames)
    clean = take.clean[first * SAMPLES_PER_FRAME : (first + frames) * SAMPLES_PER_FRAME]
    found, renders = [], None
    for background in BACKGROUNDS:
        sound = clean + behind(rng, background, clean.size)
        scene = Scene(artist, sound, take.prompt, HUSHED + number, take.motion[shown])
        if renders is None:
            renders = probe.read(drawn(scene).pictures).mouth_open
        seen = probe.read(actor(scene).pictures).mouth_open
        found.append(Hush(background, take.silent[shown], seen, renders))
    return found


def behind(rng: np.random.Generator, background: str, samples: int) -> Pcm:
    """The sound of a background alone. Raises ValueError for one that is not known."""
    if background == "clean":
        return np.zeros(samples, np.float32)
    makers = {"room_noise": augment.noise, "keyboard": augment.clicks, "music": augment.music}
    if background not in makers:
        raise ValueError(f"background {background!r} is unknown, expected one of {BACKGROUNDS}")
    return augment.levelled(makers[background](rng, samples), UNDER_SPEECH)


def quietest(silent: NDArray[np.bool_], frames: int) -> int:
    """Where the stretch of `frames` with most silence begins; the first of equals."""
    counted = np.concatenate(([0], np.cumsum(silent)))
    return int(np.argmax(counted[frames:] - counted[:-frames]))


def watch(actor: Actor, probe: Probe, seed: int, frames: int) -> Stare:
    """The lids of one long take; its pictures are read one actor after the other."""
    scene, _ = draw_scene(seed, WATCHED, frames)
    seen, renders = (probe.read(play(scene).pictures).eye_open for play in (actor, drawn))
    return Stare(seen, renders)
