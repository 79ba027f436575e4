"""Synthetic speech with the moments of its phones: the sound half of the training data.

Two free synthesisers speak: eSpeak NG, through its shared library in synchronous retrieval mode,
and Flite, as a process. Both report when each phone starts. This file knows no faces, no frames
and no noise: it takes a sentence and a voice and gives clean 16 kHz sound with labelled times.
"""

import _ctypes
import ctypes
import re
import shutil
import subprocess
import tempfile
import threading
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from soul.timebase import AUDIO_RATE

Pcm: TypeAlias = NDArray[np.float32]
Split: TypeAlias = Literal["train", "held_out"]

SILENCE = ""  # the label of a pause
_SPEECH_RMS = 0.09  # every sentence is levelled to this before anything else is done to it
_SHORTEST_PAUSE = 60 * AUDIO_RATE // 1000  # an unlabelled stretch below this is a glide, no pause
_CLOSURE = 55 * AUDIO_RATE // 1000  # the silent hold that eSpeak counts to the phone before a stop


class SpeechError(Exception):
    """A sentence could not be spoken: a synthesiser is missing, or it refused."""


@dataclass(frozen=True)
class Phone:
    """One speech sound: IPA (eSpeak) or ARPAbet (Flite) label, samples [start, end) at 16 kHz."""

    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Voice:
    """Who speaks: `name` as the engine calls it, speed as a factor, pitch in -1 .. 1 around it."""

    engine: Literal["espeak", "flite"]
    name: str
    language: str
    speed: float = 1.0
    pitch: float = 0.0


@dataclass(frozen=True)
class Speech:
    """A spoken sentence: pcm float32 [n] in [-1, 1] at 16 kHz, and phones that tile it in order."""

    pcm: Pcm
    phones: tuple[Phone, ...]
    voice: Voice
    text: str


def _espeak_voices(languages: dict[str, str], variants: tuple[str, ...]) -> tuple[Voice, ...]:
    names = (
        (f"{name}+{variant}" if variant else name, language)
        for name, language in languages.items()
        for variant in variants
    )
    return tuple(Voice("espeak", name, language) for name, language in names)


_LANGUAGES = {
    "en-us": "en",
    "en": "en",  # British
    "en-gb-scotland": "en",
    "de": "de",
    "fr": "fr",
    "es": "es",
    "es-419": "es",
    "it": "it",
    "pl": "pl",
    "nl": "nl",
}
_HELD_OUT_LANGUAGES = {"sv": "sv", "pt": "pt"}
_VARIANTS = ("", "f1", "f2", "f4", "f5", "m1", "m2", "m3", "m5", "m6", "m7", "klatt2")
_HELD_OUT_VARIANTS = ("f3", "m4", "klatt4")

VOICES: dict[Split, tuple[Voice, ...]] = {
    "train": (
        *_espeak_voices(_LANGUAGES, _VARIANTS),
        *(Voice("flite", name, "en") for name in ("slt", "kal16", "awb")),
    ),
    "held_out": (
        *_espeak_voices(_LANGUAGES | _HELD_OUT_LANGUAGES, _HELD_OUT_VARIANTS),
        *(Voice("flite", name, "en") for name in ("rms",)),
    ),
}
"""No variant, no Flite voice and no held-out language is shared between the two splits."""


def speak(sentence: str, voice: Voice) -> Speech:
    """Speak `sentence` with `voice`.

    The same sentence and voice give the same samples in processes that have spoken the same before.
    eSpeak keeps phase and noise between calls and offers no way to reset them; it is loaded anew
    each time, so most sentences do not depend on what was spoken before, but some still do.
    Raises SpeechError if the synthesiser is not installed, refuses, or gives no sound.
    """
    if voice.engine == "espeak":
        rate, pcm, marks = _espeak(sentence, voice)
    else:
        rate, pcm, marks = _flite(sentence, voice)
    if not pcm.size or not np.any(pcm):
        raise SpeechError(f"{voice.name} gave no sound for {sentence!r}, expected speech")
    sound = _level(_resample(pcm, rate))
    moments = [(label, round(start * AUDIO_RATE / rate)) for label, start in marks]
    phones = _tile(moments, sound.size)
    if voice.engine == "espeak":
        phones = _give_stops_their_closure(phones, sound)
    return Speech(sound, tuple(phones), voice, sentence)


