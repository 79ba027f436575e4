"""The public checkpoints that are known here: where they are, under which licence, what they do.

Facts from the projects' own pages; a size or revision that could not be verified is left empty.
It knows no network: `fetch` asks the hub for what is not written here.
"""

from dataclasses import dataclass, field

from soul.checkpoints.manifest import Origin
from soul.checkpoints.sources import CheckpointError

APACHE = "Apache-2.0"
SNAP = "Snap Inc. Non-Commercial License"
CC_NC = "CC BY-NC-SA 4.0 in LICENSE.md, Apache-2.0 in the README; the stricter one is taken"
BASE_5B, BASE_1_3B = "wan2.2-ti2v-5b", "wan2.1-t2v-1.3b"


@dataclass(frozen=True, slots=True)
class Known:
    """One public checkpoint."""

    name: str
    repository: str  # on the Hugging Face hub
    licence: str
    does: str
    files: tuple[str, ...]  # patterns: what of the repository is used here
    revision: str = "main"  # a commit, where one could be verified
    commercial: bool = True
    steps: int | None = None  # of a student: those that it was distilled to
    gigabytes: float | None = None  # of weights; None: the hub says it when they are fetched
    needs: tuple[str, ...] = ()  # other names, without which it is not a whole model
    sha256: dict[str, str] = field(default_factory=dict)  # of files, where published

    @property
    def origin(self) -> Origin:
        return Origin(self.name, self.licence, self.commercial, self.repository, self.revision)


OFFICIAL_FILES = (
    "config.json",
    "diffusion_pytorch_model*",
    "models_t5_umt5-xxl-enc-bf16.pth",
    "Wan2.*_VAE.pth",
    "google/umt5-xxl/*",
    "LICENSE*",
)
DIFFUSERS_FILES = ("model_index.json", "transformer/*", "vae/*", "text_encoder/*", "tokenizer/*")
WEIGHTS = ("*.safetensors", "*.pt", "config.json", "LICENSE*")

