"""A large model as the one rollout drives it: Wan's transformer, VAE, umT5 and a Whisper, as one.

What `soul.model.sample` asks of a model, answered by parts that were made elsewhere: guidance,
Wan's solvers, the channels of conditions that public audio-driven checkpoints want. It knows no
files and does not choose its parts.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from soul.model.codebook import Codebook
from soul.model.config import ConfigError, SoulConfig
from soul.model.dit import DiT
from soul.model.manner import Mood
from soul.model.sample import TIMESTEPS, Flow, Past
from soul.model.vae import to_bytes
from soul.model.wan.codec import Codec
from soul.model.wan.ears import Wav2VecEar, WhisperEar
from soul.model.wan.solvers import Method, Solver
from soul.model.wan.text import PromptEncoder, TextError
from soul.model.wan.tiles import TiledVae
from soul.model.wan.vae import WanVae
from soul.timebase import FRAMES_PER_LATENT


class Scribe:
    """Prompts → word vectors, each encoded once; those at hand stay when the encoder is freed."""

    def __init__(self, encoder: PromptEncoder | None, prompts: Iterable[str] = ()) -> None:
        """Encodes `prompts` now. Without an encoder it knows none."""
        self.encoder = encoder
        self.held: dict[str, Tensor] = {}
        for prompt in prompts:
            self(prompt)

    def __call__(self, prompt: str) -> Tensor:
        """[length, dim]; TextError for an unknown prompt once the encoder is freed."""
        if self.encoder is None:
            if prompt not in self.held:
                raise TextError(f"the text encoder is freed and cannot encode {prompt!r}")
            return self.held[prompt]
        if prompt not in self.held:
            self.held = {**self.held, prompt: self.encoder.encode([prompt])[0]}
        return self.held[prompt]

    def free(self) -> None:
        """Let the encoder's weights go."""
        if self.encoder is not None:
            self.encoder.free()
        self.encoder = None


class WanSoul(nn.Module):
    """See the module's docstring, and `soul.model.sample.Actor`.

    `scribe` may live on another device.
    """

    def __init__(
        self,
        config: SoulConfig,
        dit: DiT,
        vae: WanVae | TiledVae,
        codec: Codec,
        ear: WhisperEar | Wav2VecEar,
        scribe: Scribe,
        codebook: Codebook,
        negative: str = "",
    ) -> None:
        super().__init__()
        self.config = config
        self.dit = dit
        self.codebook = codebook
        self.ear = ear
        self.vae = vae
        self.codec = codec
        self.scribe = scribe
        self.negative = negative
        self.method = Method(config.solver)
        self.after_step: Callable[[], None] = lambda: None  # told of progress
        if config.dit.condition_channels and not config.clips:
            raise ConfigError(
                f"{config.name} takes {config.dit.condition_channels} channels of conditions, "
                "which are laid beside a clip: expected clips, not a stream"
            )

    @property
    def device(self) -> torch.device:
        return self.codebook.centroids.device

    def words(self, prompts: Sequence[str]) -> Tensor:
        return torch.stack([self.scribe(prompt) for prompt in prompts]).to(self.device)

    def hear(self, pcm: Tensor) -> Tensor:
        return self.ear(pcm)  # type: ignore[no-any-return]

    def mood(self, prompt: str) -> Mood:
        """These models take a prompt's words, and no numbers."""
        return Mood()

    def told(self, audio: Tensor, cues: Tensor) -> Tensor:
        """These models know no cues."""
        return audio

    def still(self, picture: Tensor) -> Tensor:
        dtype = next(self.inner_vae.parameters()).dtype
        return self.vae.encode(picture.unsqueeze(1).to(dtype)).squeeze(1).float()

    @property
    def inner_vae(self) -> WanVae:
        return self.vae.vae if isinstance(self.vae, TiledVae) else self.vae

    def easel(self, picture: Tensor, pivotal: Tensor) -> Any:
        return self.codec.begin(pivotal)

    def paint(self, latents: Tensor, paintings: Sequence[Any]) -> tuple[Tensor, list[Any]]:
        """One stream and one latent at a time: the pictures are what takes memory."""
        shown, kept = [], []
        for mine, state in zip(latents.split(1), paintings, strict=True):
            pictures = []
            for latent in mine.split(1, 2):
                frames, state = self.codec.next(latent, state)
                pictures.append(to_bytes(frames.flatten(0, 1).float(), FRAMES_PER_LATENT).cpu())
            shown.append(torch.cat(pictures, 1))
            kept.append(state)
        return torch.cat(shown), kept

    def answer(self, latents: Tensor, timesteps: Tensor, words: Tensor, past: Past) -> Tensor:
        """One pass without guidance, two with one kind or with both alike, three with two kinds.

        Both kinds lead from neither words nor sound to words alone, and on to both, as OmniAvatar
        has it; one kind alone leaves the other told, which for words is Wan's own guidance.
        """
        given, heard = self.conditioned(latents, past), self.heard(past)
        if not self.config.tells_given:
            timesteps = timesteps.amax(1, keepdim=True).expand_as(timesteps)

        def flow(words: Tensor, audio: Tensor | None) -> Tensor:
            found = self.dit(given, timesteps, words, audio, past.context).flow
            return found.float()  # type: ignore[no-any-return]

        told = flow(words, heard)
        by_words, by_sound = self.config.guidance, self.config.audio_guidance
        if by_words == by_sound == 1:
            return told
        silence = heard if by_sound == 1 else self.silence(heard)
        wordless = words if by_words == 1 else self.words([self.negative]).expand_as(words)
        least = flow(wordless, silence)
        if 1 in (by_words, by_sound) or by_words == by_sound:
            return least + max(by_words, by_sound) * (told - least)
        alone = flow(words, silence)
        return least + by_words * (alone - least) + by_sound * (told - alone)

    def heard(self, past: Past) -> Tensor:
        """The sound of every latent of a pass that hears any.

        Where sound is packed, the pivotal latent of a clip hears zeros, as in OmniAvatar; in
        Soul's own form it hears nothing.
        """
        if self.config.dit.audio_form == "packed" and self.config.clips:
            return torch.cat((torch.zeros_like(past.audio[:, :1]), past.audio), 1)
        return past.audio

    def silence(self, heard: Tensor) -> Tensor | None:
        """No sound at all: attention passes by, and packed features are zeros, as in OmniAvatar."""
        return torch.zeros_like(heard) if self.config.dit.audio_form == "packed" else None

    def conditioned(self, latents: Tensor, past: Past) -> Tensor:
        """`latents` with their conditions beside them, if there are any: [B, C + conditions, ...].

        As OmniAvatar and Jogg-Avatar have them: the reference's latent at every moment, and a mask
        that is 1 where something is to be made, 0 in latents that are given and at the edge.
        """
        if not self.config.dit.condition_channels:
            return latents
        reference = past.clean[:, :, :1].expand_as(latents)
        mask = torch.zeros_like(latents[:, :1])
        edge = self.config.dit.condition_edge
        rows, columns = (slice(edge, side - edge) for side in latents.shape[-2:])
        mask[:, :, past.clean.shape[2] :, rows, columns] = 1
        return torch.cat((latents, reference, mask), 1)

    def solve(self, flow: Flow, noise: Tensor, steps: int) -> Tensor:
        """Wan's solvers; see `Actor.solve`."""
        solver = Solver(self.method, steps, self.config.shift)
        latent = noise
        for timestep in solver.timesteps.tolist():
            latent = solver.step(flow(latent, timestep / TIMESTEPS), latent)
            self.after_step()
        return latent