def missing() -> tuple[str, ...]:
    """Which of the two synthesisers are not installed, as Debian calls them."""
    lacking = []
    try:
        with _ONE_ESPEAK:
            _Espeak().close()
    except SpeechError:
        lacking.append("espeak-ng")
    if shutil.which("flite") is None:
        lacking.append("flite")
    return tuple(lacking)


def _resample(pcm: Pcm, rate: int) -> Pcm:
    if rate == AUDIO_RATE:
        return pcm
    divisor = int(np.gcd(rate, AUDIO_RATE))
    up, down = AUDIO_RATE // divisor, rate // divisor
    return np.asarray(resample_poly(pcm, up, down), np.float32)


def _level(pcm: Pcm) -> Pcm:
    loud = pcm[np.abs(pcm) > 0.02 * np.abs(pcm).max()]
    gain = _SPEECH_RMS / float(np.sqrt(np.mean(np.square(loud))))
    return np.asarray(np.clip(pcm * gain, -1.0, 1.0), np.float32)


def _tile(marks: list[tuple[str, int]], length: int) -> list[Phone]:
    """Start marks → phones without gaps; what is unlabelled and short joins the phone before."""
    ends = [start for _, start in marks[1:]] + [length]
    tiles = [Phone(SILENCE, 0, marks[0][1] if marks else length)]
    for (label, start), end in zip(marks, ends, strict=True):
        tiles.append(Phone(label, min(start, length), min(end, length)))
    phones: list[Phone] = []
    for tile in tiles:
        joins = tile.label == SILENCE and phones and _joins(phones[-1], tile)
        if joins:
            phones[-1] = Phone(phones[-1].label, phones[-1].start, tile.end)
        elif tile.end > tile.start:
            phones.append(tile)
    return phones


def _joins(before: Phone, pause: Phone) -> bool:
    return before.label == SILENCE or pause.end - pause.start < _SHORTEST_PAUSE


def _give_stops_their_closure(phones: list[Phone], pcm: Pcm) -> list[Phone]:
    """eSpeak marks a voiceless stop at its burst: move the mark back over the quiet before it."""
    moved = list(phones)
    for index in range(1, len(moved)):
        before, stop = moved[index - 1], moved[index]
        if stop.label[:1] not in ("p", "t", "k") or before.end - before.start < 2 * 160:
            continue
        earliest = max(before.start + 160, stop.start - _CLOSURE)
        start = _quiet_since(pcm, earliest, stop.start)
        moved[index - 1] = Phone(before.label, before.start, start)
        moved[index] = Phone(stop.label, start, stop.end)
    return moved


def _quiet_since(pcm: Pcm, earliest: int, end: int) -> int:
    """The first moment in [earliest, end] after which 5 ms hops stay below a tenth of speech."""
    hop = 80
    moment = end
    while moment - hop >= earliest:
        block = pcm[moment - hop : moment]
        if float(np.sqrt(np.mean(np.square(block)))) > 0.15 * _SPEECH_RMS:
            break
        moment -= hop
    return moment


# --- eSpeak NG ---------------------------------------------------------------------------------

_RETRIEVAL_SYNCHRONOUS = 2  # espeak_AUDIO_OUTPUT: samples go to the callback, nothing is played
_PHONEME_EVENTS = 1
_PHONEME_IPA = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_END, _PHONEME = 0, 7  # espeak_EVENT_TYPE
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_WORDS_A_MINUTE = 165