CATALOGUE = (
    Known(
        BASE_5B,
        "Wan-AI/Wan2.2-TI2V-5B",
        APACHE,
        "text and picture to video, 704 x 1280 at 24 frames/s; the backbone of the 5B; no sound",
        OFFICIAL_FILES,
        revision="921dbaf3f1674a56f47e83fb80a34bac8a8f203e",
        gigabytes=34.2,
        sha256={
            "diffusion_pytorch_model-00001-of-00003.safetensors": "720b06c4ade5e87c1246bba8ac95b664"
            "c638749cd9b102cf84d823bb44c026a1",
            "diffusion_pytorch_model-00002-of-00003.safetensors": "09ec5ef720d8396f6cfa51fbdcbdb232"
            "7e37722afd6e89fd38f1e7e5e782c283",
            "diffusion_pytorch_model-00003-of-00003.safetensors": "6306f7894c345de9093ad588771c2abf"
            "aeb668a81f7a6d9a918bd26ba3568e49",
            "models_t5_umt5-xxl-enc-bf16.pth": "7cace0da2b446bbbbc57d031ab6cf163"
            "a3d59b366da94e5afe36745b746fd81d",
            "Wan2.2_VAE.pth": "20eb789667fa5e60e7516bf509512f6cb61f01b0aa0695eadaea930c13892b36",
        },
    ),
    Known(
        "wan2.2-ti2v-5b-diffusers",
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        APACHE,
        "the same weights in the diffusers layout",
        DIFFUSERS_FILES,
    ),
    Known(
        "longlive-2.0-5b",
        "Efficient-Large-Model/LongLive-2.0-5B",
        APACHE,
        "causal student of the 5B, 4 steps, long videos of several shots; no sound",
        ("model_bf16.pt", "LICENSE*"),
        revision="8521079b863720a57c1a8d9b19c8d9e6ccb04c0f",
        needs=(BASE_5B,),
        sha256={
            "model_bf16.pt": "ec9063a44ea3c91e8ff55edcdd58dba3f1bcf6ac9091249629cb57fcebe35fd8"
        },
        steps=4,
    ),
    Known(
        "abot-world-0-5b-lf",
        "acvlab/ABot-World-0-5B-LF",
        APACHE,
        "causal student of the 5B, 4 steps, steered by keys (not here); no sound",
        OFFICIAL_FILES,
        steps=4,
    ),
    Known(
        "talkverse-5b",
        "snap-research/talkverse-s2v-5b",
        SNAP,
        "speech to video: LoRA and audio attention at 11 blocks of the 5B; not mapped whole",
        WEIGHTS,
        revision="3a58ee5632c0cf65808bdcb5be2a35e309462e4b",
        commercial=False,
        gigabytes=2.1,
        needs=(BASE_5B, "wav2vec2-xlsr-53-english"),
        sha256={
            "talkverse_s2v_5b.safetensors": "07dd12fdd2044e6f9594009a8f24db4b"
            "4fe0a36b1c2cd3d30c818c31c7713923"
        },
    ),
    Known(
        "jogg-avatar-v2v-5b",
        "cicada-ai/Jogg-Avatar-V2V",
        APACHE,
        "new lips for a video: LoRA of the 5B, packed audio before blocks 2 to 15",
        WEIGHTS,
        needs=(BASE_5B, "wav2vec2-base-960h"),
    ),
    Known(
        BASE_1_3B,
        "Wan-AI/Wan2.1-T2V-1.3B",
        APACHE,
        "text to video at 480p; the base of the 1.3B avatars",
        OFFICIAL_FILES,
        gigabytes=17.5,
    ),
    Known(
        "omniavatar-1.3b",
        "OmniAvatar/OmniAvatar-1.3B",
        APACHE,
        "speech to video: LoRA of the 1.3B, packed audio before blocks 2 to 15",
        WEIGHTS,
        gigabytes=0.36,
        needs=(BASE_1_3B, "wav2vec2-base-960h"),
    ),
    Known(
        "livetalk-1.3b",
        "GAIR/LiveTalk-1.3B-V0.1",
        CC_NC,
        "causal student of OmniAvatar-1.3B, 4 steps, packed audio",
        WEIGHTS,
        commercial=False,
        gigabytes=5.7,
        needs=(BASE_1_3B, "wav2vec2-base-960h"),
        steps=4,
    ),
    Known(
        "soulx-flashhead-1.3b",
        "Soul-AILab/SoulX-FlashHead-1_3B",
        APACHE,
        "talking head in real time (the Pro weights; Lite needs LTX-Video's VAE); no text",
        ("Model_Pro/*", "LICENSE*"),
        gigabytes=6.0,
        needs=(BASE_1_3B, "wav2vec2-base-960h"),
    ),
    Known(
        "taew2_2",
        "acvlab/ABot-World-0-5B-LF",
        "MIT",
        "tiny codec of the 5B's latents (madebyollin/taehv), from a repository that carries it",
        ("taew2_2.pth",),
    ),
    Known(
        "wav2vec2-base-960h",
        "facebook/wav2vec2-base-960h",
        APACHE,
        "the speech features that the 1.3B avatars and Jogg-Avatar hear",
        ("config.json", "preprocessor_config.json", "model.safetensors"),
    ),
    Known(
        "wav2vec2-xlsr-53-english",
        "jonatasgrosman/wav2vec2-large-xlsr-53-english",
        APACHE,
        "the speech features that TalkVerse hears",
        ("config.json", "preprocessor_config.json", "model.safetensors"),
        revision="569a6236e92bd5f7652a0420bfe9bb94c5664080",
        sha256={
            "model.safetensors": "6144f8464c6aaa220dd57c5a2ad4039b5710dcf8ee6e67057675f76597c19875"
        },
    ),
    Known(
        "whisper-large-v3",
        "openai/whisper-large-v3",
        APACHE,
        "the speech features that Soul hears",
        ("config.json", "preprocessor_config.json", "model.safetensors"),
    ),
)


def known(name: str) -> Known:
    """CheckpointError, one sentence with all names, if there is no such checkpoint."""
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in CATALOGUE)
    raise CheckpointError(f"no checkpoint is called {name!r}; expected one of {names}")
