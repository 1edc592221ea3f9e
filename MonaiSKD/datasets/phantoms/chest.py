"""A chest radiograph, frontal: shadows of what the rays passed, added up."""

from __future__ import annotations

import numpy as np

from MonaiSKD.datasets.phantoms.canvas import Canvas, Phantom, Plane, Point, box_of, step

CLASSES = ("normal", "opacity")
_FIELD_OF_VIEW_MM = 380.0


def chest_radiograph(label: str, size: int, rng: np.random.Generator) -> Phantom:
    """Draw a chest radiograph, postero-anterior, the patient's left on the right.

    Args:
        label: "normal", or "opacity" for a consolidation in one lung.
        size: the side of the picture in pixels.
        rng: the source of all variation.

    Returns:
        Pixels in [0, 1], bright = dense.
    """
    canvas = Canvas(size, rng, tilt=2.0, shift=0.035, scale=0.04)
    heart_size = rng.uniform(0.85, 1.2)
    lungs = _lungs(canvas)
    tissue = _trunk(canvas)
    mediastinum = _mediastinum(canvas, heart_size)
    air = lungs * (1 - 0.85 * mediastinum)
    shadow = tissue * (0.6 + 0.04 * canvas.noise(3)) + 0.22 * mediastinum - 0.42 * air
    shadow += air * (0.17 * _vessels(canvas) + 0.016 * canvas.noise(22) + 0.01 * canvas.noise(45))
    shadow += rng.uniform(0.7, 1.2) * _bones(canvas, lungs) * tissue
    shadow += _below_diaphragm(canvas, lungs) * tissue
    if rng.random() < 0.45:
        shadow += rng.uniform(0.03, 0.08) * _breasts(canvas)
    box = None
    if label == "opacity":
        opacity = _opacity(canvas, air)
        shadow += opacity
        box = box_of(opacity)
    return Phantom(_exposed(canvas, shadow), label, box, (_FIELD_OF_VIEW_MM / size,) * 2)


def _trunk(canvas: Canvas) -> Plane:
    """Soft tissue: thick in the middle, thin at the skin."""
    x, y = np.abs(canvas.x), canvas.y
    waist = 0.84 + 0.06 * y
    shoulders = 0.25 + 0.95 * step(y + 0.85, 0.65)
    half = np.minimum(waist + 0.4 * step(-0.15 - y, 0.8), shoulders)
    thickness: Plane = np.sqrt(np.clip(1 - (x / half) ** 2, 0, 1)) ** 0.6
    return thickness


def _lungs(canvas: Canvas) -> Plane:
    rng = canvas.rng
    lungs = np.zeros_like(canvas.x)
    apex, width = rng.uniform(-0.80, -0.72), rng.uniform(0.68, 0.74)
    for side in (-1, 1):
        x, y = side * canvas.x, canvas.y
        dome = (0.44 if side < 0 else 0.50) + rng.normal(0, 0.03)
        # The outer wall bulges below and closes to the apex; the inner one follows the mediastinum.
        height = np.clip((y - apex) / (dome - apex), 0, 1.3)
        outer = 0.40 + (width - 0.40) * np.sin(0.5 * np.pi * np.clip(height, 0, 1) ** 0.85)
        ceiling = apex + 2.6 * (x - 0.25) ** 2 + 14 * (x - 0.25) ** 4
        inner = 0.09 + 0.04 * height + (0.05 if side < 0 else 0.1) * height**3
        floor = dome + 0.55 * np.clip(x - 0.34, -0.24, 1) ** 2 + 0.35 * np.clip(x - 0.5, 0, 1) ** 1.5
        depth = np.minimum(np.minimum(outer - x, x - inner), np.minimum(floor - y, 0.6 * (y - ceiling)))
        # Thickest in the middle: the rays pass more air there.
        lungs += step(depth, 0.035) * (0.72 + 0.28 * np.clip(depth / 0.2, 0, 1))
    return lungs


def _mediastinum(canvas: Canvas, heart_size: float) -> Plane:
    rng, x, y = canvas.rng, canvas.x, canvas.y
    column = step(0.14 + 0.03 * np.cos(3 * y) - np.abs(x - 0.01), 0.09)
    left = canvas.ellipse((0.13, 0.27), (0.33 * heart_size, 0.27 * heart_size), turn=24, edge=0.07)
    right = canvas.ellipse((-0.07, 0.22), (0.2 * heart_size, 0.26), edge=0.07)
    knob = canvas.ellipse((0.13, -0.31 + rng.normal(0, 0.02)), (0.085, 0.1), edge=0.05)
    trunk = canvas.ellipse((0.13, -0.12), (0.1, 0.12), edge=0.08)
    solid: Plane = 1 - (1 - 0.85 * column) * (1 - left) * (1 - 0.9 * right) * (1 - 0.8 * knob) * (1 - 0.7 * trunk)
    windpipe = step(0.04 - np.abs(x + 0.01), 0.03) * step(-0.25 - y, 0.12) * step(y + 0.98, 0.2)
    return solid - 0.55 * windpipe


