"""A converted folder becomes a model that runs; what it lacks is one sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import made_running as made
from soul.checkpoints import running
from soul.checkpoints.layout import open_part, write_part
from soul.checkpoints.manifest import MANIFEST, read_manifest, write_manifest
from soul.checkpoints.modules import read
from soul.checkpoints.running import Run, configured, fill, for_calls, lay_out, write_down
from soul.checkpoints.sources import CheckpointError, held
from soul.model import sample
from soul.model.codebook import Codebook
from soul.model.config import SOUL_5B
from soul.model.load import read_config
from soul.model.wan import text as umt5
from soul.model.wan.actor import WanSoul
from soul.model.wan.codec import EvaeCodec, FullCodec, TaeCodec
from soul.model.wan.ears import Wav2VecEar
from soul.model.wan.evae import Evae, EvaeConfig
from soul.model.wan.fp8 import STORED
from soul.model.wan.tae import Tae
from soul.model.wan.text import PromptEncoder, TextError, Tokenizer
from soul.model.wan.tiles import TiledVae

EXACT = Run(dtype="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.converted(tmp_path_factory.mktemp("five"))


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(folder, tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture(scope="module")
def taught(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with layers that hear."""
    return made.taught(folder, tmp_path_factory.mktemp("taught") / "soul")


def loaded(folder: Path, run: Run = EXACT) -> WanSoul:
    said: list[str] = []
    scribe = write_down(folder, run, ["calm"], keep=False)
    model = fill(lay_out(folder, run), scribe, "cpu", said.append)
    assert said[0] == "transformer"
    return model


def gain(folder: Path, part: str, module: torch.nn.Module) -> None:
    """The folder has one more part."""
    tensors = {name: held(value) for name, value in module.state_dict().items()}
    files, manifest = write_part(folder, part, tensors), read_manifest(folder / MANIFEST)
    parts = {**manifest.parts, part: tuple(file.path for file in files)}
    write_manifest(replace(manifest, files=manifest.files + files, parts=parts), folder / MANIFEST)


def test_the_weights_are_the_folders(folder: Path) -> None:
    model = loaded(folder)
    for part, module in (("dit", model.dit), ("vae", model.inner_vae)):
        found = module.state_dict()
        for name, entry in open_part(folder, part).items():
            assert torch.equal(found[name], entry.read()), name
    assert {t.device.type for t in (*model.parameters(), *model.buffers())} == {"cpu"}
    assert model.inner_vae.mean.dtype == torch.float32
    assert not any(p.requires_grad for p in model.parameters())
    noise = torch.randn(1, 48, 1, 2, 2)
    assert torch.equal(model.codebook(noise)[0], noise), "no codebook pulls nothing back"


@torch.no_grad()
@pytest.mark.parametrize("run", [EXACT, for_calls(EXACT)], ids=["clip", "stream"])
def test_weights_that_never_learned_to_hear_run_without_sound(
    folder: Path, taught: Path, run: Run
) -> None:
    """The answer of the same weights with no sound at all, whatever is played to them."""
    deaf, hearing = loaded(folder, run), loaded(taught, run)
    config, portrait = deaf.config, torch.rand(3, 64, 96)
    state = sample.open_stream(deaf, portrait, "calm", seed=1)
    voice = torch.randn(1, config.window_samples) * 0.1
    past = sample.recall(deaf, [state], sample.listen(deaf, [state], voice))
    latents = torch.cat((past.clean, torch.randn(1, 48, config.chunk, *config.cells)), 2)
    times, words = torch.full((1, latents.shape[2]), 500.0), deaf.words(["calm"])
    wordless = deaf.words([""])
    told, least = (
        hearing.dit(latents, times, said, None, past.context).flow for said in (words, wordless)
    )
    found = deaf.answer(latents, times, words, past)
    torch.testing.assert_close(found, least + config.guidance * (told - least))
    assert (hearing.answer(latents, times, words, past) - found).abs().max() > 1e-3


@torch.no_grad()
def test_a_stream_of_weights_that_never_learned_to_hear_is_moved_by_no_sound(
    folder: Path, taught: Path
) -> None:
    """Nor by what it keeps of the chunks before."""
    silent, differ = torch.zeros, []
    for place in (folder, taught):
        model = loaded(place, for_calls(EXACT))
        shown = []
        for voice in (torch.randn, silent):
            state = sample.open_stream(model, torch.zeros(3, 64, 96), "calm", seed=1)
            for _ in range(3):
                pcm = voice(1, model.config.window_samples)
                shown.append(sample.advance(model, [state], pcm))
        differ.append(not torch.equal(torch.stack(shown[:3]), torch.stack(shown[3:])))
    assert differ == [False, True]


