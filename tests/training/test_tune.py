"""What a run over a large model is made of: settings, pairs, rows, memory, shards, folders."""

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from made_encoders import made_whisper, made_whole_model
from made_shards import made_shards
from made_tuning import LATENTS, REFERENCES, TINY, TUNING, made_clips, made_model
from soul.checkpoints.families import is_audio
from soul.checkpoints.layout import open_part
from soul.checkpoints.lora import alpha_of, merge, read_pairs
from soul.checkpoints.modules import with_audio
from soul.checkpoints.running import loaded_ear
from soul.checkpoints.sources import CheckpointError, open_tensors
from soul.model.config import SOUL_5B
from soul.model.dit import DiT
from soul.model.load import CONFIG
from soul.timebase import AUDIO_RATE
from soul.training.crew import Share
from soul.training.tune.backbone import check_config, fill, need_hearing
from soul.training.tune.clips import NOTE, WORDS, Words, open_encoded
from soul.training.tune.crew import Group, OwnRows
from soul.training.tune.encode import (
    Encoders,
    Encoding,
    Sample,
    check_size,
    chosen,
    fit,
    half,
    read,
)
from soul.training.tune.encoders import open_encoders
from soul.training.tune.export import ADAPTER, changed, write_adapter, write_model
from soul.training.tune.lora import Lora, adapt, bare, first, is_pair, is_trained
from soul.training.tune.memory import check_fits, lay_out, need_of, scaled
from soul.training.tune.run import Begun, Place, begin, check, sized
from soul.training.tune.settings import (
    STAGES,
    EncodeConfig,
    LoraConfig,
    TuneError,
    Tuning,
    check_model,
    problem,
    sampled,
)
from soul.training.tune.settings import (
    changed as told,
)

LORA = LoraConfig(rank=2, alpha=6.0, targets=("q", "ffn.0"))


# Settings.


def test_a_setting_is_told_by_its_dotted_name() -> None:
    tuning = told(Tuning(), ["teacher.batch=64", "ema=0.99", "lora.targets=q,k", "recompute=false"])
    assert tuning.teacher.batch == 64
    assert (tuning.ema, tuning.lora.targets, tuning.recompute) == (0.99, ("q", "k"), False)
    assert told(Tuning(), ["teacher.length.steps=7"]).teacher.length.steps == 7
    assert told(Tuning(), ["student.counts=2,4"]).student.counts == (2, 4)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("ema", "has no value"),
        ("emma=1", "'emma' is not known; expected one of height"),
        ("lora=1", "holds several values; expected one of lora.rank"),
        ("seed.x=1", "seed is one value"),
        ("seed=one", "what stands there is int"),
        ("recompute=perhaps", "what stands there is bool"),
        ("teacher.length.minutes=3", "nothing that can be set"),
    ],
)
def test_a_setting_that_cannot_be_is_named(setting: str, sentence: str) -> None:
    with pytest.raises(TuneError, match=sentence):
        told(Tuning(), [setting])


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("precision=fp8", "precision 'fp8' is not known"),
        ("accumulate=0", "accumulate is 0"),
        ("ema=1", "ema is 1"),
        ("clip=0", "clip is 0"),
        ("lora.rank=-1", "lora.rank is -1"),
        ("teacher.warm_start=0.1", "teacher.warm_start is 0.1"),
        ("teacher.batch=9", "teacher.batch 9 does not split among 2 processes"),
        ("teacher.save_every=5", "expected a multiple of 10"),
        ("student.chunks=30", "do not fit into clips of 24 latents"),
        ("steps=3", "steps is 3; expected one of the numbers of steps that stage student teaches"),
        ("accumulate=7", "expected a multiple of"),
    ],
)
def test_what_cannot_be_trained_is_said(setting: str, sentence: str) -> None:
    found = problem(told(Tuning(), [setting]), STAGES, 2)
    assert found is not None
    assert sentence in found


def test_the_settings_one_starts_with_make_sense() -> None:
    assert problem(Tuning(), STAGES, 8) is None


def test_a_model_that_the_stages_cannot_train_is_refused() -> None:
    check_model(SOUL_5B, "here")
    with pytest.raises(TuneError, match="here runs in chunks of 3"):
        check_model(replace(SOUL_5B, chunk=3), "here")
    with pytest.raises(TuneError, match="has cue_width 8"):
        check_model(replace(SOUL_5B, cue_width=8), "here")
    with pytest.raises(TuneError, match="attention sound by wav2vec2"):
        check_model(replace(SOUL_5B, audio=replace(SOUL_5B.audio, ear="wav2vec2")), "here")
    with pytest.raises(TuneError, match="multiples of 32"):
        check_config(SOUL_5B, replace(Tuning(), height=700), Path("here"))


