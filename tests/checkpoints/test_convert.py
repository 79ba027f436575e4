"""Every layout becomes the same folder; what cannot is one message, and leaves nothing behind."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file, save_file

import made_checkpoints as made
from soul.checkpoints import layout
from soul.checkpoints.convert import Options, convert
from soul.checkpoints.layout import open_part, write_part
from soul.checkpoints.manifest import (
    MANIFEST,
    Manifest,
    Origin,
    read_manifest,
    verify,
    write_manifest,
)
from soul.checkpoints.modules import load_part, with_audio
from soul.checkpoints.modules import read as read_for
from soul.checkpoints.names import text_from_official, vae_from_official
from soul.checkpoints.sources import CheckpointError, held
from soul.model.dit import DiT
from soul.model.load import WeightsError, load, read_config

EXACT = Options(kind=torch.float32, families=(made.TINY,))


def read(folder: Path, part: str) -> dict[str, torch.Tensor]:
    return {name: entry.read() for name, entry in open_part(folder, part).items()}


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name


def refused(source: Path, out: Path, options: Options = EXACT) -> str:
    """The message with which `source` is refused; nothing may be left of `out`."""
    before = sorted(p.name for p in out.parent.iterdir())
    with pytest.raises(CheckpointError) as caught:
        convert(source, out, options)
    assert sorted(p.name for p in out.parent.iterdir()) == before
    return str(caught.value)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.official(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def converted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "soul"
    convert(source, out, EXACT)
    return out


def test_the_official_layout_is_read_whole(converted: Path) -> None:
    same(read(converted, "dit"), made.dit_tensors())
    same(read(converted, "vae"), {vae_from_official(k): v for k, v in made.vae_tensors().items()})
    same(
        read(converted, "text"), {text_from_official(k): v for k, v in made.text_tensors().items()}
    )
    assert (converted / "tokenizer" / "spiece.model").read_bytes() == b"pieces"


def test_the_folder_tells_what_it_holds(converted: Path) -> None:
    config = read_config(converted)
    assert (config.name, config.dit) == ("soul", made.TINY.dit)
    manifest = read_manifest(converted / MANIFEST)
    verify(converted, manifest)
    assert (manifest.name, manifest.family, manifest.audio) == ("soul", "tiny", "none")
    assert set(manifest.parts) == {"dit", "vae", "text", "tokenizer"}
    on_disk = {p.relative_to(converted).as_posix() for p in converted.rglob("*") if p.is_file()}
    assert {file.path for file in manifest.files} == on_disk - {MANIFEST}


def test_the_config_tells_how_its_origin_is_sampled(
    source: Path, converted: Path, tmp_path: Path
) -> None:
    plain = read_config(converted)
    assert (plain.window, plain.chunk, plain.steps, plain.solver) == (6, 1, 50, "unipc")
    assert (plain.guidance, plain.audio_guidance, plain.fps) == (5.0, 1.0, 24)
    assert (plain.audio.ear, plain.tells_given) == ("whisper", True)
    convert(source, tmp_path / "student", replace(EXACT, origin="longlive-2.0-5b"))
    student = read_config(tmp_path / "student")
    assert (student.clips, student.chunk, student.steps) == (False, 3, 4)
    assert (student.solver, student.guidance) == ("euler", 1.0)


def test_the_diffusers_layout_gives_the_same_files(converted: Path, tmp_path: Path) -> None:
    out = tmp_path / "soul"
    convert(made.diffusers(tmp_path / "diffusers"), out, EXACT)
    for part in ("dit", "vae", "text"):
        same(read(out, part), read(converted, part))


def test_a_converted_folder_is_converted_again(converted: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    convert(converted, out, EXACT)
    same(read(out, "dit"), read(converted, "dit"))


def test_matrices_become_bf16_and_fine_tensors_stay(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "half"
    convert(source, out, replace(EXACT, kind=torch.bfloat16))
    found = read(out, "dit")
    for name, value in made.dit_tensors().items():
        fine = value.ndim == 1 or "modulation" in name or name.startswith("time_")
        kind = torch.float32 if fine else torch.bfloat16
        assert torch.equal(found[name], value.to(kind)), name
    assert all(value.dtype == torch.float32 for value in read(out, "vae").values())


def test_shards_hold_no_more_than_they_may(source: Path, converted: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    manifest = convert(
        source, out, Options(kind=torch.float32, families=(made.TINY,), shard_bytes=60_000)
    )
    names = manifest.parts["dit"]
    assert names[0] == f"dit-00001-of-{len(names):05d}.safetensors"
    assert len(names) > 3
    for name in names:
        weights = load_file(out / name)  # the library reads what was written without it
        assert len(weights) == 1 or sum(v.nbytes for v in weights.values()) <= 60_000
    same(read(out, "dit"), read(converted, "dit"))


def test_a_students_file_takes_the_rest_from_its_base(source: Path, tmp_path: Path) -> None:
    """A file as LongLive 2 writes it (scripts/merge_lora_generator.py at its state of 2026-08-07):
    Wan's own names behind `model.`, for its causal blocks add none, and notes beside them."""
    tensors = made.dit_tensors(seed=9)
    wrapped = {
        "generator": {f"model.{k}": v for k, v in tensors.items()},
        "checkpoint_format": "longlive_generator_merged_lora",
        "source_generator_ckpt": "ar.pt",
        "model_name": None,
        "dtype": "bfloat16",
        "merged_lora": True,
    }
    (tmp_path / "student").mkdir()
    torch.save(wrapped, tmp_path / "student" / "model_bf16.pt")
    options = replace(EXACT, base=source)
    convert(tmp_path / "student", tmp_path / "out", options)
    same(read(tmp_path / "out", "dit"), tensors)
    assert read(tmp_path / "out", "vae")
    assert "has no vae; expected Wan2.2_VAE.pth" in refused(tmp_path / "student", tmp_path / "o")