def _bones(canvas: Canvas, lungs: Plane) -> Plane:
    rng = canvas.rng
    u, y = np.abs(canvas.x), canvas.y
    cage = step(0.80 - 0.25 * np.clip(-0.35 - y, 0, 1) - u, 0.05) * step(y + 0.92, 0.1) * step(0.72 - y, 0.3)
    spacing, start = rng.uniform(0.145, 0.165), rng.uniform(0, 1)
    behind = (y + 0.12 * u - 0.62 * u**2 - 0.35 * np.clip(u - 0.5, 0, 1) ** 2) / spacing + start
    front = (y - 0.75 * (0.75 - u) + 0.25 * (0.75 - u) ** 2) / (spacing * 1.15) + start
    ribs = 0.15 * _band(behind, 0.40) * step(u - 0.08, 0.06) + 0.085 * _band(front, 0.46) * step(u - 0.3, 0.15)
    vertebra = 0.55 + 0.45 * _band(y / 0.115 + start, 0.75)
    spine = 0.07 * vertebra * step(0.075 + 0.02 * y - np.abs(canvas.x), 0.03)
    collar = [_clavicle(canvas, side) for side in (-1, 1)]
    clavicles = canvas.strokes([(line, 0.085) for line in collar]) + canvas.strokes([(line, 0.05) for line in collar])
    arms = sum(
        canvas.ellipse((side * 0.98, -0.62), (0.14, 0.17), edge=0.05)
        + 0.6 * canvas.ellipse((side * 0.84, -0.45), (0.06, 0.26), turn=side * 12, edge=0.06)
        for side in (-1, 1)
    )
    return ribs * cage * (0.3 + 0.7 * np.clip(lungs, 0, 1)) + spine + 0.075 * clavicles + 0.13 * arms


def _clavicle(canvas: Canvas, side: int) -> list[Point]:
    lift = canvas.rng.normal(0, 0.025)
    along = np.linspace(0, 1, 12)
    drop = -0.60 - 0.14 * along + 0.035 * np.sin(2 * np.pi * along) + lift
    return [(float(side * (0.08 + 0.72 * t)), float(level)) for t, level in zip(along, drop, strict=True)]


def _band(phase: Plane, share: float) -> Plane:
    """A row of bands, `share` of the period wide, with brighter rims as cortical bone has."""
    inside = share / 2 - np.abs(phase - np.round(phase))
    return step(inside, 0.1) * (0.7 + 0.5 * np.exp(-((np.clip(inside, 0, 1) / 0.06) ** 2)))


def _vessels(canvas: Canvas) -> Plane:
    """Vessels that leave the two hila and thin out towards the chest wall."""
    rng = canvas.rng
    lines: list[tuple[list[Point], float]] = []
    for side in (-1, 1):
        for heading in np.radians(np.linspace(-80, 85, 7) + rng.normal(0, 10, 7)):
            _branch(rng, lines, (side * 0.16, -0.02), float(heading), side, 0.038, 3)
    return 0.5 * canvas.strokes(lines) + 0.8 * sum(
        canvas.blob((side * 0.2, 0.0), (0.05, 0.11), turn=-side * 15) for side in (-1, 1)
    )


def _branch(
    rng: np.random.Generator,
    lines: list[tuple[list[Point], float]],
    start: Point,
    heading: float,
    side: int,
    width: float,
    left: int,
) -> None:
    length = rng.uniform(0.1, 0.22)
    end = (start[0] + side * length * float(np.cos(heading)), start[1] + length * float(np.sin(heading)))
    lines.append(([start, end], width))
    if left:
        for turn in (rng.uniform(0.1, 0.5), -rng.uniform(0.1, 0.5)):
            _branch(rng, lines, end, heading + turn, side, width * 0.62, left - 1)


def _below_diaphragm(canvas: Canvas, lungs: Plane) -> Plane:
    """The abdomen is denser than the chest; the stomach often holds a bubble."""
    abdomen = 0.16 * step(canvas.y - 0.42, 0.25) * (1 - np.clip(lungs, 0, 1))
    if canvas.rng.random() < 0.6:
        abdomen = abdomen - 0.16 * canvas.ellipse((0.38, 0.74), (0.13, 0.07), edge=0.05)
    return abdomen


def _breasts(canvas: Canvas) -> Plane:
    return sum((canvas.ellipse((s * 0.42, 0.32), (0.3, 0.26), edge=0.2) for s in (-1, 1)), np.zeros_like(canvas.x))


def _opacity(canvas: Canvas, air: Plane) -> Plane:
    """A patch of filled lung: uneven, soft at the edge, ending where the lung ends."""
    rng = canvas.rng
    side = rng.choice((-1, 1))
    centre = (float(side * rng.uniform(0.28, 0.52)), float(rng.uniform(-0.42, 0.36)))
    radii = (float(rng.uniform(0.09, 0.2)), float(rng.uniform(0.08, 0.2)))
    hill = canvas.blob(centre, radii, turn=float(rng.uniform(0, 90)))
    patch = step(hill * (1 + 0.3 * canvas.noise(9)) - 0.45, 0.55) * np.clip(air, 0, 1)
    opacity: Plane = rng.uniform(0.26, 0.42) * patch * (1 + 0.13 * canvas.noise(20))
    return opacity


def _exposed(canvas: Canvas, shadow: Plane) -> Plane:
    """From shadows to a film: contrast, grain, the detector's blur being in the shapes already."""
    rng = canvas.rng
    film: Plane = np.clip((shadow - 0.06) * rng.uniform(0.98, 1.12), 0, None) ** rng.uniform(0.9, 1.2)
    film = 1 - np.exp(-1.75 * film)  # the film's shoulder: bones over the heart do not burn out
    film += rng.uniform(0.008, 0.022) * canvas.grain() + rng.normal(0, 0.015)
    return np.clip(film, 0, 1).astype(np.float32)
