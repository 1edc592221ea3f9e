"""What the three phantoms share: the picture plane, soft shapes, smooth noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import ImageDraw

Plane = npt.NDArray[np.floating[Any]]
Point = tuple[float, float]

_OVERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Phantom:
    """One procedural image. It teaches a program to work, never anything about patients.

    Args:
        pixels: float32 (H, W): Hounsfield units for lung CT, otherwise [0, 1].
        label: its class name.
        box: the lesion as (row0, column0, row1, column1), the last two exclusive; None where there is none.
        spacing: millimetres between rows and between columns.
    """

    pixels: npt.NDArray[np.float32]
    label: str
    box: tuple[int, int, int, int] | None
    spacing: tuple[float, float]


class Canvas:
    """The plane a phantom is drawn on: x runs right, y runs down, both -1 to 1, in a patient who is not quite straight.

    Shapes are drawn in the patient's coordinates, which are turned, shifted and scaled a little against the picture,
    so that no resampling is ever needed.

    Args:
        size: the side of the square picture in pixels.
        rng: the source of all variation.
        tilt: standard deviation of the rotation in degrees.
        shift: standard deviation of the displacement (1 is half the picture).
        scale: standard deviation of the relative size.
    """

    def __init__(self, size: int, rng: np.random.Generator, *, tilt: float, shift: float, scale: float) -> None:
        self.size = size
        self.rng = rng
        angle = np.radians(rng.normal(0.0, tilt))
        offset_x, offset_y = rng.normal(0.0, shift, 2)
        factors = 1 + rng.normal(0.0, scale) + rng.normal(0.0, scale / 2, 2)
        axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
        across, down = axis[None, :] - np.float32(offset_x), axis[:, None] - np.float32(offset_y)
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        self.x: Plane = (cosine * across + sine * down) / np.float32(factors[0])
        self.y: Plane = (cosine * down - sine * across) / np.float32(factors[1])
        self._to_picture = (cosine, sine, offset_x, offset_y, factors)

    def ellipse(self, centre: Point, radii: Point, *, turn: float = 0.0, edge: float = 0.02) -> Plane:
        """A filled ellipse: 1 inside, 0 outside, with a soft edge.

        Args:
            centre: (x, y).
            radii: along x and y before the turn.
            turn: clockwise, in degrees.
            edge: the width of the transition.
        """
        u, v = self._local(centre, turn)
        distance = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2)
        return step((1 - distance) * min(radii), edge)

    def blob(self, centre: Point, radii: Point, *, turn: float = 0.0) -> Plane:
        """A Gaussian hill of height 1 with the standard deviations `radii`."""
        u, v = self._local(centre, turn)
        hill: Plane = np.exp(-0.5 * ((u / radii[0]) ** 2 + (v / radii[1]) ** 2))
        return hill

    def _local(self, centre: Point, turn: float) -> tuple[Plane, Plane]:
        cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        x, y = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
        return np.float32(cosine) * x + np.float32(sine) * y, np.float32(cosine) * y - np.float32(sine) * x

    def noise(self, cells: float) -> Plane:
        """Smooth noise of mean 0 and standard deviation near 1.

        Args:
            cells: how many bumps fit across the picture.
        """
        count = int(cells) + 4
        coarse = self.rng.standard_normal((count, count), dtype=np.float32)
        # Only a window of `cells` cells is shown: where it starts is random, and the border effect stays outside.
        left, top = self.rng.uniform(1.0, count - 1 - cells, 2)
        window = (left, top, left + cells, top + cells)
        picture = PILImage.fromarray(coarse).resize((self.size,) * 2, PILImage.Resampling.BICUBIC, box=window)
        smooth: Plane = np.asarray(picture) * np.float32(1.3)
        return smooth

    def grain(self) -> Plane:
        """White noise of standard deviation 1."""
        return self.rng.standard_normal((self.size, self.size), dtype=np.float32)

    def strokes(self, lines: list[tuple[list[Point], float]]) -> Plane:
        """Lines with round joints, drawn at double resolution: 1 on a line, 0 beside it.

        Args:
            lines: for each line its points (x, y) and its width, all in patient coordinates.
        """
        side = self.size * _OVERSAMPLING
        picture = PILImage.new("L", (side, side))
        draw = ImageDraw.Draw(picture)
        for points, width in sorted(lines, key=lambda line: line[1]):
            pixels = [self._pixel(point) for point in points]
            # A line thinner than a pixel is a fainter line of one pixel.
            thick = width * side / 2
            draw.line(pixels, fill=round(255 * min(1.0, thick)), width=max(1, round(thick)), joint="curve")
        shown = picture.resize((self.size,) * 2, PILImage.Resampling.BOX)
        return np.asarray(shown, dtype=np.float32) / 255

    def _pixel(self, point: Point) -> Point:
        cosine, sine, offset_x, offset_y, factors = self._to_picture
        x, y = point[0] * factors[0], point[1] * factors[1]
        across, down = cosine * x - sine * y + offset_x, sine * x + cosine * y + offset_y
        half = self.size * _OVERSAMPLING / 2
        return float((across + 1) * half), float((down + 1) * half)


def step(distance: Plane, edge: float) -> Plane:
    """A soft step: 0 well below `distance` 0, 1 well above, over a width of `edge`."""
    ramp = np.clip(distance / np.float32(edge) + np.float32(0.5), 0, 1)
    smooth: Plane = ramp * ramp * (3 - 2 * ramp)
    return smooth


def mix(ground: Plane, paint: Plane | float, cover: Plane) -> Plane:
    """Lay `paint` over `ground` where `cover` is 1."""
    return ground + (np.float32(paint) if isinstance(paint, float) else paint) * cover - ground * cover


def box_of(cover: Plane) -> tuple[int, int, int, int]:
    """The smallest box (row0, column0, row1, column1) around the pixels that are at least half covered."""
    rows, columns = np.nonzero(cover >= 0.5 * cover.max())
    return int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
