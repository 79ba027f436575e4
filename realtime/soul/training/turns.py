"""Two kinds of life: a face that speaks, and one that listens while somebody else has the word.

Held-out people speak and listen in turn; the model is told who has the word, as in a call, and the
other's voice bleeds into the microphone. What is seen stands beside the world's own renders.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from soul.measure.change import jump
from soul.measure.life import nods
from soul.measure.lips import closure_in_silence
from soul.model.bearing import WITH_HEAD
from soul.timebase import FRAME_RATE
from soul.training.figures import CLOSED, mean_of_known
from soul.training.probe import VISIBLE, Probe, Readings
from soul.training.sight import eye_for
from soul.training.staging import dialogue
from soul.training.strips import Strip, overview
from soul.training.switching import Observed, largest, observe
from soul.training.takes import Actor, drawn

Mask = NDArray[np.bool_]

AT_VIEWER = 0.25  # eyes that rest nearer than this to the viewer's look at them


@dataclass(frozen=True)
class Turn:
    """One take [T] with turns: where its owner listens, where the mouth has to be closed."""

    listening: Mask
    silent: Mask
    seen: Observed
    renders: Observed
    strip: Strip

    @property
    def switches(self) -> list[int]:
        """The first frames of every turn but the first."""
        return (np.flatnonzero(np.diff(self.listening.astype(np.int8))) + 1).tolist()


def converse(actor: Actor, probe: Probe, seed: int, number: int, frames: int) -> Turn:
    """One take of `frames`."""
    found = dialogue(seed, number, frames)
    portrait = found.scene.artist.portrait()
    eye = eye_for(probe, portrait)
    pictures, renders = actor(found.scene).pictures, drawn(found.scene).pictures
    heard = np.flatnonzero(found.listening)
    shown = range(int(heard[0]), int(heard[-1]) + 1)
    return Turn(
        found.listening,
        found.silent,
        seen=observe(eye.read(pictures), pictures),
        renders=observe(eye.read(renders), renders),
        strip=overview("listening", portrait, pictures, renders, shown),
    )


def of_renders(takes: Sequence[Turn]) -> list[Turn]:
    """The same takes as if the model had painted the world's own renders."""
    return [replace(take, seen=take.renders) for take in takes]


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """What a listener does; nan where these takes cannot tell.

    Smiles are the mean while listening less that while speaking; jumps are the largest at the
    beginning of a turn, over what is usual of the same take.
    """

    listening_closed: float
    listening_gaze_at_viewer: float
    listening_nods_a_minute: float
    listening_smile: float
    turn_jump_picture: float
    turn_jump_pose: float


def turn_figures(takes: Sequence[Turn]) -> TurnFigures:
    """The figures of what was seen."""
    jumps = [(take, at) for take in takes for at in take.switches]
    return TurnFigures(
        listening_closed=closed(takes),
        listening_gaze_at_viewer=mean_of_known([at_viewer(take) for take in takes]),
        listening_nods_a_minute=nods_a_minute(takes),
        listening_smile=mean_of_known([smiles(take) for take in takes]),
        turn_jump_picture=largest([jump(take.seen.picture, at) for take, at in jumps]),
        turn_jump_pose=largest([jump(take.seen.pose, at) for take, at in jumps]),
    )


def closed(takes: Sequence[Turn]) -> float:
    """Share of the frames of listening with a closed mouth; nan without any."""
    if not takes:
        return math.nan
    opening = np.concatenate([take.seen.read.mouth_open for take in takes])
    quiet = np.concatenate([take.listening & take.silent for take in takes])
    return closure_in_silence(opening, quiet, CLOSED)


def at_viewer(take: Turn) -> float:
    """Share of listening in which the eyes, as far as lids let them be seen, are on the viewer."""
    read = take.seen.read
    used = take.listening & (read.eye_open > VISIBLE)
    return float(np.mean(strays(read)[used] < AT_VIEWER)) if used.any() else math.nan


def strays(read: Readings) -> NDArray[np.float32]:
    """How far from the viewer the eyes look [T]; they go against the head to stay there."""
    return np.hypot(read.gaze_x + WITH_HEAD * read.yaw, read.gaze_y)


def nods_a_minute(takes: Sequence[Turn]) -> float:
    """Nods while listening, a minute of it; nan without any."""
    heard = sum(int(take.listening.sum()) for take in takes)
    seen = sum(int(take.listening[nods(take.seen.read.pitch)].sum()) for take in takes)
    return seen * 60 * FRAME_RATE / heard if heard else math.nan


def smiles(take: Turn) -> float:
    """How much more the face smiles while it listens; nan for a take of one turn alone."""
    if take.listening.all() or not take.listening.any():
        return math.nan
    smile = take.seen.read.smile
    return float(smile[take.listening].mean() - smile[~take.listening].mean())
