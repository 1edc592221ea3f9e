"""From files to canonical images. Light half: numpy, and on demand pydicom, nibabel, Pillow and SimpleITK."""

from MonaiSKD.choices import Modality
from MonaiSKD.reading.canonical import RULES, CanonicalRule, canonicalise
from MonaiSKD.reading.image import Identity, Image, Instance, Series
from MonaiSKD.reading.reader import IMAGE_SUFFIXES, is_image_name, read_image
from MonaiSKD.reading.series import read_series
from MonaiSKD.reading.sources import Source, find_sources, is_image
from MonaiSKD.reading.volume_node import from_volume_array, from_volume_node

__all__ = [
    "IMAGE_SUFFIXES",
    "RULES",
    "CanonicalRule",
    "Identity",
    "Image",
    "Instance",
    "Modality",
    "Series",
    "Source",
    "canonicalise",
    "find_sources",
    "from_volume_array",
    "from_volume_node",
    "is_image",
    "is_image_name",
    "read_image",
    "read_series",
]
