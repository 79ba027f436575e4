"""Other voices and other microphones: held-out takes as children, whispered, shouted, sung, and
through a bad headset or a lossy call.

The same sentences are said by the same face in every condition, so that each can be read beside
"plain". Voices are eSpeak's own where it has them and training does not (a child, a whisper), words
sung as notes of a tune, and real Opus through the call's own codec and concealment: other means
than those that training was augmented with. Knows no files and no pages.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, resample_poly

from soul.measure.lips import best_lag, bilabial_closure, closure_in_silence
from soul.media.codecs import OpusDecoder, OpusEncoder
from soul.media.conceal import Concealer
from soul.media.resample import Resampler
from soul.model.manner import Manner, mood
from soul.timebase import AUDIO_RATE, OPUS_RATE, SAMPLES_PER_FRAME, SAMPLES_PER_PACKET, exact_div
from soul.training import augment, voicing
from soul.training.figures import CLOSED, REACH, Curve, Mask
from soul.training.life import live
from soul.training.manner import describe, draw_manner
from soul.training.motion import COLUMN, Motion
from soul.training.performance import append_pause, append_speech, cut, silent_frames
from soul.training.probe import SIZE, Probe
from soul.training.sentences import draw_sentence
from soul.training.speech import SILENCE, VOICES, Pcm, Phone, Speech, Voice, speak
from soul.training.takes import Actor, Scene, drawn
from soul.training.visemes import closures, mouth, put
from soul.training.world import Artist, draw_identity

CONDITIONS: dict[str, str] = {
    "plain": "a held-out voice, as the synthesiser gives it",
    "child": "eSpeak's smallest throat, 240 to 390 Hz",
    "whisper": "eSpeak's whisper: breath, hardly a voice",
    "shout": "higher, slower, sharper, and clipped by its microphone",
    "song": "every word a long note of a tune, with vibrato",
    "headset": "8 kHz, eight bits, no bass, overdriven, with hiss",
    "opus": "16 kbit/s, 5 % of the packets of 20 ms lost and concealed",
}
CONDITIONED = 30_000  # added to the number of a take: other takes than the trials
TUNE = (0.0, 0.4, 0.8, 0.4, 0.6, 0.2, -0.4, -0.2)  # eSpeak's pitch of a song's words, in turn
SUNG_SPEED = 0.55
OPUS_BITRATE = 16_000
LOST = 0.05


@dataclass(frozen=True)
class Heard:
    """The mouth in one take of T frames, [T] each, and where its lips have to meet."""

    name: str
    truth: Curve
    seen: Curve  # read from the model's pictures
    renders: Curve  # read from the world's own
    silent: Mask
    closures: NDArray[np.int64]  # [n] frames


@dataclass(frozen=True, slots=True)
class Lips:
    """What is measured of some takes; nan is what they do not have."""

    mouth_correlation: float
    mouth_lag_frames: float
    closed_in_silence: float
    bilabials_closed: float


@dataclass(frozen=True, slots=True)
class Row:
    """One condition: how much there is of it, the model's lips, and the ceiling."""

    name: str
    takes: int
    silent_frames: int
    bilabials: int
    model: Lips
    on_renders: Lips


def row_of(name: str, takes: Sequence[Heard]) -> Row:
    """The figures of some takes together: means of one value a take, shares of all moments."""
    return Row(
        name=name,
        takes=len(takes),
        silent_frames=sum(int(take.silent.sum()) for take in takes),
        bilabials=sum(_counted(take) for take in takes),
        model=lips_of(takes, lambda take: take.seen),
        on_renders=lips_of(takes, lambda take: take.renders),
    )


def lips_of(takes: Sequence[Heard], reading: Callable[[Heard], Curve]) -> Lips:
    """How well what was read of the takes fits their truth."""
    lags = [best_lag(take.truth, reading(take)) for take in takes]
    opening = np.concatenate([reading(take) for take in takes])
    counts = [_counted(take) for take in takes]
    met = [bilabial_closure(reading(take), take.closures, CLOSED, REACH) for take in takes]
    return Lips(
        mouth_correlation=float(np.mean([lag.correlation for lag in lags])),
        mouth_lag_frames=float(np.mean([lag.frames for lag in lags])),
        closed_in_silence=closure_in_silence(
            opening, np.concatenate([take.silent for take in takes]), CLOSED
        ),
        bilabials_closed=(
            float(np.average(np.nan_to_num(met), weights=counts)) if sum(counts) else math.nan
        ),
    )


