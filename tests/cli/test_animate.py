"""`soul animate`: a film exactly as long as the sound, or one sentence and nothing left behind."""

import json
import wave
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from soul.cli.main import app
from soul.cli.plan import in_time, prompt_at, prompts_by_chunk
from soul.media.portrait import PortraitLimits
from soul.model import sample
from soul.model.config import PRESETS
from soul.model.load import save
from soul.model.sample import Soul, StreamState, build, set_prompt

RUNNER = CliRunner()
FIELDS = {
    "frames",
    "fps",
    "seconds",
    "realtime_factor",
    "first_frame_ms",
    "model",
    "device",
    "peak_memory_bytes",
    "stages_ms",
    "denoising",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights") / "soul-test"
    save(build(PRESETS["soul-test"], seed=0), folder)
    return str(folder)


@pytest.fixture
def face(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    Image.fromarray(np.full((90, 80, 3), 120, np.uint8)).save(path)
    return path


def wav(path: Path, samples: int, rate: int = 16_000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(samples * channels * width))
    return path


@pytest.fixture
def run(model: str, face: Path, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    def run(speech: Path, *more: str, portrait: Path = face) -> tuple[int, str, str]:
        output = str(tmp_path / "out.mp4")
        words = ["animate", str(portrait), str(speech), "-o", output, "--model", model, *more]
        result = RUNNER.invoke(app, words)
        return result.exit_code, result.stdout, " ".join(result.stderr.split())

    return run


@pytest.mark.parametrize(
    ("samples", "rate", "channels"), [(10_000, 16_000, 1), (26_460, 44_100, 2), (5_001, 8_000, 1)]
)
def test_the_film_is_exactly_as_long_as_the_sound(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    samples: int,
    rate: int,
    channels: int,
) -> None:
    code, out, said = run(wav(tmp_path / "speech.wav", samples, rate, channels), "--json")
    assert code == 0, said
    report = json.loads(out.splitlines()[-1])
    assert set(report) == FIELDS
    assert report["seconds"] == pytest.approx(samples / rate, abs=0.001)
    assert report["frames"] == -(-samples * 25 // rate)
    assert report["fps"] == 25
    assert report["device"] == "cpu"
    assert report["peak_memory_bytes"] > 0
    assert set(report["stages_ms"]) == {"listen", "denoise", "decode", "commit", "total"}
    assert report["denoising"]["passes"] == 2
    with av.open(str(tmp_path / "out.mp4")) as film:
        for stream in (film.streams.video[0], film.streams.audio[0]):
            assert stream.duration is not None
            assert stream.time_base is not None
            assert float(stream.duration * stream.time_base) == pytest.approx(
                samples / rate, abs=0.002
            )
        assert sum(1 for _ in film.decode(video=0)) == report["frames"]


def test_a_film_of_clips_may_be_a_rectangle(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    clips = replace(PRESETS["soul-test"], image_size=(64, 96), window=0, overlap=1, chunk=3)
    save(build(clips, seed=0), tmp_path / "clips")
    speech = wav(tmp_path / "speech.wav", 16_000)
    code, _, said = run(speech, "--steps", "1", "--model", str(tmp_path / "clips"))
    assert code == 0, said
    with av.open(str(tmp_path / "out.mp4")) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(64, 96, 3)] * 25


def test_the_same_seed_gives_the_same_film(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    speech = wav(tmp_path / "speech.wav", 4_000)
    films = []
    for seed in ("1", "1", "2"):
        assert run(speech, "--seed", seed, "--steps", "1")[0] == 0
        with av.open(str(tmp_path / "out.mp4")) as film:
            films.append([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
    assert np.array_equal(films[0], films[1])
    assert not np.array_equal(films[0], films[2])


def test_prompts_over_time_are_brought_by_their_chunks(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, str]] = []

    def record(model: Soul, state: StreamState, prompt: str) -> None:
        told.append((state.chunk, prompt))
        set_prompt(model, state, prompt)

    monkeypatch.setattr(sample, "set_prompt", record)
    speech = wav(tmp_path / "speech.wav", 16_000)
    prompts = ("--prompt", "calm", "--at", "0.4:a sad person", "--at", "0.2:happy: smiling")
    code, _, said = run(speech, "--steps", "1", *prompts)
    assert code == 0, said
    assert told == [(1, "happy: smiling"), (2, "a sad person")]


def test_a_prompt_is_brought_by_the_chunk_in_which_its_time_lies() -> None:
    told = ("4.0:a sad person", "0:a", "0.159:b: c", "0.16:d", "1e1:")
    prompts = [prompt_at(text) for text in told]
    expected = {0: "b: c", 1: "d", 25: "a sad person", 62: ""}
    ordered = in_time(prompts, seconds=10.1)
    assert prompts_by_chunk(ordered, 2560) == expected
    assert prompts_by_chunk(ordered, 25 * 2560) == {0: "d", 1: "a sad person", 2: ""}


@pytest.mark.parametrize(
    "at", ["happy", "soon:happy", "-1:happy", "nan:happy", "inf:happy", ":happy", "3", "9:late"]
)
def test_a_prompt_at_no_time_is_one_sentence(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, at: str
) -> None:
    code, out, said = run(wav(tmp_path / "speech.wav", 4_000), f"--at={at}")
    assert code == 2
    assert out == ""
    assert "expected SECONDS:PROMPT" in said or "the recording ends at 0.25 s" in said
    assert list(tmp_path.glob("*out.mp4*")) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, I am no sound", "cannot be read as sound"),
        (None, "is not a file"),
        ("truncated", "is truncated"),
        ("no samples", "no sound at all"),
        ("picture", "no sound"),
    ],
)
def test_an_unusable_recording_is_one_sentence(
    run: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    face: Path,
    content: bytes | str | None,
    words: str,
) -> None:
    speech = tmp_path / "speech.wav"
    if isinstance(content, bytes):
        speech.write_bytes(content)
    elif content == "truncated":
        speech.write_bytes(wav(speech, 8_000).read_bytes()[:4_000])
    elif content == "no samples":
        wav(speech, 0)
    elif content == "picture":
        speech = face
    code, out, said = run(speech)
    assert code == 2
    assert out == ""
    assert words in said
    assert "Traceback" not in said
    assert list(tmp_path.glob("*out.mp4*")) == []


def test_an_unusable_portrait_is_one_sentence(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    speech = wav(tmp_path / "speech.wav", 4_000)
    code, _, said = run(speech, portrait=speech)
    assert code == 2
    assert "picture" in said
    code, _, said = run(speech, portrait=tmp_path / "nobody.png")
    assert code == 2
    assert "nobody.png" in said


def test_a_huge_portrait_is_refused_before_all_of_it_is_read(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    huge, most = tmp_path / "huge.png", PortraitLimits().max_bytes
    with huge.open("wb") as file:
        file.truncate(most + 1000)
    code, _, said = run(wav(tmp_path / "speech.wav", 4_000), portrait=huge)
    assert code == 2
    assert f"has {most + 1} bytes: expected {most} at most" in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--model", "no-such-model"), "no-such-model"),
        (("--device", "abacus"), "'abacus' is not usable"),
        (("-o", "film.avi"), "expected a name ending in .mp4"),
        (("-o", "/no/such/folder/film.mp4"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, more: tuple[str, ...], words: str
) -> None:
    code, _, said = run(wav(tmp_path / "speech.wav", 4_000), *more)
    assert code == 1
    assert words in said


def test_a_film_that_fails_leaves_the_old_one_alone(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the old one")
    run(wav(tmp_path / "speech.wav", 4_000), "--model", "no-such-model")
    assert (tmp_path / "out.mp4").read_bytes() == b"the old one"