def test_a_distilled_model_is_sampled_in_the_steps_that_it_was_taught() -> None:
    """Wan's own way is 50 guided steps; a teacher keeps it, and nobody distilled does."""
    wan = replace(SOUL_5B, steps=50, solver="unipc", guidance=5.0, audio_guidance=2.0)
    tuning = told(Tuning(), ["steps=4"])
    assert sampled(wan, "teacher", tuning) == wan
    unguided = replace(wan, steps=4, solver="euler", guidance=1.0, audio_guidance=1.0)
    for stage in ("student", "match"):
        assert sampled(wan, stage, tuning) == unguided


# Random numbers.


def test_each_process_keeps_its_rows_of_what_one_would_draw() -> None:
    """Of everything that is drawn, whatever its shape and however it is asked for."""

    def drawn(rows: int) -> list[Tensor]:
        like = torch.zeros(rows, 3)
        return [torch.randn_like(like), torch.rand(rows, 1, 1), torch.randn((rows, 5)),
                torch.rand_like(like.double())]  # fmt: skip

    torch.manual_seed(3)
    whole = drawn(6)
    for rank in range(3):
        torch.manual_seed(3)
        with OwnRows(Share(rank, 3)):
            mine = drawn(2)
        for one, all_ in zip(mine, whole, strict=True):
            assert torch.equal(one, all_[2 * rank : 2 * rank + 2])
            assert one.dtype == all_.dtype


# LoRA.


def tiny_dit(seed: int = 0) -> DiT:
    torch.manual_seed(seed)
    return DiT(TINY.dit)


def test_a_new_pair_changes_nothing_and_a_learned_one_what_it_says() -> None:
    torch.manual_seed(0)
    base = nn.Linear(5, 7)
    layer, x = Lora(base, LORA), torch.randn(3, 5)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in layer.named_parameters():
            if is_pair(f".{name}"):
                p.copy_(first(f"layer.{name}", p.shape, generator))
    assert torch.equal(layer(x), base(x))
    assert layer.lora_A.weight.any()
    nn.init.normal_(layer.lora_B.weight)
    weight = base.weight + 6 / 2 * layer.lora_B.weight @ layer.lora_A.weight
    torch.testing.assert_close(layer(x), x @ weight.T + base.bias)


def test_pairs_stand_beside_the_targets_of_the_blocks_alone() -> None:
    dit = tiny_dit()
    layers = adapt(dit, LORA)
    attentions = ("self_attn.q", "cross_attn.q", "audio_attn.q", "ffn.0")
    assert layers == [f"blocks.{i}.{name}" for i in range(2) for name in attentions]
    trained = [name for name, _ in dit.named_parameters() if is_trained(name, LORA)]
    assert trained == [f"{layer}.lora_{m}.weight" for layer in layers for m in "AB"]
    assert bare("blocks.0.ffn.0.base.weight") == "blocks.0.ffn.0.weight"
    with pytest.raises(TuneError, match=r"lora.targets has 'z'"):
        adapt(tiny_dit(), replace(LORA, targets=("q", "z")))


def test_what_is_trained_whole_has_no_pairs() -> None:
    lora = replace(LORA, whole=("audio_attn", "audio_embedding"))
    dit = tiny_dit()
    assert not any("audio_attn" in layer for layer in adapt(dit, lora))
    trained = {name for name, _ in dit.named_parameters() if is_trained(name, lora)}
    assert {n for n in trained if not is_pair(n)} == {
        n for n, _ in dit.named_parameters() if "audio_attn" in n or "audio_embedding" in n
    }


def test_pairs_are_merged_or_written_beside(tmp_path: Path) -> None:
    source = made_model(tmp_path / "tiny")
    base = open_part(source, "dit")
    dit = tiny_dit()
    layers = adapt(dit, LORA)
    torch.manual_seed(5)
    learned = {
        name: torch.randn(p.shape) for name, p in dit.named_parameters() if is_trained(name, LORA)
    }
    merged = changed(base, learned, LORA, tmp_path)
    name = f"{layers[0]}.weight"
    up, down = (learned[f"{layers[0]}.lora_{m}.weight"] for m in "BA")
    torch.testing.assert_close(merged[name].read(), base[name].read() + 3 * up @ down)
    write_adapter(learned, LORA, tmp_path / "adapter")
    path = tmp_path / "adapter" / ADAPTER
    pairs = read_pairs(
        open_tensors(path), [k[: -len(".weight")] for k in base], alpha_of(path), path
    )
    again = merge(base, pairs, 1.0, path)
    assert all(torch.equal(again[k].read(), merged[k].read()) for k in base)