def test_a_single_file_takes_the_rest_from_beside_it(tmp_path: Path) -> None:
    folder = made.official(tmp_path / "source")
    convert(folder / "diffusion_pytorch_model.safetensors.index.json", tmp_path / "out", EXACT)
    same(read(tmp_path / "out", "dit"), made.dit_tensors())


def test_what_a_converted_folder_has_besides_stays(converted: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    shutil.copytree(converted, before)
    files = write_part(before, "audio_front", {"proj.bias": held(torch.ones(3))})
    manifest = read_manifest(before / MANIFEST)
    more = replace(
        manifest,
        files=manifest.files + files,
        parts=manifest.parts | {"audio_front": ("audio_front.safetensors",)},
        left_out=("frame_packer.*: past frames",),
    )
    write_manifest(more, before / MANIFEST)
    again = convert(before, tmp_path / "after", EXACT)
    same(read(tmp_path / "after", "audio_front"), {"proj.bias": torch.ones(3)})
    assert again.left_out == more.left_out
    (before / "config.json").write_text("{")
    assert "is not a Soul config" in refused(before, tmp_path / "none")


def test_key_steering_is_left_out_and_told(source: Path, tmp_path: Path) -> None:
    extra = {f"act_control_adapter.conv.{kind}": torch.zeros(3) for kind in ("weight", "bias")}
    save_file({**made.dit_tensors(), **extra}, tmp_path / "world.safetensors")
    options = replace(EXACT, base=source)
    manifest = convert(tmp_path / "world.safetensors", tmp_path / "out", options)
    same(read(tmp_path / "out", "dit"), made.dit_tensors())
    (line,) = manifest.left_out
    assert "act_control_adapter.conv.weight" in line
    assert "keys were pressed" in line


def test_a_lora_is_merged_with_its_alpha(source: Path, tmp_path: Path) -> None:
    layer = "blocks.1.self_attn.q"
    down, up = torch.randn(2, 48), torch.randn(48, 2)
    file = tmp_path / "style.safetensors"
    pair = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(1.0)}
    save_file({f"diffusion_model.{layer}.{k}": v for k, v in pair.items()}, file)
    convert(source, tmp_path / "out", replace(EXACT, loras=((file, 0.5),)))
    expected = made.dit_tensors()
    expected[f"{layer}.weight"] = expected[f"{layer}.weight"] + 0.5 * (up @ down * (1.0 / 2))
    found = read(tmp_path / "out", "dit")
    torch.testing.assert_close(found[f"{layer}.weight"], expected[f"{layer}.weight"])
    same(
        {**found, f"{layer}.weight": torch.ones(1)}, {**expected, f"{layer}.weight": torch.ones(1)}
    )
    said = refused(file, tmp_path / "o")
    assert "changes a model and is none itself; expected --base" in said


def test_what_was_converted_loads_into_the_transformer(converted: Path) -> None:
    with torch.device("meta"):
        dit = DiT(made.TINY.dit)
    hearing = with_audio(open_part(converted, "dit"), made.TINY.dit)
    loaded = read_for(dit, hearing, "dit", "cpu", torch.float32)
    dit.load_state_dict(loaded, assign=True)
    for name, value in made.dit_tensors().items():
        assert torch.equal(loaded[name], value)
    with pytest.raises(CheckpointError, match=r"missing blocks.\*.audio_attn.q.weight ×4"):
        load_part(dit, converted, "dit", "cpu", torch.float32)


def test_licences_are_agreed_to_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(origin: Origin) -> None:
        asked.append(origin.licence)
        raise CheckpointError("not agreed")

    with pytest.raises(CheckpointError, match="not agreed"):
        convert(
            source,
            tmp_path / "out",
            Options(origin="livetalk-1.3b", families=(made.TINY,)),
            agree=refuse,
        )
    assert asked[0].startswith("CC BY-NC-SA 4.0")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_serve_yet_says_so(converted: Path) -> None:
    with pytest.raises(WeightsError, match="is a converted checkpoint, which soul animate"):
        load(str(converted))


# What is wrong with a source, one message each.


