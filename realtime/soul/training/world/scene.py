"""What stands behind a person: soft gradients and blurred shapes. Knows nothing of faces."""

import numpy as np

from soul.training.world.color import WARM_LIGHT, light, mix
from soul.training.world.identity import CENTRE, Scene
from soul.training.world.pen import Brush, Curve, curve, linear

FRAME: Curve = np.asarray([(-60, -60), (316, -60), (316, 316), (-60, 316)], np.float32)


def paint_scene(brush: Brush, scene: Scene) -> None:
    """Fill the whole canvas."""
    side = scene.light
    a, b = (CENTRE + 120 * side, -20.0), (CENTRE - 110 * side, 270.0)
    brush.pour(
        FRAME,
        linear(
            a,
            b,
            [
                (0.0, light(scene.near, 0.25), 1.0),
                (0.5, mix(scene.near, scene.far, 0.5), 1.0),
                (1.0, scene.far, 1.0),
            ],
        ),
    )
    rng = np.random.default_rng(scene.seed)
    if scene.motif == "bokeh":
        _bokeh(brush, scene, rng)
    elif scene.motif == "arc":
        brush.oval(CENTRE, 118.0, 122.0, 122.0, light(scene.near, 0.35), 0.5, 5.0)
    elif scene.motif == "window":
        _window(brush, scene)
    elif scene.motif == "leaves":
        _leaves(brush, scene, rng)
    brush.glow(CENTRE + 70 * side, 60.0, 170.0, 150.0, WARM_LIGHT, 0.35)


def _bokeh(brush: Brush, scene: Scene, rng: np.random.Generator) -> None:
    for _ in range(13):
        x, y = rng.uniform(-10, 266), rng.uniform(-10, 220)
        radius = rng.uniform(7, 26)
        tint = mix(light(scene.near, 0.6), scene.accent, float(rng.uniform(0.0, 0.5)))
        brush.oval(x, y, radius, radius, tint, float(rng.uniform(0.12, 0.35)), 3.0)


def _window(brush: Brush, scene: Scene) -> None:
    lean = 34.0 * scene.light
    for x0 in (-30.0, 62.0, 154.0, 246.0):
        pane = np.asarray(
            [(x0, -40), (x0 + 66, -40), (x0 + 66 - lean, 300), (x0 - lean, 300)], np.float32
        )
        brush.fill(pane, light(scene.near, 0.5), 0.3, 7.0)


def _leaves(brush: Brush, scene: Scene, rng: np.random.Generator) -> None:
    for _ in range(16):
        x = rng.choice((rng.uniform(-10, 60), rng.uniform(196, 266)))
        y, turn = rng.uniform(-10, 240), rng.uniform(0, np.pi)
        length, wide = rng.uniform(22, 42), rng.uniform(6, 12)
        leaf = curve(
            [(0, 0), (length * 0.5, wide), (length, 0), (length * 0.5, -wide)], closed=True
        )
        spin = np.asarray([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        tint = mix(scene.far, scene.accent, float(rng.uniform(0.1, 0.5)))
        brush.fill(
            (leaf @ spin + (x, y)).astype(np.float32), tint, float(rng.uniform(0.25, 0.5)), 3.5
        )