def _counted(take: Heard) -> int:
    return int(np.sum(take.closures < take.truth.size))


@dataclass(frozen=True)
class Script:
    """What is said in a take: sentences, more than it needs, and the pause before each."""

    voice: Voice
    sentences: tuple[str, ...]
    pauses: tuple[int, ...]  # samples
    manner: Manner
    seed: int  # of all that the face does besides speaking


@dataclass(frozen=True)
class Said:
    """A script as it was spoken in T frames: clean sound [640 T], the phones that tile it, and
    what the world's own face does [T, 17]."""

    clean: Pcm
    phones: tuple[Phone, ...]
    motion: Motion


def listen(actor: Actor, probe: Probe, seed: int, number: int, frames: int) -> list[Heard]:
    """One take of `frames` under every condition, in the order of CONDITIONS."""
    number += CONDITIONED
    rng = np.random.default_rng([seed, number])
    artist, script = Artist(draw_identity(rng), SIZE), draw_script(rng, frames)
    prompt = describe(rng, script.manner, "held_out")
    said = {name: say(script, name, frames) for name in ("plain", *VOICED)}
    scenes = {
        name: Scene(artist, one.clean, prompt, number, one.motion) for name, one in said.items()
    }
    renders = {name: probe.read(drawn(scene).pictures).mouth_open for name, scene in scenes.items()}
    found = []
    for name in CONDITIONS:
        voice = name if name in VOICED else "plain"
        sound = through(np.random.default_rng([seed, number, 1]), name, said[voice].clean)
        found.append(
            Heard(
                name=name,
                truth=said[voice].motion[:, COLUMN["mouth_open"]],
                seen=probe.read(actor(replace(scenes[voice], sound=sound)).pictures).mouth_open,
                renders=renders[voice],
                silent=silent_frames(said[voice].phones, frames),
                closures=closures(said[voice].phones, "espeak"),
            )
        )
    return found


def draw_script(rng: np.random.Generator, frames: int) -> Script:
    """Somebody held out of training, with pauses long enough to be counted as silence."""
    voices = [voice for voice in VOICES["held_out"] if voice.engine == "espeak"]
    voice = voices[rng.integers(len(voices))]
    voice = replace(voice, speed=rng.uniform(0.9, 1.1), pitch=rng.uniform(-0.3, 0.3))
    count = 2 + frames * SAMPLES_PER_FRAME // AUDIO_RATE
    said = tuple(draw_sentence(rng, voice.language, "held_out") for _ in range(count))
    waits = (AUDIO_RATE * rng.uniform(0.6, 1.4, count)).astype(np.int64).tolist()
    return Script(voice, said, tuple(waits), draw_manner(rng), int(rng.integers(2**31)))


def say(script: Script, name: str, frames: int) -> Said:
    """The script in the voice of a condition, and the face to it. Raises SpeechError."""
    samples = frames * SAMPLES_PER_FRAME
    pieces: list[Pcm] = []
    phones: list[Phone] = []
    length = 0
    for sentence, pause in zip(script.sentences, script.pauses, strict=True):
        if length >= samples:
            break
        length = append_pause(pieces, phones, length, pause)
        length = append_speech(pieces, phones, length, utter(sentence, script.voice, name), 0.0)
    clean = np.concatenate(pieces)
    motion = live(np.random.default_rng(script.seed), mood(script.manner), clean, frames)
    put(motion, mouth(phones, clean, frames, "espeak"))
    return Said(clean[:samples], cut(phones, samples), motion)


def utter(sentence: str, voice: Voice, name: str) -> Speech:
    """A sentence in the voice of a condition; a microphone's conditions speak plainly."""
    return VOICED[name](sentence, voice) if name in VOICED else speak(sentence, voice)


def as_child(sentence: str, voice: Voice) -> Speech:
    return speak(sentence, replace(voice, name=_variant(voice, "zac")))


def whispered(sentence: str, voice: Voice) -> Speech:
    return speak(sentence, replace(voice, name=_variant(voice, "whisper")))


def shouted(sentence: str, voice: Voice) -> Speech:
    """Phones last longer and the voice is raised; what the microphone does is `overdriven`."""
    return speak(sentence, replace(voice, speed=0.85 * voice.speed, pitch=0.9))


