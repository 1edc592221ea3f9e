"""An axial brain MRI slice at the level of the lateral ventricles, T1-weighted after contrast agent."""

from __future__ import annotations

import numpy as np

from MonaiSKD.datasets.phantoms.canvas import Canvas, Phantom, Plane, Point, box_of, mix, step

CLASSES = ("no_tumor", "ring", "tumor")
_FIELD_OF_VIEW_MM = 230.0

# Signal, of the brightest fat = 1
_FLUID, _GREY, _WHITE, _BONE, _FAT, _ENHANCING, _NECROSIS, _EDEMA = 0.14, 0.40, 0.60, 0.06, 0.74, 0.88, 0.22, 0.38


def brain_mri_slice(label: str, size: int, rng: np.random.Generator) -> Phantom:
    """Draw an axial slice, anterior on top, the patient's left on the right.

    Args:
        label: "no_tumor"; "tumor" for a solid enhancing mass; "ring" for a mass whose rim alone enhances.
        size: the side of the picture in pixels.
        rng: the source of all variation.

    Returns:
        Pixels in [0, 1], fat and enhancement bright.
    """
    canvas = Canvas(size, rng, tilt=5.0, shift=0.03, scale=0.04)
    centre = _place(rng)
    radius = float(rng.uniform(0.08, 0.18))
    diseased = label != "no_tumor"
    depth = _depth(canvas, rng.uniform(0.62, 0.70), rng.uniform(0.76, 0.83))
    if diseased:
        _push_aside(canvas, centre, radius, rng.uniform(0.2, 0.5))
    signal = _brain(canvas, depth)
    box = None
    if diseased:
        signal, mass = _lesion(canvas, signal, depth, centre, radius, ring=label == "ring")
        box = box_of(mass)
    signal = mix(_head(canvas, depth), signal, step(depth, 0.02))
    coil = 1 + rng.uniform(0.02, 0.09) * canvas.noise(1.5)
    signal = np.clip(signal * coil, 0, None) ** rng.uniform(0.85, 1.15) * rng.uniform(0.85, 1.05)
    # A magnitude image: noise in the real and the imaginary part.
    noise = rng.uniform(0.012, 0.03)
    signal = np.hypot(signal + noise * canvas.grain(), noise * canvas.grain())
    return Phantom(np.clip(signal, 0, 1).astype(np.float32), label, box, (_FIELD_OF_VIEW_MM / size,) * 2)


def _depth(canvas: Canvas, wide: float, long: float) -> Plane:
    """How deep below the brain's surface a point lies; negative outside. The back of the head is broader."""
    x = canvas.x / np.float32(wide) / (1 + 0.10 * canvas.y)
    y = canvas.y / np.float32(long)
    depth: Plane = (1 - np.sqrt(x**2 + y**2)) * np.float32(min(wide, long))
    return depth


def _head(canvas: Canvas, depth: Plane) -> Plane:
    """From outside in: air, scalp, skull, and the enhancing dura."""
    rng = canvas.rng
    skull, scalp = rng.uniform(0.05, 0.075), rng.uniform(0.05, 0.085)
    outside = -depth
    signal = np.zeros_like(depth)
    signal = mix(signal, _FAT * (1 + 0.08 * canvas.noise(14)), step(skull + scalp - outside, 0.03))
    signal = mix(signal, _BONE, step(skull - outside, 0.025))
    # Marrow between the two tables of the skull.
    signal = signal + 0.22 * np.exp(-(((outside - 0.55 * skull) / 0.012) ** 2)) * (0.6 + 0.4 * canvas.noise(9))
    return mix(signal, 0.45, np.exp(-((outside / 0.012) ** 2)))


def _brain(canvas: Canvas, depth: Plane) -> Plane:
    """White matter, the folded cortex, deep nuclei, ventricles, the midline."""
    x, y, rng = canvas.x, canvas.y, canvas.rng
    atrophy = rng.uniform(0.7, 1.5)
    # Where smooth noise crosses zero there are winding lines: sulci, with the cortex along both sides.
    folds = np.abs(canvas.noise(13) + 0.3 * canvas.noise(26))
    outer = step(0.2 - depth, 0.14)
    surface = np.exp(-((depth / 0.055) ** 2))
    cortex = np.clip(np.exp(-((folds / 0.6) ** 4)) * outer + surface, 0, 1)
    sulci = np.exp(-((folds / (0.13 * atrophy)) ** 2)) * step(0.17 - depth, 0.12)
    signal: Plane = _WHITE + 0.012 * canvas.noise(30) + 0 * depth
    signal = mix(signal, _GREY, cortex)
    signal = mix(signal, _FLUID, np.clip(0.9 * sulci + 0.8 * np.exp(-((depth / (0.016 * atrophy)) ** 2)), 0, 1))
    midline = np.exp(-((x / 0.013) ** 2)) * step(np.abs(y + 0.02) - 0.28, 0.1)
    signal = mix(signal, _FLUID, 0.75 * midline)
    for side in (-1, 1):
        signal = mix(signal, _GREY, canvas.ellipse((side * 0.12, 0.06), (0.085, 0.12), turn=-side * 20, edge=0.05))
        signal = mix(signal, _GREY, canvas.ellipse((side * 0.26, -0.04), (0.06, 0.17), turn=-side * 14, edge=0.05))
        signal = mix(signal, _GREY, canvas.ellipse((side * 0.14, -0.17), (0.04, 0.07), turn=side * 20, edge=0.03))
        signal = mix(signal, _GREY, 0.8 * canvas.ellipse((side * 0.40, -0.02), (0.015, 0.2), turn=-side * 5, edge=0.03))
        fissure = canvas.ellipse((side * 0.49, -0.04), (0.13, 0.016 * atrophy), turn=side * 24, edge=0.03)
        signal = mix(signal, _FLUID, 0.8 * fissure)
    return _enhancing_vessels(canvas, _ventricles(canvas, signal, atrophy))