class _EventId(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Blocks: TypeAlias = list[NDArray[np.int16]]
_Marks: TypeAlias = list[tuple[str, int]]


class _Espeak:
    """The eSpeak of this process: its state is global, so there must be no more than one."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as error:
            raise SpeechError(
                "libespeak-ng.so.1 is not installed, expected Debian package libespeak-ng1 "
                "(with espeak-ng-data)"
            ) from error
        options = _PHONEME_EVENTS | _PHONEME_IPA | _DONT_EXIT
        self._rate = int(self._library.espeak_Initialize(_RETRIEVAL_SYNCHRONOUS, 0, None, options))
        if self._rate <= 0:
            raise SpeechError("eSpeak did not start, expected its data: Debian espeak-ng-data")
        self._blocks: _Blocks = []
        self._marks: _Marks = []
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
        )
        self._callback = prototype(self._collect)  # kept: the library holds a bare pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, sentence: str, voice: Voice) -> tuple[int, Pcm, _Marks]:
        """Rate, float32 samples in [-1, 1] and (label, start) marks in samples at that rate."""
        if self._library.espeak_SetVoiceByName(voice.name.encode()):
            raise SpeechError(f"eSpeak has no voice {voice.name!r}, expected one it lists")
        self._set(_RATE, round(_WORDS_A_MINUTE * voice.speed))
        self._set(_PITCH, round(50 + 40 * voice.pitch))
        self._blocks, self._marks = [], []
        self._synthesise(sentence)
        pcm = np.concatenate(self._blocks or [np.zeros(0, np.int16)])
        return self._rate, (pcm / 32768.0).astype(np.float32), self._marks

    def close(self) -> None:
        """Unload the library and with it all that it remembers."""
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)

    def _set(self, parameter: int, value: int) -> None:
        self._library.espeak_SetParameter(parameter, value, 0)

    def _synthesise(self, sentence: str) -> None:
        text = sentence.encode() + b"\0"
        status = self._library.espeak_Synth(text, len(text), 0, 0, 0, _UTF8, None, None)
        if status:
            raise SpeechError(f"eSpeak refused {sentence!r} with status {status}, expected 0")

    def _collect(
        self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, events: "_Events"
    ) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _END:
            event = events[index]
            if event.type == _PHONEME:
                label = event.id.string.decode("utf-8", "ignore")
                if not label.startswith("("):  # "(en)": a word in another language follows
                    self._marks.append((label, event.sample))
            index += 1
        return 0


_Events: TypeAlias = "ctypes._Pointer[_Event]"


_ONE_ESPEAK = threading.Lock()


def _espeak(sentence: str, voice: Voice) -> tuple[int, Pcm, _Marks]:
    """One eSpeak a sentence: loading it costs some milliseconds and starts most of it over."""
    with _ONE_ESPEAK:
        espeak = _Espeak()
        try:
            return espeak.speak(sentence, voice)
        finally:
            espeak.close()


# --- Flite -------------------------------------------------------------------------------------

_FLITE_PITCH = {"slt": 170.0, "kal16": 105.0, "awb": 120.0, "rms": 105.0}  # Hz, the voice's own
_MARK = re.compile(r"([a-z]+):([0-9.]+)")  # -psdur prints "hh:0.295", the phone's end in seconds


def _flite(sentence: str, voice: Voice) -> tuple[int, Pcm, _Marks]:
    pitch = _FLITE_PITCH.get(voice.name, 120.0) * 2.0 ** (0.5 * voice.pitch)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-psdur", "-voice", voice.name]
        command += ["--setf", f"duration_stretch={1.0 / voice.speed:.3f}"]
        command += ["--setf", f"int_f0_target_mean={pitch:.1f}"]
        command += ["-t", sentence, "-o", str(path)]
        printed = _run_flite(command)
        rate, pcm = _read_wave(path)
    return rate, pcm, _flite_marks(printed, rate)


def _run_flite(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise SpeechError("flite is not installed, expected Debian package flite") from error
    except subprocess.CalledProcessError as error:
        raise SpeechError(f"flite ended with {error.returncode}, expected 0") from error
    return done.stdout


def _read_wave(path: Path) -> tuple[int, Pcm]:
    with wave.open(str(path), "rb") as file:
        data = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return file.getframerate(), (data / 32768.0).astype(np.float32)


def _flite_marks(printed: str, rate: int) -> _Marks:
    marks: _Marks = []
    start = 0.0
    for label, end in _MARK.findall(printed):
        marks.append((SILENCE if label == "pau" else label, round(start * rate)))
        start = float(end)
    return marks