def sung(sentence: str, voice: Voice) -> Speech:
    """Word after word, each held on its note."""
    words = [
        speak(word, replace(voice, speed=SUNG_SPEED * voice.speed, pitch=TUNE[n % len(TUNE)]))
        for n, word in enumerate(sentence.split())
    ]
    pieces: list[Pcm] = []
    phones: list[Phone] = []
    length = 0
    for word in words:
        length = append_speech(pieces, phones, length, _without_ends(word), 0.0)
    return Speech(np.concatenate(pieces), tuple(phones), voice, sentence)


VOICED: dict[str, Callable[[str, Voice], Speech]] = {
    "child": as_child,
    "whisper": whispered,
    "shout": shouted,
    "song": sung,
}


def _variant(voice: Voice, variant: str) -> str:
    return f"{voice.name.split('+')[0]}+{variant}"


def _without_ends(speech: Speech) -> Speech:
    """The same without the pauses that it begins and ends with."""
    sounding = [phone for phone in speech.phones if phone.label != SILENCE]
    start, end = sounding[0].start, sounding[-1].end
    kept = [phone for phone in speech.phones if start <= phone.start < end]
    phones = tuple(Phone(phone.label, phone.start - start, phone.end - start) for phone in kept)
    return replace(speech, pcm=speech.pcm[start:end], phones=phones)


def through(rng: np.random.Generator, name: str, pcm: Pcm) -> Pcm:
    """Clean sound [n] as a condition's microphone gives it: [n]."""
    if name == "shout":
        return overdriven(pcm)
    if name == "song":
        return voicing.vibrato(rng, pcm)
    if name == "headset":
        return hands_free(rng, pcm)
    return opus(rng, pcm) if name == "opus" else pcm


def overdriven(pcm: Pcm) -> Pcm:
    """Too loud for its microphone: more of the high notes, 14 dB louder, cut off hard."""
    sharp = lfilter([1.0, -0.8], [1.0], pcm)
    level = np.sqrt(np.mean(np.square(pcm)) / max(float(np.mean(np.square(sharp))), 1e-12))
    return np.asarray(np.clip(5.0 * level * sharp, -0.9, 0.9), np.float32)


def hands_free(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """A telephone headset: hiss 26 dB below speech, nothing below 400 Hz, 12 dB too loud, then
    8 kHz and the eight bits of G.711's µ-law."""
    noisy = pcm + augment.levelled(augment.noise(rng, pcm.size), 26.0)
    numerator, denominator = butter(2, 400.0, "highpass", fs=AUDIO_RATE)
    loud = np.clip(4.0 * lfilter(numerator, denominator, noisy), -1.0, 1.0)
    narrow = np.clip(resample_poly(loud, 1, 2), -1.0, 1.0)
    code = np.round(127.0 * np.sign(narrow) * np.log1p(255.0 * np.abs(narrow)) / np.log(256.0))
    decoded = np.sign(code) * np.expm1(np.abs(code) / 127.0 * np.log(256.0)) / 255.0
    return (0.5 * resample_poly(decoded, 2, 1)[: pcm.size]).astype(np.float32)


def opus(rng: np.random.Generator, pcm: Pcm) -> Pcm:
    """A call: real Opus, some packets lost and concealed as the server does it.

    About 6.5 ms late, as a receiver plays what it gets.
    """
    encoder, decoder = OpusEncoder(OPUS_BITRATE), OpusDecoder()
    concealer, resampler = Concealer(OPUS_RATE), Resampler(OPUS_RATE)
    heard = []
    for packet in np.pad(pcm, (0, -pcm.size % SAMPLES_PER_PACKET)).reshape(-1, SAMPLES_PER_PACKET):
        payload = encoder.encode(packet)
        if rng.random() < LOST:
            sound = concealer.missing(SAMPLES_PER_PACKET * exact_div(OPUS_RATE, AUDIO_RATE))
        else:
            sound = concealer.real(decoder.decode(payload))
        heard.append(resampler.push(sound))
    sound = np.concatenate([*heard, resampler.flush()])[: pcm.size]
    return np.pad(sound, (0, pcm.size - sound.size))


def rows_of(takes: Sequence[Heard]) -> tuple[Row, ...]:
    """A row for every condition that was heard, in the order of CONDITIONS."""
    by_name = {name: [take for take in takes if take.name == name] for name in CONDITIONS}
    return tuple(row_of(name, heard) for name, heard in by_name.items() if heard)
