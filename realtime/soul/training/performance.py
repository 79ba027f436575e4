"""One take of the drawn world: sound, the motion that belongs to it, and a prompt.

Alternates speech and pauses, moves the mouth by the phones and the face by mood and voice, and
makes the sound a microphone's. It knows no pictures: `world` draws them from the motion.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from soul.model.cues import Glances
from soul.model.manner import Manner, mood
from soul.timebase import AUDIO_RATE, FRAME_RATE, SAMPLES_PER_FRAME
from soul.training import augment, life, sentences, visemes
from soul.training.manner import describe, draw_manner
from soul.training.motion import Motion
from soul.training.speech import SILENCE, VOICES, Pcm, Phone, Speech, Split, Voice, speak
from soul.training.voicing import Delivery, deliver, draw_delivery, throat

_SILENT_SHARE = 0.2  # takes in which nobody speaks
_TALK_SHARE = 0.5  # takes in which somebody else has the word in the long pauses
_TURN = 1200 * AUDIO_RATE // 1000  # a pause of at least this long is somebody else's turn
_BLEED_SHARE = 0.4  # takes with such turns whose microphone hears the other a little
_ENGLISH_SHARE = 0.5
_FLITE_SHARE = 0.4  # of the English takes
_SHORTEST_SILENCE = 400 * AUDIO_RATE // 1000  # below this a pause is not counted as silence


@dataclass(frozen=True)
class Performance:
    """A take of `frames` pictures, frames = 25 a second.

    pcm, spoken, clean: float32 [640 * frames] at 16 kHz, as the microphone heard it, as it was
    said in the room, and as the synthesiser spoke it.
    motion: float32 [frames, 17]. silent: bool [frames], the frames in which the mouth has to be
    closed; listening: bool [frames], those in which somebody else has the word; glances
    [frames, 2]: what the eyes wander of themselves, see `soul.model.cues`. phones tile the sound
    (label, first sample, end); engine says which alphabet they use.
    """

    pcm: Pcm
    spoken: Pcm
    clean: Pcm
    motion: Motion
    prompt: str
    manner: Manner
    silent: NDArray[np.bool_]
    listening: NDArray[np.bool_]
    glances: NDArray[np.float64]
    phones: tuple[Phone, ...]
    engine: str


def perform(rng: np.random.Generator, seconds: float, split: Split) -> Performance:
    """Draw a take. The same generator state gives the same take if the process is equally young:
    see `speech.speak` for what eSpeak keeps between calls.

    Raises ValueError if `seconds` is not a whole number of frames, SpeechError without voices.
    """
    frames = round(seconds * FRAME_RATE)
    if frames < 1 or abs(frames - seconds * FRAME_RATE) > 1e-6:
        raise ValueError(f"{seconds} s is not a whole number of frames, expected n / {FRAME_RATE}")
    voice, delivery = draw_voice(rng, split), draw_delivery(rng)
    manner = draw_manner(rng)
    prompt = describe(rng, manner, split)
    samples = frames * SAMPLES_PER_FRAME
    clean, script = _script(rng, voice, delivery, samples, split)
    phones = cut(script, samples)
    talk = rng.random() < _TALK_SHARE
    listening = listening_frames(phones, frames) if talk else np.zeros(frames, np.bool_)
    glances = np.array(Glances(int(rng.integers(2**31))).next(frames))
    motion = life.live(rng, mood(manner), clean, frames, listening, glances)
    visemes.put(motion, visemes.mouth(script, clean, frames, voice.engine))
    sound = _with_breaths(rng, deliver(rng, clean[:samples], delivery.kind), phones)
    if listening.any() and rng.random() < _BLEED_SHARE:
        sound = sound + bleed(rng, split, listening)
    heard = augment.augment(rng, sound)
    silent = silent_frames(phones, frames)
    return Performance(
        heard, sound, clean[:samples], motion, prompt, manner, silent, listening, glances, phones,
        voice.engine,
    )  # fmt: skip


def listening_frames(phones: tuple[Phone, ...], frames: int) -> NDArray[np.bool_]:
    """Frames of the pauses that are long enough for somebody else to have the word."""
    found = np.zeros(frames, np.bool_)
    for phone in phones:
        if phone.label == SILENCE and phone.end - phone.start >= _TURN:
            first = -(-(phone.start + visemes.CLOSING) // SAMPLES_PER_FRAME) if phone.start else 0
            found[first : (phone.end - visemes.ANTICIPATION) // SAMPLES_PER_FRAME] = True
    return found


def bleed(rng: np.random.Generator, split: Split, listening: NDArray[np.bool_]) -> Pcm:
    """The other's voice as the microphone picks it up, far below the speaker's own."""
    mask = np.repeat(listening, SAMPLES_PER_FRAME).astype(np.float32)
    voice = draw_voice(rng, split)
    spoken = np.zeros(0, np.float32)
    while spoken.size < mask.size:
        sentence = speak(sentences.draw_sentence(rng, voice.language, split), voice)
        spoken = np.concatenate((spoken, sentence.pcm))
    gain = 10.0 ** (rng.uniform(-36.0, -16.0) / 20.0)
    return np.asarray(gain * mask * spoken[: mask.size], np.float32)


def draw_voice(rng: np.random.Generator, split: Split) -> Voice:
    """A voice of `split` with a speed and a pitch of its own."""
    english = rng.random() < _ENGLISH_SHARE
    flite = english and rng.random() < _FLITE_SHARE
    fitting = [
        voice
        for voice in VOICES[split]
        if (voice.language == "en") == english and (voice.engine == "flite") == flite
    ]
    voice = fitting[rng.integers(len(fitting))]
    return replace(voice, speed=rng.uniform(0.8, 1.25), pitch=rng.uniform(-0.8, 0.8))


def silent_frames(phones: tuple[Phone, ...], frames: int) -> NDArray[np.bool_]:
    """Frames within pauses of at least 400 ms, without the time to close and to start opening."""
    silent = np.zeros(frames, np.bool_)
    centres = np.arange(frames) * SAMPLES_PER_FRAME + SAMPLES_PER_FRAME // 2
    end_of_take = frames * SAMPLES_PER_FRAME
    for phone in phones:
        if phone.label == SILENCE and phone.end - phone.start >= _SHORTEST_SILENCE:
            start = phone.start + visemes.CLOSING if phone.start else 0
            end = phone.end - visemes.ANTICIPATION
            silent |= (centres >= start) & (centres <= end)
            if phone.end >= end_of_take:  # what follows is not heard yet: leave a frame out
                silent[-1] = False
    return silent


def _script(
    rng: np.random.Generator, voice: Voice, delivery: Delivery, samples: int, split: Split
) -> tuple[Pcm, list[Phone]]:
    """Clean sound of at least `samples` and phones that tile it: pauses and spoken sentences."""
    if rng.random() < _SILENT_SHARE:
        return np.zeros(samples, np.float32), [Phone(SILENCE, 0, samples)]
    pieces: list[Pcm] = []
    phones: list[Phone] = []
    voice = replace(voice, speed=voice.speed * delivery.pace)
    length = append_pause(pieces, phones, 0, _first_pause(rng))
    while length < np.ceil(samples * delivery.size):
        speech = speak(sentences.draw_sentence(rng, voice.language, split), voice)
        length = append_speech(pieces, phones, length, speech, rng.uniform(-5.0, 2.0))
        length = append_pause(pieces, phones, length, _pause(rng))
    return throat(np.concatenate(pieces), phones, delivery)


def _first_pause(rng: np.random.Generator) -> int:
    return int(AUDIO_RATE * rng.uniform(0.0, 1.2)) if rng.random() < 0.7 else 0


def _pause(rng: np.random.Generator) -> int:
    """Mostly a breath between sentences, sometimes a listener's long silence; in samples."""
    low, high = ((0.1, 0.6), (0.6, 1.5), (1.5, 4.0))[rng.choice(3, p=[0.55, 0.3, 0.15])]
    return int(AUDIO_RATE * rng.uniform(low, high))