def test_prompts_are_umt5s_and_the_encoder_goes(folder: Path) -> None:
    scribe = write_down(folder, replace(EXACT, negative="sad"), ["a happy woman"], keep=False)
    net = umt5.network(made.FAMILY.text)
    weights = {name: entry.read() for name, entry in open_part(folder, "text").items()}
    net.load_state_dict({**weights, "encoder.embed_tokens.weight": weights["shared.weight"]})
    tokenizer = Tokenizer(folder / "tokenizer", made.FAMILY.text)
    wanted = PromptEncoder(tokenizer, net.float()).encode(["a happy woman"])[0]
    torch.testing.assert_close(scribe("a happy woman"), wanted)
    assert scribe("sad").shape == (512, 16)
    with pytest.raises(TextError, match="freed"):
        scribe("new")
    assert write_down(folder, EXACT, [], keep=True)("new").shape == (512, 16)


def test_bf16_and_eight_bits(taught: Path) -> None:
    exact, half, eight = (loaded(taught, Run(dtype=kind)) for kind in ("fp32", "bf16", "fp8"))
    assert half.dit.dtype == eight.dit.dtype == torch.bfloat16
    kinds = {name: value.dtype for name, value in eight.dit.state_dict().items()}
    assert kinds["blocks.1.audio_attn.q.weight"] == kinds["blocks.0.ffn.0.weight"] == STORED
    assert kinds["patch_embedding.weight"] == kinds["blocks.0.ffn.0.bias"] == torch.bfloat16
    latent, times = torch.randn(1, 48, 2, 4, 6), torch.full((1, 2), 500.0)
    words, audio = torch.randn(1, 512, 16), torch.randn(1, 2, 8, 32)
    truth, *found = (m.dit(latent, times, words, audio, None).flow for m in (exact, half, eight))
    for flow, most in zip(found, (0.02, 0.1), strict=True):
        assert float((flow - truth).norm() / truth.norm()) < most


def test_a_public_avatar_is_laid_out_with_its_own_listener(tmp_path: Path) -> None:
    folder = made.avatar(tmp_path)
    config = read_config(folder)
    assert (config.fps, config.tells_given, config.audio.ear) == (25, False, "wav2vec2")
    assert (config.guidance, config.audio_guidance, config.clips) == (5.0, 5.0, True)
    assert config.dit.condition_channels == 17
    model = loaded(folder)
    assert isinstance(model.ear, Wav2VecEar)
    assert (model.inner_vae.config.channels, model.inner_vae.config.spatial) == (16, 8)
    with pytest.raises(CheckpointError, match="taew2_2 decodes latents of 48 channels"):
        lay_out(folder, replace(EXACT, decoder="taew2_2"))
    shutil.rmtree(folder / "wav2vec2")
    with pytest.raises(CheckpointError, match="soul fetch wav2vec2-base-960h"):
        lay_out(folder, EXACT)


def test_light_decoders_take_the_full_ones_place(own: Path) -> None:
    full = loaded(own, replace(EXACT, tile=True))
    assert isinstance(full.codec, FullCodec)
    assert isinstance(full.vae, TiledVae)
    assert running.lightest(own) == "full"
    with pytest.raises(CheckpointError, match="has no eVAE"):
        lay_out(own, replace(EXACT, decoder="evae"))
    with pytest.raises(CheckpointError, match="soul fetch taew2_2"):
        lay_out(own, replace(EXACT, decoder="taew2_2"))
    tae = Tae()
    save_file(tae.state_dict(), own / "taew2_2.safetensors")
    assert running.lightest(own) == "taew2_2"
    codec = loaded(own, replace(EXACT, decoder="taew2_2")).codec
    assert isinstance(codec, TaeCodec)
    name = "decoder.1.weight"
    assert torch.equal(codec.tae.state_dict()[name], tae.state_dict()[name])
    evae = Evae(EvaeConfig(width=8))
    gain(own, "evae", evae)
    assert running.lightest(own) == "evae"
    model = loaded(own, replace(EXACT, decoder="evae"))
    assert isinstance(model.codec, EvaeCodec)
    assert torch.equal(model.codec.evae.head.conv.weight, evae.head.conv.weight)
    assert not list(model.inner_vae.decoder.parameters()), "the full decoder is not read"
    assert model.still(torch.zeros(1, 3, 64, 96)).shape == (1, 48, 4, 6)


def test_a_folders_codebook_pulls_back(own: Path) -> None:
    codebook = Codebook(7, 48)
    codebook.threshold.fill_(2.0)
    gain(own, "codebook", codebook)
    assert torch.equal(loaded(own).codebook.threshold, torch.tensor(2.0))
    assert loaded(own).codebook.centroids.shape == (7, 48)


