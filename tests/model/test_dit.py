"""The transformer: Wan's names and sizes, and its maths against a plain twin written here.

`Plain` follows the published Wan2.2 formulae and the paper's audio layer in float64 and in steps
that can be read one by one. It keeps every latent it has ever seen in a list; the window's ring,
slots and turned keys have to come to the same.
"""

import cmath
import math
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_5B, SOUL_MINI, SOUL_TEST, DiTConfig
from soul.model.dit import Block, DiT, Sound, copy_text_to_audio, sinusoid
from soul.model.rope import rotate, rotation
from soul.model.sample import Soul, build, remember, write_sink
from soul.model.window import Window, empty_window, gather

DIT = SOUL_TEST.dit

ATTENTION = [f"{p}.{kind}" for p in "qkvo" for kind in ("weight", "bias")] + [
    "norm_q.weight",
    "norm_k.weight",
]
AROUND = [
    f"{layer}.{kind}"
    for layer in (
        "patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0",
        "time_embedding.2", "time_projection.1", "head.head",
    )
    for kind in ("weight", "bias")
] + ["head.modulation"]  # fmt: skip
BLOCK = [
    *(f"self_attn.{name}" for name in ATTENTION),
    *(f"cross_attn.{name}" for name in ATTENTION),
    *(f"{layer}.{kind}" for layer in ("norm3", "ffn.0", "ffn.2") for kind in ("weight", "bias")),
    "modulation",
]
WAN_NAMES = {*AROUND, *(f"blocks.{n}.{name}" for n in range(30) for name in BLOCK)}


def is_souls(name: str) -> bool:
    """Whether Wan does not have this parameter."""
    return name.startswith("audio_embedding.") or ".norm_audio." in name or ".audio_attn." in name


@pytest.fixture(scope="module")
def giant() -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(DiT(SOUL_5B.dit).named_parameters())


def test_soul_5b_carries_the_names_of_wans_checkpoint(giant: dict[str, Tensor]) -> None:
    """Every parameter of Wan2.2-TI2V-5B (wan/modules/model.py), 825 of them, and no other."""
    assert len(WAN_NAMES) == 825
    assert {name for name in giant if not is_souls(name)} == WAN_NAMES


def test_soul_5b_counts_as_many_parameters_as_wan(giant: dict[str, Tensor]) -> None:
    assert sum(p.numel() for name, p in giant.items() if not is_souls(name)) == 4_999_787_712


def test_a_block_of_soul_5b_counts_as_many_parameters_as_wans(giant: dict[str, Tensor]) -> None:
    for block in range(30):
        name = f"blocks.{block}."
        mine = [p.numel() for n, p in giant.items() if n.startswith(name) and not is_souls(n)]
        assert sum(mine) == 163_656_704


def test_soul_5b_adds_an_audio_attention_a_block(giant: dict[str, Tensor]) -> None:
    added = {n: p.numel() for n, p in giant.items() if is_souls(n) and n.startswith("blocks.")}
    assert sum(added.values()) == 1_133_199_360
    for block in range(30):
        mine = [count for name, count in added.items() if name.startswith(f"blocks.{block}.")]
        assert sum(mine) == 37_773_312
    rest = {n for n in giant if is_souls(n) and not n.startswith("blocks.")}
    assert rest == {"audio_embedding.weight", "audio_embedding.bias"}


def test_audio_layers_can_be_copied_from_the_text_layers(giant: dict[str, Tensor]) -> None:
    """The paper starts them as copies: the same names inside, the same shapes."""
    for name, parameter in giant.items():
        if ".audio_attn." in name:
            assert giant[name.replace("audio_attn", "cross_attn")].shape == parameter.shape
        if ".norm_audio." in name:
            assert giant[name.replace("norm_audio", "norm3")].shape == parameter.shape


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("patch_embedding.weight", (3072, 48, 1, 2, 2)),
        ("text_embedding.0.weight", (3072, 4096)),
        ("time_embedding.0.weight", (3072, 256)),
        ("time_projection.1.weight", (18432, 3072)),
        ("blocks.29.modulation", (1, 6, 3072)),
        ("blocks.0.self_attn.norm_q.weight", (3072,)),
        ("blocks.0.ffn.0.weight", (14336, 3072)),
        ("head.head.weight", (192, 3072)),
        ("head.modulation", (1, 2, 3072)),
    ],
)
def test_soul_5b_has_the_shapes_of_wan(
    giant: dict[str, Tensor], name: str, shape: tuple[int, ...]
) -> None:
    assert tuple(giant[name].shape) == shape


