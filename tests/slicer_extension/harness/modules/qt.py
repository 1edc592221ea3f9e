"""The module `qt` of Slicer, made of PySide6 so that it behaves as PythonQt does.

Qt's properties are attributes (`edit.text`, never `edit.text()`), signals are named by their C++ signature
(`button.connect("clicked(bool)", f)`), all classes lie in one name space, and dialogs of files give a plain text.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from harness import pythonqt
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

for _library in (QtCore, QtGui, QtWidgets, QtUiTools):
    for _name in dir(_library):
        if _name.startswith(("Q", "q")):
            globals()[_name] = getattr(_library, _name)

pythonqt.install(globals())


def Signal(*types: Any) -> Any:
    """Slicer's `qt.Signal`."""
    return QtCore.Signal(*types)


from harness.loader import QUiLoader  # noqa: E402, F401  (it derives from the changed class)