def test_a_run_changes_the_folders_config(folder: Path) -> None:
    config = configured(folder, read_manifest(folder / MANIFEST), EXACT)
    assert (config.clips, config.fps, config.steps, config.solver) == (True, 24, 2, "unipc")
    told = replace(EXACT, size=(96, 64), steps=4, solver="euler", guidance=1.0, audio_guidance=3.0)
    changed = configured(folder, read_manifest(folder / MANIFEST), told)
    assert (changed.height, changed.width, changed.steps) == (96, 64, 4)
    assert (changed.solver, changed.guidance, changed.audio_guidance) == ("euler", 1.0, 3.0)
    live = configured(folder, read_manifest(folder / MANIFEST), for_calls(EXACT))
    assert (live.clips, live.fps, live.chunk) == (False, 25, 1)
    assert live.window == SOUL_5B.window
    again = configured(folder, read_manifest(folder / MANIFEST), replace(EXACT, clips=True))
    assert (again.chunk, again.overlap) == (3, 1), "the folder's own clips"


def test_a_guided_model_makes_clips_and_one_of_few_steps_its_own_way(own: Path) -> None:
    manifest = read_manifest(own / MANIFEST)
    made.retold(own, **made.STREAM)
    guided = configured(own, manifest, EXACT)
    assert (guided.clips, guided.chunk, guided.overlap) == (True, 25, 2)
    assert not configured(own, manifest, replace(EXACT, clips=False)).clips
    made.retold(own, guidance=1.0)
    assert configured(own, manifest, EXACT).chunk == 1


def test_what_was_tuned_on_streams_is_one_although_it_is_guided(own: Path, tmp_path: Path) -> None:
    made.retold(own, **made.STREAM)
    teacher = made.taught(own, tmp_path / "teacher")
    manifest = read_manifest(teacher / MANIFEST)
    stream = configured(teacher, manifest, EXACT)
    assert (stream.clips, stream.chunk, stream.window, stream.guidance) == (False, 1, 2, 2.0)
    clips = configured(teacher, manifest, replace(EXACT, clips=True))
    assert (clips.clips, clips.chunk) == (True, 25), "told so, it makes clips"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dtype": "int4"}, "dtype 'int4' is not known; expected one of bf16, fp32, fp8"),
        ({"decoder": "x"}, "decoder 'x' is not known; expected one of full, evae, taew2_2"),
        ({"solver": "ddim"}, "solver 'ddim' is not known; expected one of unipc, dpm++, euler"),
        ({"size": (100, 64)}, "image_size 100 is not a multiple of 32"),
        ({"fps": 7}, "fps 7 does not divide"),
        ({"ear": Path("nowhere")}, "no whisper at nowhere"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(
    folder: Path, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(running.TROUBLE, match=r"^[^\n]*$") as caught:
        lay_out(folder, replace(EXACT, **changes))  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_folders_of_other_kinds_are_refused(own: Path) -> None:
    def refused(told: str, **changes: object) -> None:
        path = own / "config.json"
        before = path.read_text()
        path.write_text(json.dumps({**json.loads(before), **changes}))
        with pytest.raises(running.TROUBLE) as caught:
            lay_out(own, EXACT)
        assert told in str(caught.value)
        path.write_text(before)

    values = json.loads((own / "config.json").read_text())
    refused("takes 7 channels", dit={**values["dit"], "condition_channels": 7})
    wide = {"dit": {**values["dit"], "audio_dim": 64}, "audio": {**values["audio"], "out_dim": 64}}
    refused("hears features of 64 numbers", **wide)
    refused("hears 8 mel bands", audio={**values["audio"], "mels": 80})
    refused("has 64 positions", audio={**values["audio"], "positions": 65})
    shutil.rmtree(own / "whisper")
    refused("soul fetch whisper-large-v3")


def test_what_is_not_whole_is_told_by_name(own: Path) -> None:
    manifest = read_manifest(own / MANIFEST)
    path = own / manifest.parts["dit"][0]
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="truncated"):
        loaded(own)
    shutil.rmtree(own / "tokenizer")
    with pytest.raises(TextError, match="no tokenizer"):
        write_down(own, EXACT, [], keep=False)
    plan = lay_out(own, EXACT)
    less = {k: v for k, v in open_part(own, "vae").items() if not k.startswith("encoder.conv_out")}
    with pytest.raises(CheckpointError, match=r"missing encoder\.conv_out"):
        read(plan.model.inner_vae, less, "vae", "cpu", torch.float32)