def test_copied_audio_layers_say_of_a_sound_what_text_layers_say_of_words(model: Soul) -> None:
    """A block that hears what it reads says the same once more: the paper's start."""
    dit = deepcopy(model.dit)
    copy_text_to_audio(dit)
    block = cast(Block, dit.blocks[1])
    x, words = torch.randn(2, 12, DIT.dim), torch.randn(2, 5, DIT.dim)
    wanted = block.cross_attn(block.norm3(x), words)
    for count in (1, 3):  # of latents; each hears the same words
        sound = words[:, None].expand(-1, count, -1, -1)
        torch.testing.assert_close(block.hear(x, Sound(sound, 0)), wanted, atol=1e-6, rtol=1e-5)
    half = block.hear(x, Sound(words[:, None], 6))
    torch.testing.assert_close(half[:, 6:], wanted[:, 6:], atol=1e-6, rtol=1e-5)
    assert not half[:, :6].any()


def test_audio_layers_that_let_nothing_through_leave_the_answer_as_it_is(model: Soul) -> None:
    dit = deepcopy(model.dit)
    copy_text_to_audio(dit)
    latent, times = torch.randn(1, 48, 2, 4, 4), torch.tensor([500.0])
    text, audio = torch.randn(1, 16, DIT.text_dim), torch.randn(1, 2, 13, DIT.audio_dim)
    deaf = dit(latent, times, text, None, None).flow
    assert not torch.allclose(dit(latent, times, text, audio, None).flow, deaf, atol=1e-3)
    for block in cast(Iterable[Block], dit.blocks):
        block.audio_attn.o.weight.zero_()
        block.audio_attn.o.bias.zero_()
    assert torch.equal(dit(latent, times, text, audio, None).flow, deaf)


def test_soul_mini_is_small() -> None:
    with torch.device("meta"):
        mini = Soul(SOUL_MINI)
    assert 5_000_000 < sum(p.numel() for p in mini.parameters()) < 11_500_000
    assert {n.split(".")[0] for n in mini.state_dict()} == {
        "encoder", "decoder", "audio", "text", "dit", "codebook", "cues",
        "reader",
    }  # fmt: skip


def test_time_is_embedded_as_wan_does() -> None:
    found = sinusoid(torch.tensor([0.0, 1.0, 937.5]), 256)
    assert found.shape == (3, 256)
    for row, t in zip(found.tolist(), (0.0, 1.0, 937.5), strict=True):
        for i in (0, 1, 64, 127):
            assert row[i] == pytest.approx(math.cos(t * 10_000 ** (-i / 128)), abs=1e-12)
            assert row[128 + i] == pytest.approx(math.sin(t * 10_000 ** (-i / 128)), abs=1e-12)


# The plain twin.


@dataclass
class Past:
    """All that a stream has ever shown: unturned keys and values, a list entry a layer."""

    sink: list[tuple[Tensor, Tensor]]  # a layer each: [tokens, dim]
    latents: list[list[tuple[Tensor, Tensor]]] = field(default_factory=list)