def _ventricles(canvas: Canvas, signal: Plane, atrophy: float) -> Plane:
    wide = canvas.rng.uniform(0.75, 1.1) * atrophy**0.5
    fluid = canvas.ellipse((0, 0.02), (0.016 * wide, 0.09), edge=0.02)
    for side in (-1, 1):
        horn = canvas.ellipse((side * 0.075, -0.21), (0.042 * wide, 0.13), turn=-side * 16, edge=0.02)
        back = canvas.ellipse((side * 0.2, 0.27), (0.045 * wide, 0.15), turn=-side * 24, edge=0.02)
        fluid = np.maximum(fluid, np.maximum(horn, back))
    return mix(signal, _FLUID, fluid)


def _enhancing_vessels(canvas: Canvas, signal: Plane) -> Plane:
    """What takes up contrast agent in health, too: choroid plexus, sinus, cortical veins."""
    rng = canvas.rng
    for side in (-1, 1):
        plexus = canvas.ellipse((side * 0.19, 0.25), (0.022, rng.uniform(0.03, 0.08)), turn=-side * 24, edge=0.02)
        signal = mix(signal, float(rng.uniform(0.55, 0.85)), plexus)
    signal = mix(signal, _ENHANCING, canvas.ellipse((0, 0.74), (0.03, 0.05), edge=0.02))
    for _ in range(rng.integers(3, 8)):
        # Cortical veins, cut across.
        angle = rng.uniform(0, 2 * np.pi)
        vein = canvas.ellipse((0.6 * float(np.cos(angle)), 0.72 * float(np.sin(angle))), (0.016, 0.016), edge=0.02)
        signal = mix(signal, 0.8, vein)
    return signal


def _place(rng: np.random.Generator) -> Point:
    """Somewhere in a hemisphere, not at the very edge."""
    side, angle, out = rng.choice((-1, 1)), rng.uniform(-1.25, 1.25), rng.uniform(0.26, 0.44)
    return float(side * (0.06 + out * np.cos(angle))), float(1.15 * out * np.sin(angle))


def _push_aside(canvas: Canvas, centre: Point, radius: float, strength: float) -> None:
    """Mass effect: bend the coordinates so that what is drawn from now on is displaced away from the lesion."""
    x, y = canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1])
    pull = np.float32(strength) * np.exp(-(x**2 + y**2) / np.float32(2 * (1.8 * radius) ** 2))
    canvas.x, canvas.y = canvas.x - x * pull, canvas.y - y * pull


def _lesion(
    canvas: Canvas, signal: Plane, depth: Plane, centre: Point, radius: float, *, ring: bool
) -> tuple[Plane, Plane]:
    """Edema in the white matter, and on it a solid mass or a ring; returns the signal and the mass's cover."""
    rng = canvas.rng
    inside = step(depth - 0.01, 0.03)
    uneven = np.clip(1 + 0.15 * canvas.noise(6) + 0.13 * canvas.noise(14), 0.75, 1.3)
    spread = canvas.blob(centre, (radius * rng.uniform(1.3, 2.0), radius * rng.uniform(1.3, 2.0)))
    signal = mix(signal, _EDEMA, 0.75 * step(spread * (1 + 0.3 * canvas.noise(8)) - 0.45, 0.25) * inside)
    x, y = canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1])
    stretch, turn = rng.uniform(0.8, 1.25), rng.uniform(0, np.pi)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    # The coordinates are bent around the lesion: a smaller radius here is the wanted one in the picture.
    distance = (0.75 * radius * uneven - np.hypot(along * stretch, across / stretch)).astype(np.float32)
    mass = step(distance, 0.025) * inside
    bright = float(rng.uniform(0.72, 1.0)) * (1 + 0.07 * canvas.noise(26))
    if ring:
        wall = 0.75 * radius * np.clip(rng.uniform(0.2, 0.4) * (1 + 0.25 * canvas.noise(9)), 0.15, 0.45)
        return mix(mix(signal, bright, mass), _NECROSIS, step(distance - wall, 0.02) * inside), mass
    return mix(signal, bright, mass), mass
