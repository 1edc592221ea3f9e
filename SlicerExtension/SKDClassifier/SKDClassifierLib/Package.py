"""Making the package MonaiSKD importable. No Qt.

It lies beside the module in an installed extension, and at the top of a checkout.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_MODULE = Path(__file__).resolve().parents[1]


def make_importable() -> Path:
    """Find MonaiSKD, put its folder on `sys.path` where it is not there yet, and give that folder.

    Raises:
        ModuleNotFoundError: the extension is incomplete.
    """
    for folder in (_MODULE, _MODULE.parents[1]):
        if (folder / "MonaiSKD" / "__init__.py").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            return folder
    found = importlib.util.find_spec("MonaiSKD")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "MonaiSKD: it is not beside the module. Install the extension again.", name="MonaiSKD"
        )
    return Path(found.origin).parents[1]
