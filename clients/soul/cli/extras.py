"""What each extra of the package brings, and one sentence where it is not installed.

Only what the code imports itself is looked for. Nothing is imported to find out.
"""

import importlib.util

from soul.cli.console import fail

# Extra → module → the distribution that brings it.
NEEDED: dict[str, dict[str, str]] = {
    "training": {
        "skia": "skia-python",
        "scipy": "scipy",
        "matplotlib": "matplotlib",
        "tensorboard": "tensorboard",
    },
    "wan": {
        "diffusers": "diffusers",
        "transformers": "transformers",
        "huggingface_hub": "huggingface-hub",
        "sentencepiece": "sentencepiece",
        "ftfy": "ftfy",
    },
    "data": {
        "cv2": "opencv-python-headless",
        "httpx": "httpx",
        "onnxruntime": "onnxruntime",
        "pyarrow": "pyarrow",
        "rapidocr": "rapidocr",
        "scenedetect": "scenedetect-headless",
    },
}


def missing(extra: str) -> list[str]:
    """Distributions of `extra` that are not installed."""
    return [d for module, d in NEEDED[extra].items() if importlib.util.find_spec(module) is None]


def need_extra(command: str, extra: str) -> None:
    """Ends `soul COMMAND` with one sentence if `extra` is not installed."""
    if lacking := missing(extra):
        names = ", ".join(lacking)
        fail(f"soul {command} needs {names}: run pip install -e '.[{extra}]' in the clone")
