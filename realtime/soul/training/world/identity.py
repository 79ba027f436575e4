"""Who is drawn: every choice about one person, made once from a random generator.

Lengths are in neutral face units: the picture is 256 units wide and high, y points down. Knows
nothing of how any of it is drawn or moved.
"""

from dataclasses import dataclass, replace

import numpy as np

from soul.training.world.color import Rgb, light, luma, mix, rgb, shadow

CENTRE = 128.0

SKINS = (
    "fbe0cd f6d3bb f2c6a6 eab894 e0a97f d49a70 c4875c b3744b 9a5f3c 80492e 673a27 5a3624"
    " f7cdb5 d8a47c"
)
HAIR = "17130f 241812 33211a 4a2e1e 6a4325 8a5a30 b07c42 d6aa62 e9cd8f 8d3a1c b5532a 5a2418"
GREY = "b9b4b0 d9d6d2 8e8a88"
BOLD = "b5566f 3f6f8f 6a5a9c"
IRIS = "4a2c17 6b4423 7d5a2c 86703a 5f7a45 4f7f6b 4d7fa6 6c9cc0 7c8fa0 3a2416"
# background light, background deep, cloth, accent
PALETTES = (
    ("f6e2c8", "e2a98a", "2f5d6b", "e8c07a"),
    ("dfeae6", "8fb8b0", "c0563f", "f2e6d0"),
    ("e9e0f2", "a99bcf", "3d3a66", "f0b9c0"),
    ("fbe6df", "e79e97", "f3ece4", "7c4a5e"),
    ("d6e6f4", "7ea6cf", "e3a63f", "2d4469"),
    ("f4ecd4", "cdbb7c", "55704a", "e8dcb8"),
    ("e3efd9", "93b57d", "7a3f5c", "f1d9b5"),
    ("f3d9d2", "b3707c", "2b2f44", "d9b28c"),
    ("d4ecec", "5fa3a6", "f0e9df", "d4695a"),
    ("e8e4de", "a79c92", "8c2f39", "e8d9c4"),
    ("33415c", "17203a", "b9c4d6", "e0a458"),
    ("5c4a5f", "2c2238", "d98c6a", "f2d7b0"),
    ("3f5f58", "1c332f", "e4d3b2", "c97b4a"),
    ("fdf0d5", "f0b86e", "6c7fb3", "fff4e0"),
)
HAIR_STYLES = (
    "bald",
    "buzz",
    "crop",
    "quiff",
    "side_part",
    "pixie",
    "bob",
    "fringe_bob",
    "long",
    "long_fringe",
    "wavy",
    "curly",
    "afro",
    "bun",
    "ponytail",
    "braid",
    "balding",
    "hijab",
    "beanie",
)
COVERS_EARS = ("hijab", "bob", "fringe_bob", "long", "long_fringe", "wavy")
CLOTHES = ("tee", "v_neck", "shirt", "turtleneck", "hoodie", "blazer", "scoop")
BEARDS = ("none", "stubble", "full", "goatee", "moustache")
GLASSES = ("none", "round", "square", "thin")


@dataclass(frozen=True, slots=True)
class FaceShape:
    """Half-widths (from the middle line) and heights of the skull and what sits on it."""

    crown: float
    temple: float
    cheek: float
    jaw: float
    jaw_y: float
    chin: float
    chin_y: float
    neck: float
    ear: float
    eye_y: float
    eye_x: float
    nose_y: float
    mouth_y: float


@dataclass(frozen=True, slots=True)
class Eyes:
    """Half-width, opening, outer tilt (units), lid crease, lashes 0 .. 1."""

    half: float
    height: float
    tilt: float
    round: float
    crease: float
    lashes: float
    iris: Rgb
    iris_radius: float
    shade: Rgb
    shade_strength: float


@dataclass(frozen=True, slots=True)
class Brows:
    """Thickness, arch, slope of the outer end, height above the eye."""

    thick: float
    arch: float
    slope: float
    rise: float
    color: Rgb


@dataclass(frozen=True, slots=True)
class Nose:
    """Half-width of the wings, length of the bridge's light, roundness of the tip."""

    half: float
    tip: float
    bridge: float


@dataclass(frozen=True, slots=True)
class Mouth:
    """Half-width, thickness of both lips at the middle, depth of the cupid's bow."""

    half: float
    upper: float
    lower: float
    bow: float
    curve: float
    color: Rgb


@dataclass(frozen=True, slots=True)
class Hair:
    """Style, colour, light, volume over the skull; `seed` places the strands."""

    style: str
    color: Rgb
    volume: float
    part: float
    length: float
    seed: int


@dataclass(frozen=True, slots=True)
class Scene:
    """Colours and shapes around the head; `light` is -1 (from the left) or 1."""

    light: float
    near: Rgb
    far: Rgb
    cloth: Rgb
    accent: Rgb
    clothes: str
    motif: str
    shoulders: float
    seed: int


