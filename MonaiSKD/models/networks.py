"""What must hold before timm is asked for a network: a name that it knows, a size that the network's patches tile."""

from __future__ import annotations

import difflib

import timm

from MonaiSKD.errors import SKDError


def check_known(name: str) -> None:
    """Refuse a name that timm does not know.

    Raises:
        SKDError: the sentence gives the nearest names.
    """
    if timm.is_model(name):
        return
    near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
    remedy = f"Try {' or '.join(near)}" if near else "Choose one of timm.list_models()"
    raise SKDError(name, "timm knows no network of this name", remedy)


def check_tiled(name: str, patch: int, image_size: int) -> None:
    """Refuse an image size that is no multiple of a transformer's patch size.

    Raises:
        SKDError: the sentence gives the nearest sizes.
    """
    if not image_size % patch:
        return
    below, above = image_size // patch * patch, (image_size // patch + 1) * patch
    sizes = f"{below} or {above}" if below else f"{above}"
    raise SKDError(f"image size {image_size}", f"{name} needs a multiple of its patch size {patch}", f"Choose {sizes}")