# Weights of a folder.


def test_layers_that_hear_start_as_copies_where_a_folder_has_none(tmp_path: Path) -> None:
    folder = made_model(tmp_path / "deaf", hears=False)
    entries = open_part(folder, "dit")
    assert not any(map(is_audio, entries))
    dit = tiny_dit(7)
    fill(dit, with_audio(entries, TINY.dit), 0)
    found = dit.state_dict()
    for name, value in found.items():
        text = name.replace("audio_attn", "cross_attn").replace("norm_audio", "norm3")
        if text in entries:
            assert torch.equal(value, entries[text].read()), name
    bound = TINY.dit.audio_dim**-0.5
    assert 0 < found["audio_embedding.weight"].abs().max() <= bound
    with pytest.raises(TuneError, match="hears nothing yet"):
        need_hearing(tiny_dit(), entries, LORA, folder)
    whole = ("audio_embedding", "norm_audio", "audio_attn")
    need_hearing(tiny_dit(), entries, replace(LORA, whole=whole), folder)


# Memory.


def test_parameters_and_their_bytes_are_those_of_the_5b() -> None:
    """Counted on the meta device: 4,999,787,712 parameters of Wan, 1,133,199,360 that hear."""
    config = replace(SOUL_5B, image_size=(704, 1280))
    tuning = replace(Tuning(), ema=0.999)
    layout = lay_out(config, tuning)
    embedding = 1280 * 3072 + 3072  # of sound
    assert layout.trained == 4_999_787_712 + 1_133_199_360 + embedding
    assert layout.frozen == 0
    need = scaled("teacher", layout, tuning, 8)
    assert need.weights == need.gradients == need.means == 4 * layout.trained // 8
    assert need.optimizer == 2 * need.weights
    window = 30 * 6 * 24 * 880 * 128 * 2 * 2 + 30 * 24 * 880 * 128 * 2 * 2
    assert need.windows == 2 * window
    # One block's input each, in bf16, is the least that a pass of one stream keeps.
    assert layout.kept > 30 * 880 * 3072 * 2
    frugal = layout.kept + layout.inner
    lavish = lay_out(config, replace(tuning, recompute=False))
    assert frugal < 0.1 * lavish.kept
    lora = lay_out(config, replace(tuning, lora=LoraConfig(rank=32)))
    assert lora.frozen == layout.trained
    assert lora.trained == 30 * 32 * (12 * 2 * 3072 + 2 * (3072 + 14336))


def test_what_does_not_fit_is_refused_with_what_would(tmp_path: Path) -> None:
    need = check_fits("match", TINY, TUNING, 1, 10**12)
    half_of_it = need_of("match", TINY, TUNING, 2).total
    assert half_of_it < need.total
    with pytest.raises(TuneError, match=r"stage match needs .* GB are free; 2 processes would do"):
        check_fits("match", TINY, TUNING, 1, half_of_it)
    with pytest.raises(TuneError, match=r"name a smaller batch, or lora.rank"):
        check_fits("match", TINY, TUNING, 1, 1000)


# Encoded clips.


def test_words_are_filled_up_with_zeros() -> None:
    rows = np.ones((2, 3), np.float16)
    words = Words({"hello": rows}, 4)
    found = words(["hello", "hello"], torch.device("cpu"))
    assert found.shape == (2, 4, 3)
    assert found[0].sum(-1).tolist() == [3, 3, 0, 0]
    with pytest.raises(TuneError, match="'bye' was not encoded"):
        words(["bye"], torch.device("cpu"))


def test_clips_of_another_model_or_size_are_refused(tmp_path: Path) -> None:
    folder = made_clips(tmp_path / "clips")
    found = open_encoded(folder, "tiny", TINY)
    assert found.latents.latents.shape == (3, LATENTS - 1, 48, 4, 6)
    assert not found.latents.reworded
    with pytest.raises(TuneError, match="encoded for the model 'tiny', not for 'other'"):
        open_encoded(folder, "other", TINY)
    with pytest.raises(TuneError, match=r"clips of 64 x 96, and this run makes .* 64 x 64"):
        open_encoded(folder, "tiny", replace(TINY, image_size=64))
    (folder / WORDS).write_bytes(b"12")
    with pytest.raises(TuneError, match="has 2 bytes, expected 288"):
        open_encoded(folder, "tiny", TINY)
    (folder / NOTE).unlink()
    with pytest.raises(TuneError, match="holds no encoded clips"):
        open_encoded(folder, "tiny", TINY)


