"""A large model behind the one rollout: Wan's conditioning and solver, guidance, conditions."""

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

import made_actor as made
from soul.model import sample
from soul.model.config import ConfigError
from soul.model.sample import Past
from soul.model.wan.actor import Scribe, WanSoul
from soul.model.wan.solvers import Method, Solver, solve
from soul.model.wan.text import PromptEncoder, TextError

PORTRAIT = torch.rand(3, 64, 96, generator=torch.Generator().manual_seed(5)) * 2 - 1


def sound(model: WanSoul, seed: int = 3) -> Tensor:
    """What one chunk hears, [1, window_samples]."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(1, model.config.window_samples, generator=draw) * 0.1


def past_of(model: WanSoul, seed: int = 6) -> Past:
    """A first clip's past: the pivotal latent and some sound."""
    draw = torch.Generator().manual_seed(seed)
    clean = torch.randn(1, 48, 1, 4, 6, generator=draw)
    return Past(clean, torch.randn(1, 3, 8, model.config.dit.audio_dim, generator=draw), None)


class Encoder:
    """Counts what it is asked; a prompt's vectors are its length."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.freed = False

    def encode(self, prompts: list[str]) -> Tensor:
        self.asked += prompts
        return torch.stack([torch.full((2, 3), float(len(p))) for p in prompts])

    def free(self) -> None:
        self.freed = True


@torch.no_grad()
@pytest.mark.parametrize("method", list(Method))
def test_a_clip_is_wans_own_picture_to_video(method: Method) -> None:
    """The portrait's latent clean before the first step and after every one, and at timestep 0."""
    model = made.actor(replace(made.CLIPS, solver=method, steps=4))
    state = sample.open_stream(model, PORTRAIT, "calm", seed=7)
    twin = sample.open_stream(model, PORTRAIT, "calm", seed=7)
    audio = sample.listen(model, [state], sound(model))
    latents = sample.denoise(model, [state], audio, 4)
    assert torch.equal(state.pivotal, model.vae.encode(PORTRAIT[None, None]).squeeze(1))
    words = model.words(["calm"])

    def flow(latents: Tensor, told: Tensor) -> Tensor:
        return model.dit(latents, told, words, audio, None).flow  # type: ignore[no-any-return]

    known = state.pivotal.unsqueeze(2)
    noise = torch.cat((torch.zeros_like(known), sample.draw_noise(model, twin)), 2)
    wanted = solve(flow, noise, Solver(method, 4, model.config.shift), known)
    torch.testing.assert_close(latents, wanted[:, :, 1:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("config", [made.CLIPS, made.STREAM], ids=["clip", "stream"])
def test_chunk_after_chunk_it_paints_and_moves(config: Any) -> None:
    model = made.actor(config)
    state = sample.open_stream(model, PORTRAIT, "calm", seed=1)
    steps: list[None] = []
    model.after_step = lambda: steps.append(None)
    shown = [sample.advance(model, [state], sound(model, n)) for n in range(2)]
    assert {p.shape for p in shown} == {(1, config.chunk_frames, 64, 96, 3)}
    assert {p.dtype for p in shown} == {torch.uint8}
    assert not torch.equal(*shown)
    assert (state.chunk, len(steps)) == (2, 2 * config.steps)


@torch.no_grad()
def test_streams_of_a_batch_are_each_as_alone() -> None:
    model = made.actor(made.STREAM)

    def opened() -> list[sample.StreamState]:
        return [sample.open_stream(model, PORTRAIT * (1 - n), "glad", n) for n in range(2)]

    heard = torch.cat([sound(model, n) for n in range(2)])
    together = sample.advance(model, opened(), heard)
    alone = [sample.advance(model, [s], h[None]) for s, h in zip(opened(), heard, strict=True)]
    assert (together.int() - torch.cat(alone).int()).abs().max() <= 1  # a rounding of float32


@torch.no_grad()
def test_guidance_leads_away_from_the_negative_prompt_and_from_silence() -> None:
    model = made.actor()
    past, words, negative = past_of(model), model.words(["glad"]), model.words([""])
    latents = torch.cat((past.clean, torch.randn(1, 48, 3, 4, 6)), 2)
    times = torch.tensor([[0.0, 500.0, 500.0, 500.0]])

    def flow(words: Tensor, audio: Tensor | None) -> Tensor:
        return model.dit(latents, times, words, audio, None).flow  # type: ignore[no-any-return]

    told, wordless, alone, least = (
        flow(words, past.audio),
        flow(negative, past.audio),
        flow(words, None),
        flow(negative, None),
    )
    for text, audio, wanted in (
        (1.0, 1.0, told),
        (5.0, 1.0, wordless + 5 * (told - wordless)),  # Wan's own
        (1.0, 3.0, alone + 3 * (told - alone)),
        (4.5, 4.5, least + 4.5 * (told - least)),
        (5.0, 3.0, least + 5 * (alone - least) + 3 * (told - alone)),
    ):
        model.config = replace(model.config, guidance=text, audio_guidance=audio)
        answer = model.answer(latents, times, words, past)
        torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_where_wan_2_1_is_told_one_timestep_given_latents_carry_it_too() -> None:
    model = made.actor(replace(made.CLIPS, tells_given=False))
    past, words = past_of(model), model.words(["glad"])
    latents = torch.cat((past.clean, torch.randn(1, 48, 3, 4, 6)), 2)
    answer = model.answer(latents, torch.tensor([[0.0, 500.0, 500.0, 500.0]]), words, past)
    wanted = model.dit(latents, torch.tensor([500.0]), words, past.audio, None).flow
    torch.testing.assert_close(answer, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_conditions_are_the_reference_and_a_mask() -> None:
    model = made.actor(condition_channels=49, condition_edge=1)
    first = past_of(model).clean
    past = Past(torch.cat((first, first + 1), 2), past_of(model).audio, None)  # and an overlap
    latents = torch.cat((past.clean, torch.randn(1, 48, 2, 4, 6)), 2)
    given = model.conditioned(latents, past)
    assert torch.equal(given[:, :48], latents)
    assert torch.equal(given[:, 48:96], first.expand(-1, -1, 4, -1, -1))
    mask = given[0, 96]
    assert not mask[:2].any()
    assert torch.equal(mask[2], mask[3])
    assert mask[2].sum() == mask[2, 1:-1, 1:-1].sum() == 2 * 4
    model.answer(latents, torch.zeros(1, 4), model.words(["calm"]), past)
    with pytest.raises(ConfigError, match="49 channels of conditions"):
        made.actor(made.STREAM, condition_channels=49)


@torch.no_grad()
def test_packed_sound_and_its_silence_are_zeros_for_the_portrait() -> None:
    packed: dict[str, Any] = {
        "audio_form": "packed",
        "audio_blocks": (1,),
        "audio_dim": 2 * made.WIDTH,
    }
    audio = replace(made.CLIPS.audio, out_dim=2 * made.WIDTH)
    base = replace(made.CLIPS, audio=audio, dit=replace(made.CLIPS.dit, **packed))
    model = made.actor(base)
    rows = model.hear(sound(model)[:, : model.config.latent_samples]).unsqueeze(1)
    past = Past(past_of(model).clean, rows.expand(-1, 3, -1, -1), None)
    heard = model.heard(past)
    assert heard.shape == (1, 4, 4, 2 * made.WIDTH)
    assert not heard[:, 0].any()
    assert torch.equal(heard[:, 1:], past.audio)
    assert torch.equal(cast(Tensor, model.silence(heard)), torch.zeros_like(heard))
    latents = torch.cat((past.clean, torch.randn(1, 48, 3, 4, 6)), 2)
    words = model.words(["calm"])
    wanted = model.dit(latents, torch.zeros(1, 4), words, heard, None).flow
    assert torch.equal(model.answer(latents, torch.zeros(1, 4), words, past), wanted)


def test_a_scribe_asks_once_and_remembers_when_the_encoder_is_gone() -> None:
    encoder = Encoder()
    scribe = Scribe(cast(PromptEncoder, encoder), ["calm", "glad", "calm"])
    assert encoder.asked == ["calm", "glad"]
    scribe("sad one")
    scribe.free()
    assert encoder.freed
    assert float(scribe("sad one")[0, 0]) == 7
    with pytest.raises(TextError, match="freed and cannot encode 'new'"):
        scribe("new")