def append_pause(pieces: list[Pcm], phones: list[Phone], length: int, pause: int) -> int:
    pieces.append(np.zeros(pause, np.float32))
    _append_phone(phones, Phone(SILENCE, length, length + pause))
    return length + pause


def append_speech(
    pieces: list[Pcm], phones: list[Phone], length: int, speech: Speech, gain_db: float
) -> int:
    pieces.append((speech.pcm * np.float32(10.0 ** (gain_db / 20.0))).astype(np.float32))
    for phone in speech.phones:
        _append_phone(phones, Phone(phone.label, length + phone.start, length + phone.end))
    return length + speech.pcm.size


def _append_phone(phones: list[Phone], phone: Phone) -> None:
    """Pauses that meet become one, so that their length is the silence that is heard."""
    if phone.end <= phone.start:
        return
    if phones and phones[-1].label == SILENCE and phone.label == SILENCE:
        phones[-1] = Phone(SILENCE, phones[-1].start, phone.end)
    else:
        phones.append(phone)


def cut(phones: list[Phone], samples: int) -> tuple[Phone, ...]:
    kept = (phone for phone in phones if phone.start < samples)
    return tuple(Phone(phone.label, phone.start, min(phone.end, samples)) for phone in kept)


def _with_breaths(rng: np.random.Generator, pcm: Pcm, phones: tuple[Phone, ...]) -> Pcm:
    """A soft intake of breath before some phrases; the mouth ignores it."""
    sound = pcm.copy()
    for phone in phones:
        room = phone.end - phone.start
        if phone.label == SILENCE and room > AUDIO_RATE // 2 and rng.random() < 0.3:
            length = int(rng.uniform(0.2, 0.45) * AUDIO_RATE)
            end = phone.end - AUDIO_RATE // 20
            sound[end - length : end] += augment.breath(rng, length)
    return sound
