"""The app folder: one small file that names the package, which stays the only source of the app."""

from __future__ import annotations

from pathlib import Path

from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path

_MAIN = '''"""MONAI Label app of MonaiSKD; all of it is in the package. docs/label_app.md says how to start it."""

from MonaiSKD.label_app.app import MonaiSKDApp

__all__ = ["MonaiSKDApp"]
'''


def write_app(folder: str | Path) -> Path:
    """Write the folder for `monailabel start_server --app`, whole or not at all.

    Written again, it stays as it is: what the server keeps beside it (trained models, logs) is not touched.

    Args:
        folder: is made when it is absent.

    Returns:
        its `main.py`.

    Raises:
        SKDError: another app lies there, or it cannot be written.

    Example:
        >>> import tempfile
        >>> write_app(tempfile.mkdtemp()).name
        'main.py'
    """
    main = Path(folder) / "main.py"
    if main.exists() and main.read_bytes() != _MAIN.encode():
        raise SKDError(folder, "holds another app (its main.py differs)", "Choose a new folder, or remove that main.py")
    with atomic_path(main) as beside:
        beside.write_text(_MAIN, encoding="utf-8", newline="\n")
    return main