@dataclass(frozen=True, slots=True)
class Identity:
    """One person. Equal identities give equal pixels."""

    age: float  # years
    feminine: float  # 0 .. 1
    skin: Rgb
    blush: float
    freckles: float
    face: FaceShape
    eyes: Eyes
    brows: Brows
    nose: Nose
    mouth: Mouth
    hair: Hair
    beard: str
    glasses: str
    earrings: str
    scene: Scene


def draw_identity(rng: np.random.Generator) -> Identity:
    """Draw one person; everything depends on `rng` only."""
    feminine = float(np.clip(rng.beta(0.3, 0.3), 0.0, 1.0))
    age = float(18.0 + 60.0 * rng.beta(1.0, 2.5))
    tone = int(rng.integers(len(SKINS.split())))
    skin = _skin(rng, tone)
    hair = _hair(rng, feminine, age, tone)
    if _distance(hair.color, skin) < 0.4:
        hair = replace(hair, color=mix(hair.color, rgb("2c1a12"), 0.6))
    face = _face(rng, feminine)
    return Identity(
        age=age,
        feminine=feminine,
        skin=skin,
        blush=float(rng.uniform(0.25, 0.8)) * (0.6 + 0.4 * feminine),
        freckles=float(rng.uniform(0.4, 1.0)) if rng.random() < 0.18 else 0.0,
        face=face,
        eyes=_eyes(rng, feminine, tone),
        brows=_brows(rng, feminine, hair.color, age),
        nose=Nose(
            half=float(rng.uniform(10.5, 16.5)) * (1.06 - 0.12 * feminine),
            tip=float(rng.uniform(0.7, 1.2)),
            bridge=float(rng.uniform(0.4, 1.0)),
        ),
        mouth=_mouth(rng, feminine, skin),
        hair=hair,
        beard=_beard(rng, feminine),
        glasses=_choose(rng, GLASSES, (0.72, 0.1, 0.1, 0.08)),
        earrings=_earrings(rng, feminine, hair.style),
        scene=_scene(rng, hair.color, skin),
    )


def _choose(rng: np.random.Generator, names: tuple[str, ...], weights: tuple[float, ...]) -> str:
    share = np.asarray(weights, np.float64)
    return names[int(rng.choice(len(names), p=share / share.sum()))]


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _skin(rng: np.random.Generator, tone: int) -> Rgb:
    base = rgb(SKINS.split()[tone])
    other = rgb(SKINS.split()[tone + 1 if tone < 11 else tone])
    return mix(base, other, _between(rng, 0.0, 0.5))


def _face(rng: np.random.Generator, feminine: float) -> FaceShape:
    cheek = _between(rng, 56.0, 63.0)
    chin_y = _between(rng, 195.0, 202.0) - 3.0 * feminine
    jaw = cheek * (_between(rng, 0.78, 0.9) - 0.07 * feminine)
    return FaceShape(
        crown=_between(rng, 34.0, 38.0),
        temple=cheek * _between(rng, 0.93, 0.99),
        cheek=cheek,
        jaw=jaw,
        jaw_y=_between(rng, 156.0, 164.0),
        chin=jaw * (_between(rng, 0.36, 0.5) - 0.08 * feminine),
        chin_y=chin_y,
        neck=_between(rng, 33.0, 40.0) - 7.0 * feminine,
        ear=_between(rng, 0.9, 1.15),
        eye_y=_between(rng, 108.0, 113.0),
        eye_x=cheek * _between(rng, 0.475, 0.51),
        nose_y=_between(rng, 137.0, 144.0),
        mouth_y=_between(rng, 161.0, 165.0),
    )


def _eyes(rng: np.random.Generator, feminine: float, tone: int) -> Eyes:
    codes = IRIS.split()
    pool = (0, 1, 2, 9) if tone in (7, 8, 9, 10, 11) else tuple(range(len(codes)))
    shades = ("b0687a", "8a5a78", "a8744f", "6a5a7c", "4f6f78")
    return Eyes(
        half=_between(rng, 15.8, 18.2),
        height=_between(rng, 11.8, 15.8) + 1.2 * feminine,
        tilt=_between(rng, -2.2, 4.0),
        round=_between(rng, 0.0, 1.0),
        crease=_between(rng, 0.15, 1.0),
        lashes=float(np.clip(feminine + rng.normal(0.0, 0.12), 0.0, 1.0)),
        iris=rgb(codes[pool[int(rng.integers(len(pool)))]]),
        iris_radius=_between(rng, 8.4, 9.4),
        shade=rgb(shades[int(rng.integers(len(shades)))]),
        shade_strength=_between(rng, 0.06, 0.26) if feminine > 0.6 else 0.0,
    )


def _brows(rng: np.random.Generator, feminine: float, hair: Rgb, age: float) -> Brows:
    return Brows(
        thick=_between(rng, 5.0, 7.4) - 2.0 * feminine,
        arch=_between(rng, 0.6, 2.4) + 1.2 * feminine,
        slope=_between(rng, -0.5, 2.0),
        rise=_between(rng, 18.5, 22.0),
        color=mix(hair, rgb("2a1a14"), 0.5 if age < 62 else 0.3),
    )