class Plain:
    """One stream, one chunk, float64, no cache, no batch."""

    def __init__(self, dit: DiT) -> None:
        self.w = {name: value.double() for name, value in dit.state_dict().items()}
        self.c: DiTConfig = dit.config

    def linear(self, name: str, x: Tensor) -> Tensor:
        answer: Tensor = x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]
        return answer

    def rms(self, name: str, x: Tensor) -> Tensor:
        size: Tensor = (x.pow(2).mean(-1, keepdim=True) + self.c.eps).sqrt()
        answer: Tensor = x / size * self.w[f"{name}.weight"]
        return answer

    def norm(self, x: Tensor, name: str = "") -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        x = centred / (centred.pow(2).mean(-1, keepdim=True) + self.c.eps).sqrt()
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"] if name else x

    @staticmethod
    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    @staticmethod
    def silu(x: Tensor) -> Tensor:
        return x / (1 + torch.exp(-x))

    def turn(self, x: Tensor, time: int, columns: int) -> Tensor:
        """One latent's [tokens, dim]: pairs as complex numbers, turned by time, row and column."""
        half = self.c.head_dim // 2
        third = half // 3
        pairs = torch.view_as_complex(x.reshape(len(x), self.c.heads, half, 2).contiguous())
        turned = torch.empty_like(pairs)
        for token in range(len(x)):
            row, column = divmod(token, columns)
            angles = [
                place * 10_000 ** (-2 * i / (2 * count))
                for place, count in ((time, half - 2 * third), (row, third), (column, third))
                for i in range(count)
            ]
            turned[token] = pairs[token] * torch.tensor([cmath.exp(1j * a) for a in angles])
        return torch.view_as_real(turned).flatten(1)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        size, answers = self.c.head_dim, []
        for head in range(self.c.heads):
            part = slice(head * size, (head + 1) * size)
            weights = torch.exp(queries[:, part] @ keys[:, part].T / math.sqrt(size))
            answers.append(weights / weights.sum(-1, keepdim=True) @ values[:, part])
        return torch.cat(answers, -1)

    def cross(self, name: str, x: Tensor, context: Tensor) -> Tensor:
        queries = self.rms(f"{name}.norm_q", self.linear(f"{name}.q", x))
        keys = self.rms(f"{name}.norm_k", self.linear(f"{name}.k", context))
        answer = self.attend(queries, keys, self.linear(f"{name}.v", context))
        return self.linear(f"{name}.o", answer)

    def patches(self, latent: Tensor) -> Tensor:
        weight = self.w["patch_embedding.weight"].flatten(1)
        rows, columns = latent.shape[2] // 2, latent.shape[3] // 2
        cells = [
            latent[:, n, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].flatten()
            for n in range(latent.shape[1])
            for r in range(rows)
            for c in range(columns)
        ]
        answer: Tensor = torch.stack(cells) @ weight.T + self.w["patch_embedding.bias"]
        return answer

    def times(self, timesteps: Tensor) -> Tensor:
        half = self.c.freq_dim // 2
        rates = torch.tensor([10_000 ** (-i / half) for i in range(half)], dtype=torch.float64)
        theta = timesteps.double()[:, None] * rates
        wave = torch.cat((theta.cos(), theta.sin()), -1)
        return self.linear("time_embedding.2", self.silu(self.linear("time_embedding.0", wave)))

    def __call__(
        self,
        latent: Tensor,
        timesteps: Tensor,
        text: Tensor,
        audio: Tensor | None,
        past: Past | None = None,
        window: int = 0,
        sink_distance: int = 0,
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """→ (flow [C, n, h, w], each layer's unturned keys and values); `audio` [k, m, dim]."""
        count, rows, columns = latent.shape[1], latent.shape[2] // 2, latent.shape[3] // 2
        run = rows * columns
        x = self.patches(latent.double())
        embedded = self.times(timesteps)
        six = self.linear("time_projection.1", self.silu(embedded)).view(len(x), 6, -1)
        words = self.linear("text_embedding.0", text.double())
        words = self.linear("text_embedding.2", self.gelu(words))
        sound = None if audio is None else self.linear("audio_embedding", audio.double())
        now, kept = len(past.latents) if past else 0, []
        for n in range(self.c.layers):
            b = f"blocks.{n}"
            e = (self.w[f"{b}.modulation"] + six).unbind(1)
            y = self.norm(x) * (1 + e[1]) + e[0]
            query = self.rms(f"{b}.self_attn.norm_q", self.linear(f"{b}.self_attn.q", y))
            key = self.rms(f"{b}.self_attn.norm_k", self.linear(f"{b}.self_attn.k", y))
            value = self.linear(f"{b}.self_attn.v", y)
            kept.append((key, value))
            own = zip(key.split(run), value.split(run), strict=True)
            shown = [(now + i, *pair) for i, pair in enumerate(own)]
            if past is not None:
                shown.append((now - sink_distance, *past.sink[n]))
                recent = list(enumerate(past.latents))[-window:]
                shown.extend((position, *layers[n]) for position, layers in recent)
            y = self.attend(
                torch.cat([self.turn(q, now + i, columns) for i, q in enumerate(query.split(run))]),
                torch.cat([self.turn(k, position, columns) for position, k, _ in shown]),
                torch.cat([v for _, _, v in shown]),
            )
            x = x + self.linear(f"{b}.self_attn.o", y) * e[2]
            x = x + self.cross(f"{b}.cross_attn", self.norm(x, f"{b}.norm3"), words)
            if sound is not None:
                parts = list(x.split(run))
                for i, heard in zip(range(-len(sound), 0), sound, strict=True):
                    y = self.norm(parts[i], f"{b}.norm_audio")
                    parts[i] = parts[i] + self.cross(f"{b}.audio_attn", y, heard)
                x = torch.cat(parts)
            y = self.linear(f"{b}.ffn.0", self.norm(x) * (1 + e[4]) + e[3])
            x = x + self.linear(f"{b}.ffn.2", self.gelu(y)) * e[5]
        shift, scale = (self.w["head.modulation"] + embedded[:, None]).unbind(1)
        tokens = self.linear("head.head", self.norm(x) * (1 + scale) + shift)
        flow = torch.empty(latent.shape, dtype=torch.float64)
        for token, cells in enumerate(tokens):
            i, (r, c) = token // run, divmod(token % run, columns)
            square = cells.view(2, 2, -1).permute(2, 0, 1)
            flow[:, i, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2] = square
        assert count * run == len(tokens)
        return flow, kept


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("count", "heard"), [(1, 1), (1, 0), (3, 3), (3, 2), (2, 0)])
def test_a_chunk_is_as_the_plain_twin_says(model: Soul, count: int, heard: int) -> None:
    """Latents that are not square, a timestep of its own for each token, some that hear nothing."""
    torch.manual_seed(0)
    latent, times = torch.randn(2, 48, count, 4, 6), torch.rand(2, count * 6) * 1000
    text = torch.randn(2, DIT.text_len, DIT.text_dim)
    audio = torch.randn(2, heard, 13, DIT.audio_dim) if heard else None
    found = model.dit(latent, times, text, audio, None, keep=True)
    assert found.flow.shape == latent.shape
    for b in range(2):
        sound = None if audio is None else audio[b]
        flow, kept = Plain(model.dit)(latent[b], times[b], text[b], sound)
        close(found.flow[b], flow)
        assert flow.std() > 0.1
        for layer, (key, value) in enumerate(kept):
            close(found.keys[layer, b].transpose(0, 1).flatten(1), key)
            close(found.values[layer, b].transpose(0, 1).flatten(1), value)