# Shards.


def greys(pictures: Tensor) -> Tensor:
    """Each picture's mean, as a latent of 48 channels at a sixteenth."""
    mean = pictures.mean((1, 2, 3))
    return mean.view(-1, 1, 1, 1).expand(-1, 48, 4, 6)


FAKES = Encoders(
    film=lambda pictures: greys(pictures)[::4],
    still=greys,
    sound=lambda pcm, latents: pcm.mean() + torch.zeros(latents, 8, 16),
    words=lambda prompt: torch.full((1 + len(prompt.split()), 16), float(len(prompt))),
)


def encoding(folder: Path, group_of: Callable[[int], Group], rank: int = 0) -> Encoding:
    how = EncodeConfig(latents=LATENTS, references=REFERENCES)
    return Encoding(folder, TINY, how, FAKES, group_of(rank), lambda: None, 0)


def alone(rank: int) -> Group:
    return Group(Share(rank, 1), torch.device("cpu"), None)  # type: ignore[arg-type]


def test_shards_become_what_the_stages_read(tmp_path: Path) -> None:
    data = made_shards(tmp_path / "shards")
    encoding(tmp_path / "out", alone).run(data, "tiny")
    found = open_encoded(tmp_path / "out", "tiny", TINY)
    latents = found.latents
    assert latents.prompts[2] == "A room. Person 2 talks."
    for clip in range(3):
        wanted = [(40 + 30 * clip + 4 * n) / 127.5 - 1 for n in range(LATENTS)]
        seen = latents.latents[clip].mean((1, 2, 3)).tolist()
        assert seen == pytest.approx(wanted[1:], abs=0.02)
        assert float(latents.pivotal[clip, 0].mean()) == pytest.approx(wanted[0], abs=0.02)
        assert not np.array_equal(latents.pivotal[clip, 0], latents.pivotal[clip, 1])
        assert float(latents.tokens[clip].mean()) == pytest.approx(0.25 if clip else 0.0)
    words = found.words(["", latents.prompts[0]], torch.device("cpu"))
    assert words[:, 0, 0].tolist() == [0, len(latents.prompts[0])]
    assert words[1].any(-1).tolist() == [True] * 6


def test_encoding_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = made_shards(tmp_path / "shards")
    encoding(tmp_path / "whole", alone).run(data, "tiny")
    one = Encoding.clip
    seen: list[int] = []

    def dies(self: Encoding, arrays: dict[str, np.memmap], index: int, sample: Sample) -> None:
        if len(seen) == 2:
            raise InterruptedError
        seen.append(index)
        one(self, arrays, index, sample)

    monkeypatch.setattr(Encoding, "clip", dies)
    with pytest.raises(InterruptedError):
        encoding(tmp_path / "out", alone).run(data, "tiny")
    with pytest.raises(TuneError, match="holds no encoded clips"):
        open_encoded(tmp_path / "out", "tiny", TINY)
    with pytest.raises(TuneError, match="was begun with other clips"):
        encoding(tmp_path / "out", alone).run(data, "another")
    seen.clear()
    encoding(tmp_path / "out", alone).run(data, "tiny")
    assert seen == [2]
    for path in (tmp_path / "whole").glob("*.npy"):
        assert np.array_equal(np.load(path), np.load(tmp_path / "out" / path.name))
    assert (tmp_path / "whole" / NOTE).read_text() == (tmp_path / "out" / NOTE).read_text()


def test_shards_that_cannot_be_encoded_are_one_sentence(tmp_path: Path) -> None:
    how = EncodeConfig(latents=LATENTS)
    with pytest.raises(TuneError, match="holds no shards"):
        chosen(tmp_path, TINY, how)
    data = made_shards(tmp_path / "shards", count=1)
    assert len(chosen(data, TINY, how)) == 1
    with pytest.raises(TuneError, match="the 37 frames of 10 latents, the longest has 30"):
        chosen(data, TINY, replace(how, latents=10))
    with pytest.raises(TuneError, match="pictures of 80 x 120, and this run's are 128 x 96"):
        chosen(data, replace(TINY, image_size=(128, 96)), how)
    whole = (data / "000000.tar").read_bytes()
    (data / "000000.tar").write_bytes(whole[:700])
    with pytest.raises(TuneError, match="is no whole shard"):
        chosen(data, TINY, how)
    with pytest.raises(TuneError, match="above 65504"):
        half(torch.tensor([7e4]), "words", None)