def test_wrong_tensors_are_listed_in_groups(source: Path, tmp_path: Path) -> None:
    tensors = made.dit_tensors()
    for block in range(4):
        del tensors[f"blocks.{block}.ffn.2.bias"]
        tensors[f"blocks.{block}.cross_attn.k.weight"] = torch.zeros(48, 40)
    tensors["extra.bias"] = torch.zeros(2)
    save_file(tensors, tmp_path / "odd.safetensors")
    options = replace(EXACT, base=source)
    said = refused(tmp_path / "odd.safetensors", tmp_path / "out", options)
    assert said.splitlines() == [
        f"{tmp_path / 'odd.safetensors'} does not fit: "
        "4 missing, 1 unexpected, 4 misshaped tensors",
        "  missing blocks.*.ffn.2.bias ×4, expected [48]",
        "  unexpected extra.bias [2]",
        "  misshaped blocks.*.cross_attn.k.weight ×4 [48, 40], expected [48, 48]",
    ]


def test_another_family_is_named(source: Path, tmp_path: Path) -> None:
    larger = {
        "patch_embedding.weight": torch.zeros(80, 4, 1, 2, 2),
        "blocks.5.ffn.0.weight": torch.zeros(1),
    }
    save_file({"blocks.0.ffn.0.weight": torch.zeros(1), **larger}, tmp_path / "large.safetensors")
    options = replace(EXACT, base=source)
    said = refused(tmp_path / "large.safetensors", tmp_path / "out", options)
    assert "another family: 80 wide, 6 blocks; expected one of tiny (48 wide, 4 blocks)" in said
    unet = {f"model.diffusion_model.input_blocks.{i}.0.weight": torch.zeros(1) for i in range(3)}
    save_file(unet, tmp_path / "sdxl.safetensors")
    said = refused(tmp_path / "sdxl.safetensors", tmp_path / "out", options)
    assert "is of another family: it holds neither a Wan transformer nor anything that" in said
    assert "3 tensors such as input_blocks.0.0.weight" in said
    said = refused(source / "Wan2.2_VAE.pth", tmp_path / "out", options)
    assert "is of another family" in said
    said = refused(tmp_path / "sdxl.safetensors", tmp_path / "out", EXACT)
    assert "holds no Wan transformer" in said
    assert "3 tensors such as input_blocks.0.0.weight" in said


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    folder = made.official(tmp_path / "source")
    shard = folder / "diffusion_pytorch_model-00002-of-00003.safetensors"
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[:-100])
    assert f"{shard} is truncated: it has {size - 100} bytes of {size}" in refused(
        folder, tmp_path / "out"
    )
    shard.unlink()
    assert f"{shard} is missing" in refused(folder, tmp_path / "out")


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    folder = made.official(tmp_path / "source")
    (folder / "google" / "umt5-xxl" / "spiece.model").unlink()
    assert "has no tokenizer; expected google/umt5-xxl/" in refused(folder, tmp_path / "out")


def test_a_pickle_with_code_is_not_opened(tmp_path: Path) -> None:
    folder = made.official(tmp_path / "source")
    torch.save({"weights": Path("/")}, folder / "Wan2.2_VAE.pth")
    said = refused(folder, tmp_path / "out")
    assert "is a pickle that holds more than tensors" in said
    assert "\n" not in said


def test_too_little_memory_is_told_beforehand(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Little:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    said = refused(source, tmp_path / "out")
    assert "of memory for" in said
    assert "0.0 GB are free" in said


def test_too_small_a_disk_is_told_beforehand(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Little:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda place: Little)
    assert f"on the disk of {tmp_path}" in refused(source, tmp_path / "out")


def test_a_disk_that_fills_leaves_nothing_and_the_run_is_repeated(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = layout.write_shard

    def fills(path: Path, *rest: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(layout, "write_shard", fills)
    assert f"the disk of {tmp_path} is full; nothing was kept" in refused(source, tmp_path / "out")
    monkeypatch.setattr(layout, "write_shard", real)
    assert isinstance(convert(source, tmp_path / "out", EXACT), Manifest)


def test_what_is_there_is_not_written_over(source: Path, converted: Path) -> None:
    before = (converted / MANIFEST).read_bytes()
    assert f"{converted} exists already" in refused(source, converted)
    assert (converted / MANIFEST).read_bytes() == before


def test_a_damaged_folder_is_seen(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = convert(source, out, EXACT)
    file = out / "vae.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"vae.safetensors is damaged: its SHA-256 is"):
        verify(out, manifest)
    assert "vae.safetensors is damaged" in refused(out, tmp_path / "again")
    (tmp_path / "student.safetensors").write_bytes((out / "dit.safetensors").read_bytes())
    options = replace(EXACT, base=out)
    said = refused(tmp_path / "student.safetensors", tmp_path / "again", options)
    assert "vae.safetensors is damaged" in said
    file.write_bytes(data[:-8])
    with pytest.raises(CheckpointError, match=r"vae.safetensors has \d+ bytes, expected \d+"):
        open_part(out, "vae")
    values = json.loads((out / MANIFEST).read_text())
    (out / MANIFEST).write_text(json.dumps({**values, "format": 99}))
    with pytest.raises(CheckpointError, match="its format is 99, expected 1"):
        open_part(out, "dit")