def test_one_timestep_for_all_tokens_is_the_same_as_one_each(model: Soul) -> None:
    latent, text = torch.randn(2, 48, 3, 4, 4), torch.randn(2, 16, DIT.text_dim)
    times = torch.tensor([0.0, 700.0])
    one = model.dit(latent, times, text, None, None).flow
    for count in (3, 12):
        each = times[:, None].expand(-1, count).contiguous()
        found = model.dit(latent, each, text, None, None).flow
        torch.testing.assert_close(one, found, atol=1e-5, rtol=1e-5)


def test_one_timestep_for_a_latent_is_the_same_as_one_for_each_of_its_tokens(model: Soul) -> None:
    latent, text = torch.randn(1, 48, 3, 4, 4), torch.randn(1, 16, DIT.text_dim)
    times = torch.tensor([[0.0, 700.0, 30.0]])
    one = model.dit(latent, times, text, None, None).flow
    each = model.dit(latent, times.repeat_interleave(4, 1), text, None, None).flow
    torch.testing.assert_close(one, each, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2])
def test_a_long_stream_is_as_the_plain_twins_endless_list_says(model: Soul, chunk: int) -> None:
    """Ring, slots, turned keys and the sink come to the same as keeping everything."""
    torch.manual_seed(0)
    config, plain = replace(SOUL_TEST, chunk=chunk), Plain(model.dit)
    text, clean = torch.randn(1, 16, DIT.text_dim), torch.zeros(4 * chunk)
    noisy, pivotal = torch.full((4 * chunk,), 600.0), torch.randn(1, 48, 4, 4)
    window = empty_window(config, torch.device("cpu"), torch.float32)
    write_sink(model, [window], pivotal, text)
    past = Past(plain(pivotal[0, :, None], clean[:4], text[0], None)[1])
    chunky = build(config, 0).requires_grad_(False)
    chunky.dit.load_state_dict(model.dit.state_dict())
    for _ in range(2 * config.window // chunk + 2):
        latent = torch.randn(1, 48, chunk, 4, 4)
        audio = torch.randn(1, chunk, 13, DIT.audio_dim)
        seen = chunky.dit(latent, noisy[:1], text, audio, gather([window], config))
        memory = (past, config.window, config.sink_distance)
        close(seen.flow[0], plain(latent[0], noisy, text[0], audio[0], *memory)[0])
        remember(chunky, [window], latent, text, audio)
        layers = plain(latent[0], clean, text[0], audio[0], *memory)[1]
        parts = [zip(key.split(4), value.split(4), strict=True) for key, value in layers]
        past.latents.extend(list(latent) for latent in zip(*parts, strict=True))


def placed(model: Soul, chunk: int, unturned: Tensor, values: Tensor, sink: Tensor) -> Window:
    """A window before `chunk` whose ring holds `unturned` at the positions just behind it."""
    window = empty_window(SOUL_TEST, torch.device("cpu"), torch.float32)
    window.sink_keys, window.sink_values = sink[0], sink[1]
    for position, key, value in zip(range(chunk - 3, chunk), unturned, values, strict=True):
        window.written = position
        turn = rotation(torch.tensor([position]), 2, 2, DIT.head_dim)
        window.write(rotate(key, turn), value)
    return window


@pytest.mark.parametrize("chunk", [11, 1000, 10_000_000])
def test_a_chunk_sees_the_sink_and_its_past_the_same_however_late_it_is(
    model: Soul, chunk: int
) -> None:
    torch.manual_seed(0)
    one = (DIT.layers, DIT.heads, 4, DIT.head_dim)
    unturned, values, sink = torch.randn(3, *one), torch.randn(3, *one), torch.randn(2, *one)
    latent, text = torch.randn(1, 48, 1, 4, 4), torch.randn(1, 16, DIT.text_dim)

    def flow(at: int, sink: Tensor) -> Tensor:
        context = gather([placed(model, at, unturned, values, sink)], SOUL_TEST)
        answer: Tensor = model.dit(latent, torch.tensor([500.0]), text, None, context).flow
        return answer

    torch.testing.assert_close(flow(chunk, sink), flow(10, sink), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(flow(chunk, sink), flow(chunk, sink.roll(1, -2)), atol=1e-3)


def test_what_an_unfilled_slot_holds_has_no_say(model: Soul) -> None:
    torch.manual_seed(0)
    latent, text = torch.randn(1, 48, 4, 4), torch.randn(1, 16, DIT.text_dim)
    window = empty_window(SOUL_TEST, torch.device("cpu"), torch.float32)
    write_sink(model, [window], latent, text)
    latent = latent.unsqueeze(2)

    def flow() -> Tensor:
        answer: Tensor = model.dit(
            latent, torch.tensor([500.0]), text, None, gather([window], SOUL_TEST)
        ).flow
        return answer

    before = flow()
    window.keys.fill_(1e4)
    window.values.fill_(-1e4)
    assert torch.equal(flow(), before)


def test_every_stream_of_a_batch_is_at_its_own_position(model: Soul) -> None:
    torch.manual_seed(0)
    latent, text = torch.randn(2, 48, 4, 4), torch.randn(2, 16, DIT.text_dim)
    windows = [empty_window(SOUL_TEST, torch.device("cpu"), torch.float32) for _ in range(2)]
    write_sink(model, windows, latent, text)
    for _ in range(4):
        drawn = torch.randn(1, 48, 1, 4, 4), torch.randn(1, 1, 13, 16)
        remember(model, windows[1:], drawn[0], text[1:], drawn[1])
    assert [w.written for w in windows] == [0, 4]
    times, sound = torch.tensor([500.0, 900.0]), torch.randn(2, 1, 13, 16)
    latent = latent.unsqueeze(2)
    both = model.dit(latent, times, text, sound, gather(windows, SOUL_TEST), keep=True)
    for i in range(2):
        part = slice(i, i + 1)
        alone = model.dit(latent[part], times[part], text[part], sound[part],
                          gather(windows[part], SOUL_TEST), keep=True)  # fmt: skip
        torch.testing.assert_close(both.flow[part], alone.flow, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(both.keys[:, part], alone.keys, atol=1e-5, rtol=1e-5)


def test_random_weights_depend_on_the_seed_alone() -> None:
    def weight(seed: int) -> Tensor:
        return build(SOUL_TEST, seed).dit.head.head.weight

    torch.manual_seed(1)
    first = weight(7)
    torch.manual_seed(2)
    assert torch.equal(first, weight(7))
    assert not torch.equal(first, weight(8))


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_steered_model_begins_as_one_that_is_not(count: int) -> None:
    """The way of the last audio tokens to the time embedding starts as nought, and is learned."""
    dit = build(replace(SOUL_TEST, dit=replace(SOUL_TEST.dit, steered=count)), 0).dit
    latent, times = torch.randn(2, 48, 1, 4, 4), torch.tensor([500.0, 700.0])
    text, audio = torch.randn(2, 24, 16), torch.randn(2, 1, 5, 16)
    before = dit(latent, times, text, audio, None).flow
    other = DiT(SOUL_TEST.dit)
    other.load_state_dict({k: v for k, v in dit.state_dict().items() if "steering" not in k})
    assert torch.equal(other.eval()(latent, times, text, audio, None).flow, before)
    with torch.no_grad():
        dit.steering.weight.normal_()
    after = dit(latent, times, text, audio, None).flow
    changed = audio.clone()
    changed[0, :, -1] += 1.0
    steered = dit(latent, times, text, changed, None).flow
    assert not torch.allclose(after, before)
    assert not torch.allclose(steered[0], after[0])
    assert torch.equal(steered[1], after[1])


def test_tokens_that_are_not_there_do_not_steer() -> None:
    """Without sound the cues alone are told: they steer as they do behind sound that is nought."""
    config = replace(SOUL_TEST.dit, steered=4)
    torch.manual_seed(0)
    dit = DiT(config)
    with torch.no_grad():
        dit.steering.weight.normal_()
    cues = torch.randn(2, 1, 3, 16)
    behind = torch.cat((torch.zeros(2, 1, 9, 16), cues), 2)
    assert torch.equal(dit.steer(cues), dit.steer(behind))
    first = behind.clone()
    first[:, :, -5] = 1.0  # the fifth from the end: none of the four
    assert torch.equal(dit.steer(first), dit.steer(behind))
    first[:, :, -4] = 1.0
    assert not torch.allclose(dit.steer(first), dit.steer(behind))
