"""Procedural images for the demonstration and the tests. Never quote a result on them as a medical one."""

from MonaiSKD.datasets.phantoms.canvas import Phantom
from MonaiSKD.datasets.phantoms.sample import write_sample
from MonaiSKD.datasets.phantoms.writing import PHANTOM_CLASSES, make_phantom, write_phantoms

__all__ = ["PHANTOM_CLASSES", "Phantom", "make_phantom", "write_phantoms", "write_sample"]
