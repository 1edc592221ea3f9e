"""From a file to a canonical image. Light half: numpy, Pillow and nibabel only."""

from MonaiSKD.reading.canonical import RULES, CanonicalRule, Modality, canonicalise
from MonaiSKD.reading.image import Image
from MonaiSKD.reading.reader import IMAGE_SUFFIXES, is_image_name, read_image

__all__ = [
    "IMAGE_SUFFIXES",
    "RULES",
    "CanonicalRule",
    "Image",
    "Modality",
    "canonicalise",
    "is_image_name",
    "read_image",
]
