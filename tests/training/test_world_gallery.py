"""Built-in people: named, distinct, written as files that can be read back."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soul.training.motion import neutral
from soul.training.world import (
    BUILT_IN,
    NAMES,
    contact_sheet,
    draw_built_in,
    draw_identity,
    write_portraits,
)


def test_names_match_seeds() -> None:
    assert len(NAMES) == len(BUILT_IN) == len(set(NAMES)) == len(set(BUILT_IN)) == 12
    assert draw_built_in(NAMES[0]) == draw_identity(np.random.default_rng(BUILT_IN[0]))


def test_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="Nobody"):
        draw_built_in("Nobody")


def test_contact_sheet_is_people_by_rows() -> None:
    sheet = contact_sheet([draw_built_in(n) for n in NAMES[:2]], list(neutral(3)), 32)
    assert sheet.shape == (64, 96, 3)


def test_portraits_are_written(tmp_path: Path) -> None:
    paths = write_portraits(tmp_path / "faces")
    assert [p.name for p in paths] == [f"{n.lower()}.png" for n in NAMES]
    with Image.open(paths[0]) as image:
        assert image.size == (512, 512)
        assert image.mode == "RGB"
