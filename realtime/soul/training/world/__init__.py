"""The drawn world: illustrated people whose every motion is known exactly.

`draw_identity` invents a person, `Artist` draws them under a row of motion, `flow` says where each
pixel came from and `regions` where mouth and eyes are. Directions are the drawn person's own.
Knows nothing of speech, models or training.
"""

from soul.training.world.artist import Artist, Regions, regions
from soul.training.world.gallery import (
    BUILT_IN,
    NAMES,
    contact_sheet,
    draw_built_in,
    write_portraits,
)
from soul.training.world.identity import Identity, draw_identity
from soul.training.world.rig import Rig, flow

__all__ = [
    "BUILT_IN",
    "NAMES",
    "Artist",
    "Identity",
    "Regions",
    "Rig",
    "contact_sheet",
    "draw_built_in",
    "draw_identity",
    "flow",
    "regions",
    "write_portraits",
]
