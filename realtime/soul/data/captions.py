"""Asks a vision model what a clip shows, over the HTTP that OpenAI-compatible servers speak.

One request a clip: a few of its pictures and a JSON schema for the answer. Knows no tables and no
tar files.
"""

import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

import cv2
import httpx
import numpy as np
from numpy.typing import NDArray

from soul.data.config import CaptionConfig
from soul.data.errors import AnswerError, StopError
from soul.data.source import Pictures

ASKED = {
    "scene": "where this is, and what is behind and around the person",
    "camera": "framing, angle and movement of the camera",
    "action": "what the person does, such as speaking, singing, listening, walking",
    "gesture": "what head, arms and hands do",
    "expression": "what the face shows",
    "light": "where the light comes from, how hard and how warm it is",
}
INSTRUCTION = (
    "These pictures are from one short clip, in order. Describe only what can be seen, in plain "
    "English, one short phrase for each key. Answer with one JSON object with the keys "
    + ", ".join(ASKED)
    + "."
)
AGAIN = frozenset({408, 409, 425, 429})  # statuses that pass; so do those from 500 on
JPEG_QUALITY = 90
SHOWN = 200  # characters of a server's complaint


@dataclass(frozen=True, slots=True)
class Caption:
    """What a clip shows; one phrase each."""

    scene: str
    camera: str
    action: str
    gesture: str
    expression: str
    light: str


class Captioner:
    """Asks for one caption after the other over one connection."""

    def __init__(self, config: CaptionConfig, wait: Callable[[float], None] = time.sleep) -> None:
        key = os.environ.get(config.key, "")
        self._config = config
        self._wait = wait
        self._client = httpx.Client(
            timeout=config.timeout,
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def __call__(self, pictures: Pictures) -> Caption:
        """The caption of a clip's pictures.

        Raises AnswerError if no answer of several tries holds one, StopError if the endpoint
        cannot be reached or refuses.
        """
        question = request(pictures, self._config)
        trouble = ""
        for number in range(self._config.tries):
            if number:
                self._wait(self._config.pause * 2 ** (number - 1))
            answer, trouble = self._post(question)
            if answer is None:
                continue
            try:
                return read_caption(answer)
            except AnswerError as error:
                trouble = str(error)
        if answer is not None:
            raise AnswerError(trouble)
        raise StopError(
            f"{self._config.url!r} gave no answer in {self._config.tries} tries ({trouble}); "
            "run again when it does"
        )

    def _post(self, question: dict[str, Any]) -> tuple[str | None, str]:
        """The answer's body, or None and why there is none that a later try may not bring."""
        url = self._config.url.rstrip("/") + "/chat/completions"
        try:
            answer = self._client.post(url, json=question)
        except httpx.InvalidURL as error:
            raise StopError(f"{url!r} is no address ({error}); expected http://…/v1") from error
        except httpx.UnsupportedProtocol as error:
            raise StopError(f"{url!r} is no address ({error}); expected http://…/v1") from error
        except httpx.TransportError as error:
            return None, str(error) or type(error).__name__
        if answer.is_success:
            return answer.text, ""
        said = f"HTTP {answer.status_code}: {answer.text[:SHOWN].strip()}"
        if answer.status_code in AGAIN or answer.status_code >= 500:
            return None, said
        raise StopError(f"{url!r} refuses captions ({said})")


def request(pictures: Pictures, config: CaptionConfig) -> dict[str, Any]:
    """The body of a chat completion: the instruction, and some pictures evenly spread."""
    edges = np.linspace(0, len(pictures), config.pictures + 1)
    chosen = pictures[((edges[:-1] + edges[1:]) / 2).astype(int)]
    shown = [{"type": "image_url", "image_url": {"url": _data_url(one)}} for one in chosen]
    return {
        "model": config.model,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": INSTRUCTION}, *shown]},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "caption", "strict": True, "schema": schema()},
        },
    }


def schema() -> dict[str, Any]:
    """What the answer must be, in JSON schema."""
    return {
        "type": "object",
        "properties": {
            key: {"type": "string", "description": meaning} for key, meaning in ASKED.items()
        },
        "required": list(ASKED),
        "additionalProperties": False,
    }


def read_caption(body: str) -> Caption:
    """A chat completion's body → its caption; AnswerError if it holds none."""
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError) as error:
        raise AnswerError(f"the answer is no chat completion: {body[:SHOWN]!r}") from error
    if not isinstance(content, str):
        raise AnswerError(f"the model said {content!r}; expected a JSON object")
    found = _object(content)
    missing = [
        field.name
        for field in fields(Caption)
        if not isinstance(found.get(field.name), str) or not found[field.name].strip()
    ]
    if missing:
        raise AnswerError(f"the caption lacks {', '.join(missing)}: {content[:SHOWN]!r}")
    return Caption(**{field.name: " ".join(found[field.name].split()) for field in fields(Caption)})


def _object(content: str) -> dict[str, Any]:
    """The JSON object in what a model says, fenced or not."""
    begin, end = content.find("{"), content.rfind("}")
    try:
        found = json.loads(content[begin : end + 1])
    except ValueError as error:
        raise AnswerError(f"the model said {content[:SHOWN]!r}; expected JSON") from error
    return found if isinstance(found, dict) else {}


def _data_url(picture: NDArray[np.uint8]) -> str:
    done, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"a picture of shape {picture.shape} cannot be made a JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