def test_a_clip_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no film")
    shard = tmp_path / "0.tar"
    with tarfile.open(shard, "w") as tar:
        tar.add(tmp_path / "x.mp4", "x.mp4")
    with pytest.raises(TuneError, match=r"clip x of .* cannot be read"):
        read(Sample(shard, "x", 30, 64, 96, ""), 25)
    with pytest.raises(TuneError, match="expected clips that are at least as large"):
        check_size(Sample(shard, "x", 30, 32, 48, ""), TINY)


def test_pictures_are_scaled_to_fill_and_cut_in_the_middle() -> None:
    pictures = np.zeros((1, 80, 200, 3), np.uint8)
    pictures[:, :, 40:160] = 255
    fitted = fit(pictures, 64, 96)  # the edges see a little of what is cut off
    assert fitted.shape == (1, 3, 64, 96)
    torch.testing.assert_close(fitted[..., 4:-4], torch.ones(1, 3, 64, 88))
    assert fitted.min() > 0.9
    assert fit(pictures, 80, 200).shape == (1, 3, 80, 200)


def test_a_run_hears_what_serving_hears(tmp_path: Path) -> None:
    """The very tokens of the ear that a call has, whose windows come from the folder's config."""
    model, ear = made_whole_model(tmp_path / "tiny"), made_whisper(tmp_path / "whisper")
    encoders = open_encoders(model, ear, TINY, torch.device("cpu"))
    pcm = 0.1 * torch.randn(8 * TINY.chunk_samples, generator=torch.Generator().manual_seed(0))
    tokens = encoders.sound(pcm, 6)
    serving = loaded_ear(TINY, ear, "cpu", torch.float32)
    # Latent k's frames begin at frame 4 k - 3.
    begin = (4 * 3 - 3) * AUDIO_RATE // TINY.fps - TINY.audio.past_samples
    heard = serving(pcm[begin : begin + TINY.latent_samples].unsqueeze(0))
    torch.testing.assert_close(tokens[3], heard[0])
    wider = replace(TINY, audio=replace(TINY.audio, mels=128))
    with pytest.raises(CheckpointError, match=r"hears 80 mel bands, and .* expects 128"):
        open_encoders(model, ear, wider, torch.device("cpu"))
    shutil.rmtree(model / "tokenizer")
    with pytest.raises(TuneError, match="no tokenizer"):
        encoders.words("calm")


# A run.


def test_a_run_that_cannot_be_is_refused_before_it_begins(tmp_path: Path) -> None:
    model = made_model(tmp_path / "tiny")
    place = Place(tmp_path / "run", model)
    check(place, TUNING, ("teacher",), 2)
    with pytest.raises(TuneError, match="does not split among 3 processes"):
        check(place, TUNING, ("teacher",), 3)
    with pytest.raises(TuneError, match="is no model of this project's layout"):
        check(Place(tmp_path / "run", tmp_path), TUNING, ("teacher",), 1)
    assert not place.out.exists()
    assert sized(model, replace(TUNING, height=96)).image_size == (96, 96)


def test_a_run_goes_on_with_the_same_settings_alone(tmp_path: Path) -> None:
    place = Place(tmp_path / "run", tmp_path / "model")
    begin(place, TUNING)
    begin(place, replace(TUNING, teacher=replace(TUNING.teacher, save_every=8)))
    with pytest.raises(TuneError, match=r"holds a run with tuning.ema 0.0, this one has 0.5"):
        begin(place, replace(TUNING, ema=0.5))
    assert Begun("m", TUNING).tuning is TUNING


def test_a_folder_is_written_whole_and_links_what_did_not_change(tmp_path: Path) -> None:
    source = made_model(tmp_path / "tiny")
    learned = {"head.head.bias": torch.full((192,), 3.0)}
    config = replace(TINY, name="tiny-teacher")
    manifest = write_model(source, tmp_path / "out", learned, config, LoraConfig(), torch.bfloat16)
    assert (manifest.name, manifest.mode) == ("tiny-teacher", "stream")
    values = open_part(tmp_path / "out", "dit")
    assert torch.all(values["head.head.bias"].read() == 3)
    assert values["head.head.weight"].dtype == torch.bfloat16
    assert json.loads((tmp_path / "out" / CONFIG).read_text())["name"] == "tiny-teacher"
    with pytest.raises(CheckpointError, match="exists already"):
        write_model(source, tmp_path / "out", learned, config, LoraConfig(), torch.bfloat16)