def _mouth(rng: np.random.Generator, feminine: float, skin: Rgb) -> Mouth:
    paints = ("b5434e", "c9636a", "a83a4a", "c4705f", "93304a")
    paint = rgb(paints[int(rng.integers(len(paints)))])
    # lips must read on every skin
    share = 0.22 + 0.18 * feminine + 0.22 * (1.0 - luma(skin)) ** 2
    bare = mix(shadow(skin, 0.35), rgb("c25a5c"), share)
    made_up = _between(rng, 0.25, 0.85) * feminine
    full = _between(rng, 0.82, 1.12) * (0.88 + 0.2 * feminine)
    return Mouth(
        half=_between(rng, 27.5, 31.5),
        upper=6.6 * full,
        lower=9.0 * full,
        bow=_between(rng, 1.2, 2.8),
        curve=_between(rng, 2.8, 5.4),
        color=mix(bare, paint, made_up if rng.random() < 0.6 else 0.1),
    )


def _hair(rng: np.random.Generator, feminine: float, age: float, tone: int) -> Hair:
    woman = (
        0.0,
        0.02,
        0.02,
        0.0,
        0.02,
        0.7,
        1.0,
        0.9,
        1.2,
        0.9,
        1.2,
        0.9,
        0.5,
        1.0,
        0.9,
        0.9,
        0.0,
        0.8,
        0.35,
    )
    man = (
        0.7,
        0.8,
        1.3,
        1.1,
        1.3,
        0.15,
        0.0,
        0.0,
        0.12,
        0.0,
        0.15,
        0.4,
        0.5,
        0.15,
        0.0,
        0.0,
        0.2,
        0.0,
        0.55,
    )
    share = 1.0 / (1.0 + np.exp(-24.0 * (feminine - 0.5)))
    weights = tuple(float(w * share + m * (1.0 - share)) for w, m in zip(woman, man, strict=True))
    style = _choose(rng, HAIR_STYLES, weights)
    if age > 52 and style in ("crop", "buzz", "quiff") and rng.random() < 0.45:
        style = "balding"
    return Hair(
        style=style,
        color=_hair_color(rng, age, tone),
        volume=_between(rng, 0.85, 1.2),
        part=_between(rng, -1.0, 1.0),
        length=_between(rng, 0.0, 1.0),
        seed=int(rng.integers(2**31)),
    )


def _hair_color(rng: np.random.Generator, age: float, tone: int) -> Rgb:
    natural = HAIR.split()[:5] if tone in (7, 8, 9, 10, 11) else HAIR.split()
    color = rgb(natural[int(rng.integers(len(natural)))])
    if age < 40 and rng.random() < 0.08:
        return mix(color, rgb(BOLD.split()[int(rng.integers(3))]), 0.85)
    grey = rgb(GREY.split()[int(rng.integers(3))])
    share = float(np.clip((age - 44.0) / 22.0 + rng.normal(0.0, 0.25), 0.0, 1.0))
    return light(mix(color, grey, share if age > 44 else 0.0), 0.02)


def _beard(rng: np.random.Generator, feminine: float) -> str:
    if feminine > 0.36:
        return "none"
    return _choose(rng, BEARDS, (0.42, 0.2, 0.2, 0.1, 0.08))


def _earrings(rng: np.random.Generator, feminine: float, style: str) -> str:
    if style in COVERS_EARS or rng.random() > 0.12 + 0.5 * feminine:
        return "none"
    return _choose(rng, ("stud", "hoop", "drop"), (0.4, 0.35, 0.25))


def _distance(a: Rgb, b: Rgb) -> float:
    return float(np.abs(np.subtract(a, b)).sum())


def _scene(rng: np.random.Generator, hair: Rgb, skin: Rgb) -> Scene:
    order = rng.permutation(len(PALETTES))
    # hair and skin must stand out from what is behind them
    apart = [i for i in order if _distance(rgb(PALETTES[i][1]), hair) > 0.5]
    apart = [i for i in apart if _distance(rgb(PALETTES[i][0]), skin) > 0.25] or list(order)
    # cloth in the skin's own colour would look like none
    worn = [i for i in apart if _distance(rgb(PALETTES[i][2]), skin) > 0.55] or apart
    near, far, cloth, accent = (rgb(code) for code in PALETTES[worn[0]])
    if rng.random() < 0.25 and _distance(accent, skin) > 0.55:
        cloth, accent = accent, cloth
    return Scene(
        light=-1.0 if rng.random() < 0.5 else 1.0,
        near=near,
        far=far,
        cloth=cloth,
        accent=accent,
        clothes=CLOTHES[int(rng.integers(len(CLOTHES)))],
        motif=_choose(rng, ("plain", "bokeh", "arc", "window", "leaves"), (1, 1, 1, 1, 1)),
        shoulders=_between(rng, 0.0, 1.0),
        seed=int(rng.integers(2**31)),
    )
