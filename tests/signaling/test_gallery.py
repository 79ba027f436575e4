"""Built-in portraits and the bounded store of uploads."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soul.signaling.gallery import UnknownPortrait, Uploads, built_ins, data_url

BLACK = np.zeros((4, 4, 3), np.uint8)


def test_built_ins_are_the_pngs_with_usable_names(tmp_path: Path) -> None:
    for name in ("hana.png", "anna-maria.png", "Not Allowed.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = built_ins(tmp_path)
    assert [(portrait.id, portrait.name) for portrait in found] == [
        ("anna-maria", "Anna Maria"),
        ("hana", "Hana"),
    ]


def test_the_upload_used_longest_ago_makes_room() -> None:
    numbers = iter("abc")
    uploads = Uploads(2, lambda: next(numbers))
    first, second = uploads.add(BLACK), uploads.add(BLACK + 1)
    assert first == "upload:a"
    uploads.get(first)
    uploads.add(BLACK + 2)
    assert uploads.get(first) is BLACK
    assert len(uploads) == 2
    with pytest.raises(UnknownPortrait, match="upload:b"):
        uploads.get(second)


def test_a_preview_is_the_picture_itself() -> None:
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    head, _, body = data_url(picture).partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), picture)
