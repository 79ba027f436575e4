"""The stuff of hair: locks, masses and clouds of curls, and where hair lies on a skull.

A lock is a ribbon between two guide curves that run from the root to the tips; strands lie between
them, so hair flows as it grows. Units and centre as in `identity`. Knows no hair styles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soul.training.world.color import Rgb, cool, light, shadow
from soul.training.world.identity import CENTRE, Identity
from soul.training.world.pen import Brush, Curve, curve, linear, mirror, resample, taper

Pairs = Sequence[tuple[float, float]]
SHIFT = np.asarray((CENTRE, 0.0), np.float32)


@dataclass(frozen=True, slots=True)
class Wave:
    """How strands curl: amplitude in units, turns from root to tip."""

    size: float = 0.0
    turns: float = 0.0


STRAIGHT = Wave()


def guide(points: Pairs, side: float = 1.0, wave: Wave = STRAIGHT, phase: float = 0.0) -> Curve:
    line = resample(curve(points), 40)
    if wave.size > 0.0:
        t = np.linspace(0.0, 1.0, len(line), dtype=np.float32)
        line[:, 0] += (
            wave.size * np.sin(2 * np.pi * wave.turns * t + phase) * np.clip(3 * t - 0.5, 0, 1)
        )
    if side < 0:
        line = mirror(line, 0.0)
    return line + SHIFT


def ribbon(
    brush: Brush, who: Identity, inner: Curve, outer: Curve, seed: int, depth: float = 0.0
) -> None:
    """A lock between two guides; `depth` darkens it."""
    color, side = cool(who.hair.color, depth), who.scene.light
    shape = np.concatenate((inner, outer[::-1]))
    low, high = shape.min(0), shape.max(0)
    brush.pour(
        shape,
        linear(
            (CENTRE + 60 * side, float(low[1])),
            (CENTRE - 60 * side, float(high[1]) + 1),
            [(0.0, light(color, 0.1), 1.0), (0.45, color, 1.0), (1.0, cool(color, 0.6), 1.0)],
        ),
        0.4,
    )
    with brush.inside(shape):
        strands(brush, color, inner, outer, np.random.default_rng(who.hair.seed + seed), 54)
        _sheen(brush, color, inner, outer, 0.55 if side * (outer.mean(0)[0] - CENTRE) >= 0 else 0.3)
        brush.line(inner, cool(color, 1.0), 3.0, 0.4, 1.6)


def strands(
    brush: Brush, color: Rgb, inner: Curve, outer: Curve, rng: np.random.Generator, count: int
) -> None:
    for _ in range(count):
        k, drift = rng.uniform(-0.02, 1.02), rng.normal(0.0, 0.05)
        t = np.linspace(0.0, 1.0, len(inner), dtype=np.float32)[:, None]
        share = np.clip(k + drift * t, 0.0, 1.0)
        start = int(rng.integers(0, len(inner) // 3))
        strand = (inner * (1 - share) + outer * share)[start:].astype(np.float32)
        bright = rng.random()
        tint = (
            light(color, 0.08 + 0.3 * bright) if bright > 0.55 else cool(color, 0.3 + 0.9 * bright)
        )
        brush.fill(taper(strand, float(rng.uniform(0.7, 2.8))), tint, float(rng.uniform(0.18, 0.5)))


def _sheen(brush: Brush, color: Rgb, inner: Curve, outer: Curve, strength: float) -> None:
    """A soft band of light across the strands."""
    at = int(len(inner) * 0.3)
    span = np.linspace(0.12, 0.94, 9, dtype=np.float32)[:, None]
    band = inner[at] * (1 - span) + outer[at] * span
    brush.line(band.astype(np.float32), light(color, 0.75), 11.0, strength * 0.5, 6.0)
    brush.line(band.astype(np.float32), light(color, 0.9), 4.0, strength * 0.35, 2.5)


def cap(who: Identity, rise: float, side: float, end: float) -> list[tuple[float, float]]:
    """The outer edge of hair over the right half of the skull, crown to `end` (y)."""
    face, v = who.face, who.hair.volume
    top = face.crown - rise * v
    turns = (0.42, 0.8, 1.12, 1.36)
    wide, tall = face.temple + 0.9 * side * v, 94.0 - top
    arch = [(wide * float(np.sin(a)), 94.0 - tall * float(np.cos(a))) for a in turns]
    return [(0.0, top), *arch, (face.cheek + side * v, 108.0), (face.cheek + side * 0.9 * v, end)]


def hairline(
    who: Identity, forehead: float, part: float, end: float, tuck: float = 4.0
) -> list[tuple[float, float]]:
    """The hairline of the right half: from the part on the forehead down to `end` (y)."""
    face = who.face
    return [
        (part, forehead),
        (part * 0.4 + 15.0, forehead + 6.0),
        (32.0, forehead + 19.0),
        (face.temple - 15.0, forehead + 37.0),
        (face.cheek - tuck - 4.0, forehead + 58.0),
        (face.cheek - tuck + 1.0, end),
    ]


def shade_skin(brush: Brush, who: Identity, shape: Curve) -> None:
    """The shadow that front hair casts on the skin."""
    brush.fill(
        shape + np.asarray((-1.5 * who.scene.light, 3.5), np.float32),
        shadow(who.skin, 0.9),
        0.28,
        3.0,
    )


def two_sides(
    brush: Brush, who: Identity, outer: Pairs, inner: Pairs, wave: Wave = STRAIGHT
) -> None:
    """A symmetric front: one ribbon a side, from the part."""
    pairs = [(guide(inner, s, wave, 0.4 * s), guide(outer, s, wave, 1.5 + s)) for s in (-1.0, 1.0)]
    away = 13.0 * who.hair.part * np.linspace(1.0, 0.0, 40, dtype=np.float32) ** 3
    for line in (line for pair in pairs for line in pair):
        line[:, 0] += away
    for i, o in pairs:
        shade_skin(brush, who, np.concatenate((i, o[::-1])))
    for n, (i, o) in enumerate(pairs):
        ribbon(brush, who, i, o, n)


def mass(brush: Brush, who: Identity, right: Pairs, wave: Wave = STRAIGHT) -> None:
    """Hair behind the head: both halves of one silhouette, dark and soft."""
    outer = [guide(right, s, wave, 1.5 + s) for s in (-1.0, 1.0)]
    shape = np.concatenate((outer[0], outer[1][::-1]))
    color = who.hair.color
    brush.pour(
        shape,
        linear(
            (CENTRE, 40),
            (CENTRE, 250),
            [(0.0, cool(color, 0.3), 1.0), (1.0, cool(color, 0.85), 1.0)],
        ),
        0.5,
    )
    with brush.inside(shape):
        for n, o in enumerate(outer):
            inner = o.copy()
            inner[:, 0] = CENTRE + (o[:, 0] - CENTRE) * 0.25
            rng = np.random.default_rng(who.hair.seed + 20 + n)
            strands(brush, cool(color, 0.45), inner, o, rng, 60)


def curls(
    brush: Brush, who: Identity, centres: Curve, radius: float, seed: int, depth: float
) -> None:
    """A cloud of curls around centres."""
    rng = np.random.default_rng(who.hair.seed + seed)
    color = cool(who.hair.color, depth)
    for x, y in centres.tolist():
        brush.oval(x, y, radius, radius, cool(color, 0.35), 1.0, 0.5)
    for x, y in centres[rng.permutation(len(centres))].tolist():
        start, turns = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.95)
        r = radius * rng.uniform(0.45, 0.95)
        angle = start + np.linspace(0.0, 2 * np.pi * turns, 14)
        shrink = np.linspace(1.0, 0.55, 14)
        arc = np.stack((x + r * shrink * np.cos(angle), y + r * shrink * np.sin(angle)), 1).astype(
            np.float32
        )
        lit = 0.5 + 0.5 * np.clip(((x - CENTRE) * who.scene.light - (y - 80)) / 90.0, -1, 1)
        tint = (
            light(color, 0.06 + 0.34 * lit * rng.random())
            if rng.random() < 0.55
            else cool(color, 0.9)
        )
        brush.fill(taper(arc, float(rng.uniform(1.6, 3.4)), 0.2, 0.2), tint, 0.6)


def cloud(
    who: Identity, rx: float, ry: float, cy: float, count: int, seed: int, hole: bool
) -> Curve:
    """Random curl centres in an ellipse; with `hole`, only above and beside the face."""
    rng = np.random.default_rng(who.hair.seed + seed)
    angle, radius = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0.0, 1.0, count))
    x, y = rx * radius * np.cos(angle), cy + ry * radius * np.sin(angle)
    if hole:
        face = who.face
        line = 69.0 + 32.0 * np.clip(np.abs(x) / face.cheek, 0, 1) ** 3
        keep = (y < line) | (np.abs(x) > face.cheek + 2)
        x, y = x[keep], y[keep]
    return np.stack((x + CENTRE, y), 1).astype(np.float32)
