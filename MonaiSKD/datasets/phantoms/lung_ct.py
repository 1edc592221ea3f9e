"""An axial lung CT slice at the level of the heart, in Hounsfield units."""

from __future__ import annotations

import numpy as np

from MonaiSKD.datasets.phantoms.canvas import Canvas, Phantom, Plane, Point, box_of, mix, step

CLASSES = ("normal", "ground_glass", "nodule")
_FIELD_OF_VIEW_MM = 360.0

# Hounsfield units
_AIR, _LUNG, _FAT, _MUSCLE, _BLOOD, _MARROW, _CORTEX = -1000.0, -850.0, -100.0, 50.0, 40.0, 180.0, 650.0
_GROUND_GLASS, _NODULE = -600.0, 30.0


def lung_ct_slice(label: str, size: int, rng: np.random.Generator) -> Phantom:
    """Draw an axial slice, anterior on top, the patient's left on the right.

    Args:
        label: "normal"; "ground_glass" for a hazy patch of about -600 HU; "nodule" for a solid one of about 30 HU.
        size: the side of the picture in pixels.
        rng: the source of all variation.

    Returns:
        Pixels in Hounsfield units.
    """
    canvas = Canvas(size, rng, tilt=3.0, shift=0.03, scale=0.04)
    lungs = _lungs(canvas)
    inside = np.clip(lungs.sum(axis=0), 0, 1)
    values = _body(canvas)
    parenchyma = _parenchyma(canvas)
    cover = None
    if label == "ground_glass":
        cover = _haze(canvas, lungs)
        parenchyma = mix(parenchyma, _GROUND_GLASS + 45 * canvas.noise(34), cover)
    parenchyma = mix(parenchyma, _BLOOD, np.clip(_vessels(canvas), 0, 1))
    if label == "nodule":
        cover = _nodule(canvas) * inside
        parenchyma = mix(parenchyma, _NODULE, cover)
    values = mix(values, parenchyma, inside)
    values = _mediastinum(canvas, values)
    values = _skeleton(canvas, values)
    # Reconstruction noise is a little smooth: half white, half of two-pixel grains.
    values = values + rng.uniform(10, 28) * (0.7 * canvas.grain() + 0.7 * canvas.noise(size / 2))
    box = None if cover is None else box_of(cover)
    return Phantom(np.clip(values, -1024, 3071).astype(np.float32), label, box, (_FIELD_OF_VIEW_MM / size,) * 2)


def _body(canvas: Canvas) -> Plane:
    """Air, skin, fat and the muscles of the chest wall."""
    rng = canvas.rng
    fat = rng.uniform(0.03, 0.1)
    wide, deep = 0.93, rng.uniform(0.64, 0.72)
    values = np.full_like(canvas.x, _AIR)
    values = mix(values, _MUSCLE, canvas.ellipse((0, 0), (wide, deep)))
    values = mix(values, _FAT + 12 * canvas.noise(20), canvas.ellipse((0, 0), (wide - 0.015, deep - 0.015)))
    values = mix(values, _MUSCLE + 10 * canvas.noise(24), canvas.ellipse((0, 0.01), (wide - fat, deep - fat)))
    for side in (-1, 1):
        # Fat between the muscles of the back and under the shoulder blade.
        values = mix(values, _FAT, 0.8 * canvas.ellipse((side * 0.55, 0.4), (0.2, 0.02), turn=-side * 38))
        values = mix(values, _MUSCLE, canvas.ellipse((side * 0.17, 0.47), (0.14, 0.09)))
    table = step(0.012 - np.abs(canvas.y - (deep + 0.05 - 0.12 * canvas.x**2)), 0.015)
    return mix(values, -250.0, table * step(0.8 - np.abs(canvas.x), 0.05))


def _lungs(canvas: Canvas) -> Plane:
    """Both lungs as (2, H, W), the patient's right one first: an oval less the heart and the spine."""
    rng, lungs = canvas.rng, []
    heart = canvas.ellipse((0.12, -0.13), (0.31 * rng.uniform(0.8, 1.15), 0.26), turn=20, edge=0.03)
    spine = canvas.ellipse((0, 0.3), (0.16, 0.24), edge=0.03)
    for side in (-1, 1):
        wide, deep = rng.uniform(0.33, 0.37), rng.uniform(0.46, 0.51)
        oval = canvas.ellipse((side * 0.43, -0.01), (wide, deep), turn=-side * 8, edge=0.025)
        inner = step(side * canvas.x - 0.1 - 0.03 * np.cos(5 * canvas.y), 0.03)
        lungs.append(oval * inner * (1 - heart) * (1 - spine))
    return np.stack(lungs)


def _parenchyma(canvas: Canvas) -> Plane:
    """Aerated lung: denser towards the back, where the blood is, and finely mottled."""
    values = _LUNG + 35 * canvas.y + canvas.rng.normal(0, 12) + 10 * canvas.noise(6) + 22 * canvas.noise(40)
    for side in (-1, 1):
        tilt = canvas.rng.normal(0.35, 0.12)
        fissure = np.exp(-(((canvas.y - 0.06 + tilt * (np.abs(canvas.x) - 0.4)) / 0.008) ** 2))
        values = values + 90 * fissure * step(side * canvas.x, 0.02)
    return values


