"""ONNX Runtime, told to keep to itself.

Its official builds for Linux, macOS and Windows report usage to Microsoft over HTTPS and keep a device identifier in
the user's cache folder, unless the environment says otherwise before it is loaded (its Privacy.md, version 1.32).
Nothing may leave a hospital's computer, so this package says otherwise; every import of onnxruntime goes through here.
"""

from __future__ import annotations

import os
from typing import Any


def load_onnxruntime() -> Any:
    """The module onnxruntime, without its telemetry; a value that the user has set for the variable is kept.

    Example:
        >>> load_onnxruntime().__name__
        'onnxruntime'
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime
