"""The one rollout: live streaming, offline rendering and training all call these functions.

A chunk is `config.chunk` latents, live one. For each: `listen` → `denoise` → `decode` (the pictures
may leave now) → `commit` (codebook pullback, then the clean pass that writes keys and values).
Streams are lists of states; a batch runs one forward and no stream can see another. No clock, no
threads, no I/O.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soul.model.audio import AudioEncoder, windows
from soul.model.bearing import Bearing
from soul.model.codebook import Codebook
from soul.model.config import SoulConfig
from soul.model.cues import CueEncoder
from soul.model.dit import DiT
from soul.model.manner import Mood
from soul.model.text import MannerReader, TextEncoder, tokenize
from soul.model.vae import Encoder, Reference, light_decoder, to_bytes
from soul.model.window import Context, Window, empty_window, gather

TIMESTEPS = 1000.0  # Wan's scale: noise level 1 is timestep 1000

# Chunks over which a stream's words move to a new prompt's, so that the picture does not jump. In a
# call the chunk that brings the prompt begins within 160 ms, and 480 ms later the words are there:
# with computing, playout and browser (165 ms) they are on the screen within a second.
BLEND_CHUNKS = 3


# A chunk's noisy latents [B, C, n, h, w] and their noise level in (0, 1] → the flow, noise − clean.
Flow = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True, slots=True)
class Past:
    """What every pass over one chunk of a batch sees beside it: latents of clips, keys of streams.

    A clip begins with its pivotal latent, which hears nothing, and the end of the clip before.
    """

    clean: Tensor  # [B, C, k, h, w], latents that stand before the chunk's own; of a stream none
    audio: Tensor  # [B, up to k + n, m, audio_dim], the sound of the last of them and of the chunk
    context: Context | None


class Actor(Protocol):
    """What the rollout drives: `Soul`, or a large model whose parts come from elsewhere."""

    config: SoulConfig
    dit: DiT
    codebook: Codebook

    @property
    def device(self) -> torch.device: ...

    def words(self, prompts: Sequence[str]) -> Tensor:
        """Prompts → [B, length, text_dim]."""
        ...

    def mood(self, prompt: str) -> Mood:
        """How a prompt would have the face bear itself; as usual, for a model that is not told."""
        ...

    def hear(self, pcm: Tensor) -> Tensor:
        """What a latent hears [n, latent_samples] → its audio tokens [n, m, audio_dim]."""
        ...

    def told(self, audio: Tensor, cues: Tensor) -> Tensor:
        """A latent's audio tokens [..., m, audio_dim] with its cues [..., 4, 11], if it has any."""
        ...

    def still(self, picture: Tensor) -> Tensor:
        """The pivotal latent [B, C, h, w] of pictures [B, 3, H, W]."""
        ...

    def easel(self, picture: Tensor, pivotal: Tensor) -> Any:
        """What the decoder keeps of a stream that begins with `picture` [1, 3, H, W]."""
        ...

    def paint(self, latents: Tensor, paintings: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        """[B, C, n, h, w] → pictures [B, 4n, H, W, 3] uint8, and what the decoder keeps now."""
        ...

    def answer(self, latents: Tensor, timesteps: Tensor, words: Tensor, past: Past) -> Tensor:
        """The flow of `latents` [B, C, k + n, h, w], those of `past` first; `timesteps` [B, k + n].

        Guidance, where there is any, is part of it.
        """
        ...

    def solve(self, flow: Flow, noise: Tensor, steps: int) -> Tensor:
        """From noise to clean latents [B, C, n, h, w]."""
        ...


@dataclass(frozen=True, slots=True)
class Strokes:
    """What `Soul`'s decoder keeps of a stream."""

    reference: Reference
    memory: Tensor  # [1, C, h, w]


class Soul(nn.Module):
    """All that serves: encoders of picture, sound and words, the DiT, the codebook, the eVAE."""

    def __init__(self, config: SoulConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.vae)
        self.decoder = light_decoder(config.vae)
        self.audio = AudioEncoder(config.audio)
        self.text = TextEncoder(config.text)
        self.dit = DiT(config.dit)
        self.codebook = Codebook(config.centroids, config.vae.channels)
        self.cues = CueEncoder(config.cue_width, config.dit.audio_dim) if config.cue_width else None
        self.reader = MannerReader(config.text) if config.cue_width else None

    @property
    def device(self) -> torch.device:
        return self.codebook.centroids.device

    def words(self, prompts: Sequence[str]) -> Tensor:
        """Prompts → [B, length, text_dim]."""
        numbers = torch.stack([tokenize(p, self.config.text) for p in prompts])
        return self.text(numbers.to(self.device))  # type: ignore[no-any-return]

    def mood(self, prompt: str) -> Mood:
        """What the reader makes of a prompt; see `Actor.mood`."""
        if self.reader is None:
            return Mood()
        return self.reader.mood(tokenize(prompt, self.config.text).to(self.device))

    def told(self, audio: Tensor, cues: Tensor) -> Tensor:
        """A latent's audio tokens [..., m, audio_dim], and its cues [..., 4, 11] as a few more."""
        return audio if self.cues is None else torch.cat((audio, self.cues(cues)), -2)

    def hear(self, pcm: Tensor) -> Tensor:
        return self.audio(pcm)  # type: ignore[no-any-return]

    def still(self, picture: Tensor) -> Tensor:
        return self.encoder.still(picture)

    def easel(self, picture: Tensor, pivotal: Tensor) -> Strokes:
        """The portrait's features, made once, and a memory as if it had just been shown."""
        reference = self.decoder.refer(picture, pivotal)
        return Strokes(reference, self.decoder.first_state(reference))

    def paint(self, latents: Tensor, paintings: Sequence[Strokes]) -> tuple[Tensor, list[Strokes]]:
        """One forward a latent for the whole batch; see `Actor.paint`."""
        reference = Reference.cat([p.reference for p in paintings])
        memory = torch.cat([p.memory for p in paintings])
        pictures = []
        for latent in latents.unbind(2):
            painted = self.decoder(latent, reference, memory)
            memory = painted.state
            pictures.append(to_bytes(painted.pictures, self.config.vae.temporal))
        kept = [Strokes(p.reference, memory[i : i + 1]) for i, p in enumerate(paintings)]
        return torch.cat(pictures, 1), kept

    def answer(self, latents: Tensor, timesteps: Tensor, words: Tensor, past: Past) -> Tensor:
        return self.dit(latents, timesteps, words, past.audio, past.context).flow  # type: ignore[no-any-return]

    def solve(self, flow: Flow, noise: Tensor, steps: int) -> Tensor:
        """Euler's steps; see `Actor.solve`."""
        latent = noise
        for level, following in pairwise(sigmas(steps, self.config.shift)):
            latent = latent + (following - level) * flow(latent, level)
        return latent


@dataclass(frozen=True, slots=True)
class Blend:
    """Words on their way, linearly: `old` and `new` [length, text_dim], `done` of BLEND_CHUNKS."""

    old: Tensor
    new: Tensor
    done: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a clip, pulled back, which the next one begins with; and what was heard to it."""

    latents: Tensor  # [1, C, overlap, h, w]
    audio: Tensor  # [1, overlap, m, audio_dim]


@dataclass(slots=True)
class StreamState:
    """Everything one stream remembers, apart from the weights that all streams share."""

    window: Window
    pivotal: Tensor  # [1, C, h, w], the latent that the sink is written from
    painting: Any  # what its model's decoder keeps of it: `Strokes`, or a large codec's own
    words: Tensor  # [length, text_dim], those in force
    noise: torch.Generator
    bearing: Bearing
    listening: bool = False  # somebody else has the word
    blend: Blend | None = None  # while the words move to a new prompt's
    mood: Mood | None = None  # that of a prompt which was told since the last commit
    strays: float = 0.0  # share of the last chunk's cells that the codebook pulled back
    chunk: int = 0  # number of the next one
    tail: Tail | None = None  # of clips, after the first


def build(config: SoulConfig, seed: int) -> Soul:
    """A model with random weights that depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Soul(config)
    return model.eval()


def sigmas(steps: int, shift: float) -> list[float]:
    """Noise levels from 1 to 0, `steps` + 1 of them, shifted towards noise as Wan does."""
    levels = [1 - i / steps for i in range(steps + 1)]
    return [shift * s / (1 + (shift - 1) * s) for s in levels]


def open_stream(model: Actor, portrait: Tensor, prompt: str, seed: int) -> StreamState:
    """A stream that starts from `portrait` [3, H, W] in [-1, 1] and has heard nothing yet."""
    expected = (3, model.config.height, model.config.width)
    if portrait.shape != expected:
        raise ValueError(f"portrait has shape {tuple(portrait.shape)}, expected {expected}")
    picture = portrait.unsqueeze(0).to(model.device)
    pivotal = model.still(picture)
    words = model.words([prompt])
    window = empty_window(model.config, model.device, model.dit.dtype)
    if not model.config.clips:
        write_sink(model, [window], pivotal, words)
    noise = torch.Generator(model.device).manual_seed(seed)
    painting = model.easel(picture, pivotal)
    bearing = Bearing(seed, model.mood(prompt), *model.config.gesture_gains)
    return StreamState(window, pivotal, painting, words[0], noise, bearing)


def set_prompt(model: Actor, state: StreamState, prompt: str) -> None:
    """The stream's words and bearing begin to move to those of `prompt` at its next `commit`.

    Only encodes them: no pass. Told while words still move, they go on from where they are; told
    the prompt that holds or is being moved to, nothing changes.
    """
    new = model.words([prompt])[0]
    state.mood = model.mood(prompt)
    held = state.words if state.blend is None else state.blend.new
    if not torch.equal(new, held):
        state.blend = Blend(state.words, new)


def write_sink(model: Actor, windows: Sequence[Window], pivotal: Tensor, words: Tensor) -> None:
    """The pivotal latents [B, C, h, w] become the sinks: one clean pass, keys left unturned."""
    clean = torch.zeros(len(pivotal), device=pivotal.device)
    seen = model.dit(pivotal.unsqueeze(2), clean, words, None, None, keep=True)
    for i, window in enumerate(windows):
        # Of its own memory: a slice would keep the sinks of the whole batch alive.
        window.sink_keys = seen.keys[:, i].contiguous()
        window.sink_values = seen.values[:, i].contiguous()


def listen(model: Actor, states: Sequence[StreamState], pcm: Tensor) -> Tensor:
    """Each stream's window of samples [B, window_samples] → audio tokens [B, n, m, audio_dim].

    m tokens for each of the chunk's n latents, which hears its own window. Once a chunk: with the
    sound the DiT is told of how the stream bears itself in its next frames.
    """
    config = model.config
    if pcm.shape[-1] != config.window_samples:
        raise ValueError(f"a chunk hears {config.window_samples} samples, got {pcm.shape[-1]}")
    begins = [config.begin(latent) for latent in range(config.chunk)]
    each = torch.stack([pcm[:, begin : begin + config.latent_samples] for begin in begins], 1)
    audio = model.hear(each.flatten(0, 1)).unflatten(0, each.shape[:2])
    if not config.cue_width:
        return audio  # type: ignore[no-any-return]
    own = pcm[:, config.audio.past_samples :][:, : config.chunk_samples]
    levels = own.unflatten(1, (config.chunk_frames, -1)).square().mean(-1).sqrt().tolist()
    borne = [
        [state.bearing.next(level, state.listening) for level in row]
        for state, row in zip(states, levels, strict=True)
    ]
    cues = torch.tensor(borne, dtype=pcm.dtype)
    if config.cue_gains:
        cues *= cues.new_tensor(config.cue_gains)
    return model.told(audio, cues.to(pcm.device).unflatten(1, (config.chunk, -1)))


def recall(model: Actor, states: Sequence[StreamState], audio: Tensor) -> Past:
    """The past of a chunk whose sound is `audio`; ValueError for first and later clips at once."""
    pivotal = torch.cat([s.pivotal for s in states]).unsqueeze(2)
    if not model.config.clips:
        return Past(pivotal[:, :, :0], audio, gather([s.window for s in states], model.config))
    tails = [s.tail for s in states if s.tail is not None]
    if not tails:
        return Past(pivotal, audio, None)
    if len(tails) < len(states):
        raise ValueError("a batch mixes first clips with later ones: one kind was expected")
    clean = torch.cat((pivotal, torch.cat([t.latents for t in tails])), 2)
    return Past(clean, torch.cat((torch.cat([t.audio for t in tails]), audio), 1), None)


def flow(model: Actor, latent: Tensor, level: float, words: Tensor, past: Past) -> Tensor:
    """The predicted flow of one denoising pass at one noise `level` for the whole batch.

    What stands clean before the chunk is at timestep 0, as Wan's given latents are.
    """
    clean = past.clean.shape[2]
    latents = torch.cat((past.clean, latent), 2)
    timesteps = torch.full((len(latent), latents.shape[2]), level * TIMESTEPS, device=latent.device)
    timesteps[:, :clean] = 0
    return model.answer(latents, timesteps, words, past)[:, :, clean:]


def draw_noise(model: Actor, state: StreamState) -> Tensor:
    """A stream's next noise [1, C, n, h, w], unit normal."""
    config = model.config
    shape = (1, config.vae.channels, config.chunk, *config.cells)
    return torch.randn(shape, generator=state.noise, device=model.device)


def denoise(model: Actor, states: Sequence[StreamState], audio: Tensor, steps: int) -> Tensor:
    """Noise → clean latents [B, C, n, h, w] in `steps` steps of the model's own solver."""
    noise = torch.cat([draw_noise(model, s) for s in states])
    words = torch.stack([s.words for s in states])
    past = recall(model, states, audio)

    def at(latent: Tensor, level: float) -> Tensor:
        return flow(model, latent, level, words, past)

    return model.solve(at, noise, steps)


def decode(model: Actor, states: Sequence[StreamState], latents: Tensor) -> Tensor:
    """Latents [B, C, n, h, w] → pictures [B, 4n, H, W, 3] uint8; moves decoders' memories on."""
    pictures, kept = model.paint(latents, [s.painting for s in states])
    for state, painting in zip(states, kept, strict=True):
        state.painting = painting
    return pictures


def commit(model: Actor, states: Sequence[StreamState], latents: Tensor, audio: Tensor) -> None:
    """Latents become context: strays pulled back, then a clean pass writes keys and values.

    Clips need no pass: their last latents are kept. Afterwards words that move to a new prompt's
    take their next step, and the bearing sets out for its mood.
    """
    pulled, strays = model.codebook(latents)
    if model.config.clips:
        first = model.config.chunk - model.config.overlap
        for i, state in enumerate(states):
            kept = pulled[i : i + 1, :, first:].clone(), audio[i : i + 1, first:].clone()
            state.tail = Tail(*kept)
    else:
        words = torch.stack([s.words for s in states])
        remember(model, [s.window for s in states], pulled, words, audio)
    for state, share in zip(states, strays.tolist(), strict=True):
        state.strays = share
        state.chunk += 1
        if state.mood is not None:
            state.bearing.become(state.mood)
            state.mood = None
    move_words(model, states)


def move_words(model: Actor, states: Sequence[StreamState]) -> None:
    """One step of every stream whose words move, and its sink rewritten for the words in force.

    The sink's keys and values were computed with the old words, and so were the ring's: those leave
    by themselves, within one window. At each step, because a sink that follows later than the words
    would be a jump of its own. That costs one pass a chunk while words move, however often prompts
    are told: over the pivotal latent alone, without context, and after the pictures have left.
    """
    moving = []
    for state in states:
        if state.blend is not None:
            old, new, done = state.blend.old, state.blend.new, state.blend.done + 1
            state.words = torch.lerp(old, new, done / BLEND_CHUNKS)  # at the end exactly `new`
            state.blend = Blend(old, new, done) if done < BLEND_CHUNKS else None
            moving.append(state)
    if moving and not model.config.clips:
        words = torch.stack([s.words for s in moving])
        pivotal = torch.cat([s.pivotal for s in moving])
        write_sink(model, [s.window for s in moving], pivotal, words)


def remember(
    model: Actor, windows: Sequence[Window], latents: Tensor, words: Tensor, audio: Tensor
) -> None:
    """The clean pass: keys and values of `latents`, at timestep 0, go into each stream's ring."""
    clean = torch.zeros(len(latents), device=latents.device)
    context = gather(windows, model.config)
    seen = model.dit(latents, clean, words, audio, context, keep=True)
    for i, window in enumerate(windows):
        window.write(seen.keys[:, i], seen.values[:, i])


def advance(
    model: Actor, states: Sequence[StreamState], pcm: Tensor, steps: int | None = None
) -> Tensor:
    """One whole chunk of each stream: [B, window_samples] → pictures [B, 4n, H, W, 3] uint8."""
    audio = listen(model, states, pcm)
    latents = denoise(model, states, audio, steps or model.config.steps)
    pictures = decode(model, states, latents)
    commit(model, states, latents, audio)
    return pictures


def cut(config: SoulConfig, pcm: Tensor) -> Tensor:
    """A whole recording [n] at 16 kHz → every chunk's window [chunks, window_samples]."""
    return windows(
        pcm, config.audio.past_samples, config.chunk_samples, config.audio.lookahead_samples
    )


def window_at(config: SoulConfig, pcm: Tensor, chunk: int) -> Tensor:
    """The window [window_samples] of one chunk of a recording [n]: `cut`, at any rate of pictures.

    Silence is what lies before the first sample and behind the last.
    """
    begin = config.begin(chunk * config.chunk) - config.audio.past_samples
    part = pcm[max(begin, 0) : max(begin + config.window_samples, 0)]
    before = max(-begin, 0)
    return F.pad(part, (before, config.window_samples - before - len(part)))
