"""How a decoder is trained: what an example holds, what learns, and that a stage resumes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from soul.model.config import SOUL_TEST
from soul.model.vae import SUBPIXELS, Painted, places, warp
from soul.training import autoencoder as stage
from soul.training.autoencoder import (
    GAZE_GAIN,
    Example,
    PaintConfig,
    channel_cells,
    corner,
    draw_example,
    draw_start,
    new_autoencoder,
    new_light,
    show,
    train_painter,
    with_brows,
)
from soul.training.dataset import Bank, BankConfig, shapes
from soul.training.motion import CHANNELS, COLUMN
from soul.training.progress import Length

TINY = PaintConfig(length=Length(6), batch=2, crop=32, save_every=2)


class Killed(Exception):
    """The machine went down."""


def random_bank(clips: int = 3, frames: int = 12, size: int = 64) -> Bank:
    """Noise in the form of a bank; the mouth stands at a place of its own in each clip."""
    config = BankConfig(clips=clips, frames=frames, size=size)
    rng, wanted = np.random.default_rng(0), shapes(config)
    boxes = np.zeros(wanted["boxes"], np.float32)
    boxes[..., :2], boxes[..., 2:] = size / 4, size / 2
    return Bank(
        config,
        portraits=rng.integers(0, 256, wanted["portraits"], np.uint8),
        frames=rng.integers(0, 256, wanted["frames"], np.uint8),
        flow=rng.normal(0, 2, wanted["flow"]).astype(np.float16),
        motion=rng.random(wanted["motion"], np.float32),
        boxes=boxes,
        pcm=np.zeros(wanted["pcm"], np.float16),
        silent=np.zeros(wanted["silent"], np.bool_),
        listening=np.zeros(wanted["listening"], np.bool_),
        prompts=("a person",) * clips,
    )


@pytest.fixture(scope="module")
def bank() -> Bank:
    return random_bank()


@pytest.mark.parametrize("centre", [(0, 0), (100, 130), (255, 255), (-50, 400)])
def test_a_crop_lies_in_the_picture_and_on_the_latent_grid(centre: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = corner(rng, np.tile(np.array(centre, np.float32), 2), 128, 256)
        assert 0 <= x <= 128
        assert 0 <= y <= 128
        assert (x % 16, y % 16) == (0, 0)


@pytest.mark.parametrize(("crop", "side"), [(32, 32), (64, 64), (128, 64)])
def test_an_example_fits_together(bank: Bank, crop: int, side: int) -> None:
    """A crop never exceeds the picture."""
    example = draw_example(bank, np.random.default_rng(0), 2, crop)
    assert example.portraits.shape == (2, 3, side, side)
    assert example.before.shape == example.frames.shape == (2, 4, 3, side, side)
    assert example.flow.shape == (8, 2, side // 8, side // 8)
    assert example.weight.shape == (8, 1, side, side)
    assert example.motion.shape == (2, 4 * len(CHANNELS), 1, 1)
    assert example.cells.shape == (2, 4 * len(CHANNELS), side // 16, side // 16)
    assert example.place.shape[::2] == (2, side // 16)


def test_crops_of_picture_flow_and_boxes_are_one_place() -> None:
    """A bank whose flow and frames both tell where they are."""
    bank = random_bank()
    ys, xs = np.mgrid[0:64, 0:64]
    bank.frames[..., 0], bank.frames[..., 1] = xs, ys
    fy, fx = np.mgrid[0:8, 0:8]
    bank.flow[..., 0], bank.flow[..., 1] = fx * 8, fy * 8
    for seed in range(8):
        example = draw_example(bank, np.random.default_rng(seed), 1, 32)
        x, y = (((example.frames[0, 0, :2, 0, 0] + 1) * 127.5).round()).int().tolist()
        assert example.flow[0, :, 0, 0].tolist() == [x, y]
        cells = places(4, 4)[0][:, y // 16 : y // 16 + 2, x // 16 : x // 16 + 2]
        assert torch.equal(example.place[0], cells)
        heavy = (example.weight[0, 0] > 1).nonzero()
        if len(heavy):  # the boxes, 16 .. 32 of the whole picture; brows reach up to 10.24
            assert heavy.min(0).values.tolist() == [max(0, 10 - y), max(0, 16 - x)]


def test_crops_on_an_eye_look_for_blinks_and_glances() -> None:
    """Of 24 frames one blinks and one looks aside, and seven crops of ten and more show them."""
    bank = random_bank(frames=24)
    bank.motion[:] = 0.5
    bank.motion[:, 10, COLUMN["eye_left"]] = 0.0  # in the second latent after the first: pair 1
    bank.motion[:, 21, COLUMN["gaze_x"]] = 0.9  # pair 4
    rng = np.random.default_rng(0)
    starts = np.array([draw_start(bank, rng, 0, on_eye=True) for _ in range(400)])
    assert set(starts % 4) == {0}
    assert np.mean(starts == 4) > 0.35
    assert np.mean(starts == 16) > 0.35
    anywhere = np.array([draw_start(bank, rng, 0, on_eye=False) for _ in range(400)])
    assert np.mean(np.isin(anywhere, (4, 16))) < 0.5


def test_a_clip_without_blink_or_glance_is_cropped_anywhere() -> None:
    bank = random_bank(frames=24)
    bank.motion[:] = 0.5
    rng = np.random.default_rng(0)
    assert {draw_start(bank, rng, 0, on_eye=True) for _ in range(200)} == {0, 4, 8, 12, 16}


def test_what_another_run_has_learned_goes_on(bank: Bank) -> None:
    """Its weights and the scale of its latents, which no batch moves."""
    first, second = (new_autoencoder(SOUL_TEST.vae, seed) for seed in (0, 1))
    first.latents(drawn(bank).frames, drawn(bank).place)
    second.go_on(first.encoder, first.decoder)
    assert torch.equal(second.decoder.head.weight, first.decoder.head.weight)
    latents = second.latents(torch.ones_like(drawn(bank).frames), drawn(bank).place)
    assert latents.requires_grad
    assert torch.equal(second.encoder.mean, first.encoder.mean)
    assert torch.equal(second.encoder.deviation, first.encoder.deviation)


def test_latents_are_held_to_the_origins_away_from_the_eyes_alone(bank: Bank) -> None:
    first, second = (new_autoencoder(SOUL_TEST.vae, seed) for seed in (0, 1))
    example = drawn(bank)
    cells = torch.zeros_like(example.cells)
    cells[..., 0] = 1  # eyes in the first column of cells
    example = replace(example, cells=cells)
    assert float(first.astray(torch.ones(1), example)) == 0  # nothing to be held to
    second.go_on(first.encoder, first.decoder)
    said = first.encoder(example.frames, example.place)
    assert float(second.astray(said, example).detach()) == 0
    aside = said.clone()
    aside[..., 0] += 3
    assert float(second.astray(aside, example).detach()) == 0
    aside[..., 1] += 3
    share = 1 / aside.shape[-1]
    assert float(second.astray(aside, example).detach()) == pytest.approx(9 * share)
    second.freeze_encoder()
    assert float(second.astray(aside, example).detach()) == 0


def test_eyes_reach_up_to_their_brows_and_cells_count_that_a_box_reaches_well_into() -> None:
    boxes = np.array([[[10, 40, 30, 50], [4, 20, 14, 30], [20, 20, 30, 30]]], np.float32)
    grown = with_brows(boxes, 100)
    assert grown[0, 0].tolist() == boxes[0, 0].tolist()
    assert grown[0, 1:, 1].tolist() == [11, 11]
    cells = channel_cells(torch.from_numpy(np.repeat(boxes[None], 4, 1)), 4)[0]
    mouth, brow = cells[COLUMN["jaw"]], cells[COLUMN["brow_left"]]
    assert mouth.nonzero().tolist() == [[2, 0], [2, 1]]
    assert brow.nonzero().tolist() == [[1, 0], [1, 1]]
    assert torch.equal(cells[COLUMN["gaze_x"]], GAZE_GAIN * brow)
    assert torch.equal(cells[COLUMN["yaw"]], (mouth + brow).clamp_max(1))


def test_the_encoder_looks_at_gaze_alone_first(bank: Bank) -> None:
    painter = new_autoencoder(SOUL_TEST.vae, 0)
    example = drawn(bank)
    example = replace(example, cells=torch.ones_like(example.cells))

    def loss(name: str) -> float:
        motion = example.motion.clone()
        motion[:, COLUMN[name] :: len(CHANNELS)] += 1
        return float(painter.look_first(replace(example, motion=motion))["total"].detach())

    painter.go_on(painter.encoder, painter.decoder)  # its scale no longer moves
    assert loss("jaw") == loss("yaw")
    assert loss("gaze_x") != loss("yaw")


def test_a_step_is_drawn_from_its_number_alone(bank: Bank) -> None:
    first, again = (draw_example(bank, np.random.default_rng([0, 7]), 2, 32) for _ in range(2))
    assert torch.equal(first.frames, again.frames)
    assert torch.equal(first.portraits, again.portraits)


def drawn(bank: Bank) -> Example:
    return draw_example(bank, np.random.default_rng(0), 2, 32)


def test_frames_flow_and_motion_are_of_one_moment() -> None:
    """A bank whose every array tells the number of its frame."""
    bank = random_bank()
    for t in range(12):
        bank.frames[:, t], bank.flow[:, t], bank.motion[:, t] = t, t, t
    for seed in range(6):
        example = draw_example(bank, np.random.default_rng(seed), 1, 32)
        shown = ((example.frames[0, :, 0, 0, 0] + 1) * 127.5).round().tolist()
        earlier = ((example.before[0, :, 0, 0, 0] + 1) * 127.5).round().tolist()
        assert example.flow[:, 0, 0, 0].tolist() == shown
        told = example.motion.view(4, -1)[:, 0] * float(bank.spread[0])
        assert told.tolist() == pytest.approx(shown)
        assert [t + 4 for t in earlier] == shown
        assert shown[0] % 4 == 0  # a latent's four


def perfect(example: Example) -> Painted:
    """The answer that is the truth."""
    truth = example.frames.flatten(0, 1)
    return Painted(truth, truth, torch.ones(len(truth), 1, 32, 32), example.flow, truth)


def test_a_perfect_answer_costs_nothing(bank: Bank) -> None:
    example = drawn(bank)
    found = stage.losses(perfect(example), example)
    assert {name: float(value) for name, value in found.items()} == {
        "total": 0, "picture": 0, "edge": 0, "paint": 0, "flow": 0,
    }  # fmt: skip


def test_every_fault_costs_in_its_own_loss(bank: Bank) -> None:
    example = drawn(bank)
    best, even = perfect(example), replace(example, weight=torch.ones_like(example.weight))
    strayed = stage.losses(replace(best, flow=best.flow + 1), even)
    assert float(strayed["flow"]) == pytest.approx(1, rel=1e-5)
    brighter = stage.losses(replace(best, pictures=best.pictures + 0.5), even)
    assert float(brighter["picture"]) == pytest.approx(0.5, rel=1e-5)
    assert float(brighter["edge"]) == pytest.approx(0, abs=1e-6)
    assert float(stage.losses(replace(best, paint=best.paint - 2), even)["paint"]) == pytest.approx(
        2
    )


def test_the_decoders_pictures_come_in_the_order_of_the_truth(bank: Bank) -> None:
    """Streams first, then their four frames: exchanging streams exchanges pictures by fours."""
    painter, example = new_autoencoder(SOUL_TEST.vae, 0), drawn(bank)
    with torch.no_grad():
        for layer in (painter.decoder.flow, painter.decoder.head):
            for parameter in layer.parameters():
                parameter.zero_()
        mask = dict(painter.decoder.head.named_parameters())["bias"][-(SUBPIXELS**2) :]
        mask.fill_(9.0)  # of the portrait everything shows
        pivotal, latents = painter.pair(example)
        reference = painter.decoder.refer(example.portraits, pivotal, example.place)
        painted = painter.decoder(latents, reference, painter.decoder.first_state(reference))
    assert painted.pictures.shape == example.frames.flatten(0, 1).shape
    near = (painted.pictures - example.portraits.repeat_interleave(4, 0)).abs().mean()
    crossed = (painted.pictures - example.portraits.flip(0).repeat_interleave(4, 0)).abs().mean()
    assert near < 0.5 * crossed


def test_the_worlds_flow_and_the_decoders_warp_mean_the_same() -> None:
    """Backward, in pixels: following it from the portrait gives the frame."""
    portrait = torch.rand(1, 3, 64, 64)
    flow = torch.full((1, 2, 8, 8), 8.0)
    moved = warp(portrait, flow)
    torch.testing.assert_close(moved[..., :48, :48], portrait[..., 8:56, 8:56], atol=1e-3, rtol=0)


def test_the_light_stage_leaves_the_encoder_alone(bank: Bank, tmp_path: Path) -> None:
    encoder = new_autoencoder(SOUL_TEST.vae, 0).encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    painter = new_light(SOUL_TEST.vae, encoder, seed=1)
    start = painter.decoder.head.weight.clone()
    train_painter(painter, bank, replace(TINY, length=Length(2)), tmp_path, "light", 0)
    assert not torch.equal(painter.decoder.head.weight, start)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_painter_may_go_on_without_its_encoder(bank: Bank, tmp_path: Path) -> None:
    painter = new_autoencoder(SOUL_TEST.vae, 0)
    before = {name: value.clone() for name, value in painter.state_dict().items()}
    painter.freeze_encoder()
    train_painter(painter, bank, replace(TINY, length=Length(2)), tmp_path, "light", 0)
    changed = {n for n, v in painter.state_dict().items() if not torch.equal(v, before[n])}
    assert any(name.startswith("decoder.") for name in changed)
    assert not any(name.startswith(("encoder.", "tell.", "batches")) for name in changed)


def test_means_follow_the_latents_while_the_encoder_learns(bank: Bank) -> None:
    """The first batch counts fully, the second half, and so on."""
    painter, example = new_autoencoder(SOUL_TEST.vae, 0), drawn(bank)
    means = []
    for frames in (example.before, example.frames):
        means.append(painter.encoder.raw(frames, example.place).mean((0, 2, 3)).detach())
        painter.latents(frames, example.place)
        torch.testing.assert_close(painter.encoder.mean, torch.stack(means).mean(0))


def test_only_a_learning_encoder_is_asked_what_moves(bank: Bank) -> None:
    painter = new_autoencoder(SOUL_TEST.vae, 0)
    assert "told" in painter(drawn(bank), 0.0)
    assert "told" not in new_light(SOUL_TEST.vae, painter.encoder, 1)(drawn(bank), 0.0)


def test_the_encoder_may_learn_alone_first(bank: Bank, tmp_path: Path) -> None:
    painter = new_autoencoder(SOUL_TEST.vae, 0)
    start = {name: value.clone() for name, value in painter.named_parameters()}
    config = replace(TINY, length=Length(3), tell_first=1.0, tell_batch=2, tell_crop=32)
    train_painter(painter, bank, config, tmp_path, "autoencoder", 0)
    moved = {n.split(".")[0] for n, v in painter.named_parameters() if not torch.equal(v, start[n])}
    assert {"encoder", "tell"} <= moved


def test_training_lowers_the_loss(bank: Bank, tmp_path: Path) -> None:
    painter = new_autoencoder(SOUL_TEST.vae, 0)
    torch.manual_seed(0)
    before = painter(drawn(bank), 0.0)["total"].item()
    config = replace(TINY, length=Length(30), save_every=100)
    train_painter(painter, bank, config, tmp_path, "autoencoder", 0)
    assert painter(drawn(bank), 0.0)["total"].item() < 0.95 * before


def test_stopped_and_resumed_is_the_same_as_never_stopped(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_autoencoder(SOUL_TEST.vae, 0)
    train_painter(whole, bank, TINY, tmp_path / "whole", "autoencoder", 0)
    calls = iter(range(100))

    def dying(*arguments: object) -> Example:
        if next(calls) == 5:
            raise Killed
        return draw_example(*arguments)  # type: ignore[arg-type]

    dead = new_autoencoder(SOUL_TEST.vae, 0)
    monkeypatch.setattr(stage, "draw_example", dying)
    with pytest.raises(Killed):
        train_painter(dead, bank, TINY, tmp_path / "b", "autoencoder", 0)
    monkeypatch.undo()
    resumed = new_autoencoder(SOUL_TEST.vae, 9)  # its own weights do not matter
    train_painter(resumed, bank, TINY, tmp_path / "b", "autoencoder", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_sheet_shows_truth_above_answer(tmp_path: Path) -> None:
    """Also of a bank with few and short clips."""
    show(new_autoencoder(SOUL_TEST.vae, 0), random_bank(2, 8), tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == (4 * 64, 4 * 64)


def test_a_step_stays_on_the_painters_device(bank: Bank) -> None:
    """On the device that holds no numbers: what was made on another one meets an error there."""
    meta = torch.device("meta")
    light = new_light(SOUL_TEST.vae, new_autoencoder(SOUL_TEST.vae, 0).encoder, 1).to(meta)
    recoded = np.zeros((3, 3, 48, 4, 4), np.float16)
    example = draw_example(bank, np.random.default_rng(0), 2, 32, recoded).to(meta)
    found = light(example, 0.5)
    found["total"].backward()
    told = light.look_first(example)["told"]
    assert {value.device for value in (*found.values(), told)} == {meta}