def _vessels(canvas: Canvas) -> Plane:
    """Trees of vessels that leave both hila, with dots where a vessel crosses the slice."""
    rng = canvas.rng
    lines: list[tuple[list[Point], float]] = []
    for side in (-1, 1):
        for heading in np.linspace(-1.3, 1.3, 7) + rng.normal(0, 0.15, 7):
            _branch(rng, lines, (side * 0.2, 0.03), float(heading), side, rng.uniform(0.02, 0.036), 4)
        for _ in range(10):
            x, y, width = side * rng.uniform(0.2, 0.66), rng.uniform(-0.36, 0.38), rng.uniform(0.006, 0.018)
            lines.append(([(x, y), (x + width * rng.uniform(0.2, 1.2), y + width)], width))
    return canvas.strokes(lines)


def _branch(
    rng: np.random.Generator,
    lines: list[tuple[list[Point], float]],
    start: Point,
    heading: float,
    side: int,
    width: float,
    left: int,
) -> None:
    length = rng.uniform(0.06, 0.15)
    end = (start[0] + side * length * float(np.cos(heading)), start[1] + length * float(np.sin(heading)))
    lines.append(([start, end], width))
    if left:
        for turn in (rng.uniform(0.1, 0.6), -rng.uniform(0.1, 0.6)):
            # Most vessels leave the slice sooner or later.
            if rng.random() < 0.66:
                _branch(rng, lines, end, heading + turn, side, width * rng.uniform(0.5, 0.68), left - 1)


def _mediastinum(canvas: Canvas, values: Plane) -> Plane:
    """Heart and great vessels in their fat, the two main bronchi."""
    rng = canvas.rng
    blood = _BLOOD + rng.uniform(0, 160)  # with or without contrast agent
    values = mix(values, _FAT, 0.7 * canvas.ellipse((0.02, -0.36), (0.13, 0.07), edge=0.05))
    values = mix(values, blood, canvas.ellipse((0.13, -0.12), (0.2, 0.17), turn=25, edge=0.06))
    values = mix(values, blood, canvas.ellipse((-0.07, -0.1), (0.09, 0.12), edge=0.04))
    values = mix(values, blood, canvas.ellipse((0.1, 0.2), (0.06, 0.06), edge=0.02))
    values = mix(values, _FAT, 0.6 * canvas.ellipse((0.01, 0.12), (0.08, 0.025), edge=0.03))
    for side in (-1, 1):
        values = mix(values, _AIR + 50, canvas.ellipse((side * 0.1, 0.07), (0.035, 0.03), edge=0.015))
    return values


def _skeleton(canvas: Canvas, values: Plane) -> Plane:
    """Vertebra with its canal and arch, sternum, and the ribs where they cross the slice."""
    rng = canvas.rng
    bone = np.zeros_like(values)
    inner = np.zeros_like(values)
    shapes: list[tuple[Point, Point, float]] = [((0, 0.3), (0.1, 0.085), 0), ((0, -0.53), (0.1, 0.03), 0)]
    shapes += [((side * 0.09, 0.42), (0.09, 0.025), side * 22.0) for side in (-1, 1)]
    shapes.append(((0, 0.5), (0.022, 0.08), 0))
    start = rng.uniform(0, 0.3)
    for side in (-1, 1):
        for around in np.arange(-1.05, 1.3, 0.42) + start:
            # Along the chest wall; a rib runs with the wall and a little through the slice.
            centre = (float(side * 0.82 * np.cos(around)), float(0.55 * np.sin(around)))
            turn = np.degrees(np.arctan2(0.55 * np.cos(around), -side * 0.82 * np.sin(around)))
            shapes.append((centre, (rng.uniform(0.06, 0.12), 0.026), float(turn)))
    for centre, radii, turn in shapes:
        bone = np.maximum(bone, canvas.ellipse(centre, radii, turn=turn, edge=0.02))
        core = (radii[0] - 0.014, radii[1] - 0.014)
        inner = np.maximum(inner, canvas.ellipse(centre, core, turn=turn, edge=0.02))
    values = mix(mix(values, _CORTEX, bone), _MARROW + 30 * canvas.noise(40), inner)
    return mix(values, 30.0, canvas.ellipse((0, 0.4), (0.04, 0.03), edge=0.015))


def _haze(canvas: Canvas, lungs: Plane) -> Plane:
    """A cluster of hazy patches in one lung, often at the back and under the pleura."""
    rng = canvas.rng
    side = int(rng.integers(2))
    x, y = (2 * side - 1) * rng.uniform(0.32, 0.6), rng.uniform(-0.2, 0.3)
    hill = np.zeros_like(canvas.x)
    for _ in range(rng.integers(2, 5)):
        centre = (float(x + rng.normal(0, 0.06)), float(y + rng.normal(0, 0.08)))
        radii = (float(rng.uniform(0.08, 0.18)), float(rng.uniform(0.08, 0.18)))
        hill = np.maximum(hill, canvas.blob(centre, radii))
    haze: Plane = rng.uniform(0.85, 1.2) * step(hill * (1 + 0.35 * canvas.noise(12)) - 0.45, 0.4) * lungs[side]
    return haze


def _nodule(canvas: Canvas) -> Plane:
    """A solid round nodule of 14 to 34 mm across, lobed or with fine spicules, in the middle of a lung."""
    rng = canvas.rng
    side = rng.choice((-1, 1))
    centre = (float(side * rng.uniform(0.36, 0.56)), float(rng.uniform(-0.22, 0.26)))
    radius = rng.uniform(0.04, 0.095)
    x, y = canvas.x - np.float32(centre[0]), canvas.y - np.float32(centre[1])
    around = np.arctan2(y, x)
    lobes = 1 + 0.1 * np.cos(rng.integers(2, 5) * around + rng.uniform(0, 6)) + 0.06 * np.cos(7 * around)
    return step(radius * lobes - np.hypot(x, y), 0.02)
