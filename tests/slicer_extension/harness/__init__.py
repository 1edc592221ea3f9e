"""Tests of Slicer's user interface without Slicer: PySide6 that behaves as PythonQt, and the real MRML.

In a test take the fixture `app`; importing `qt`, `ctk`, `slicer.i18n`, `slicer.parameterNodeWrapper`, `SampleData`,
`DICOMLib` … works everywhere. Then write as for Slicer:

    from harness import BlockTimer, screenshot, wait_until

    def test_it(app, add_volume, tmp_path):
        tab = ClassifyTab(services)
        tab.ui.classifyButton.click()
        wait_until(lambda: not tab.running, 10)
        assert app.dialogs == []
        screenshot(tab.widget, tmp_path / "tab.png")

- `app.answer("confirmOkCancelDisplay", True)` prepares an answer; unprepared, the user says no (False, "" or Cancel).
  The kind is the name of the function: slicer.util's infoDisplay, warningDisplay, errorDisplay, messageBox,
  confirmOkCancelDisplay, confirmYesNoDisplay, confirmRetryCloseDisplay, delayDisplay, showStatusMessage;
  QFileDialog's getOpenFileName(s), getSaveFileName, getExistingDirectory; QMessageBox's information, question,
  warning, critical; "exec" for any dialog that is executed, "menu" for a menu, "openUrl" for QDesktopServices. A
  prepared answer that nothing asks for fails the test.
- `app.dialogs`: (kind, text) of all dialogs so far. `app.settings`: the QSettings. `app.scene`, `app.close_scene()`.
- `app.errors`: tracebacks of what Qt or VTK called and raised, and Qt's own warnings; the test fails for them at its
  end unless it empties the list.
- `app.open_module(".../SKDClassifier.py")` opens a scripted module as Slicer does and gives its widget;
  `app.close_module("SKDClassifier")` makes it go, which also happens at the end.
- `app.use_database(*files)` sets slicer.dicomDatabase to one of real DICOM files; None else. `app.use_packaging()`
  makes slicer.packaging importable, with `calls`; without it the import fails, as before Slicer 5.12.
- `observers(scene)` counts VTK observers on a scene and its nodes; `render_slice("Red")` is a QImage of a slice view,
  `pixels_of(image)` its array, `composite(panel, [slices], path)` one picture of all.
- `slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()` is real, so is slicer.util.setSliceViewerLayers.
- `combo.entries()` are the names in a qMRMLNodeComboBox; `combo.setCurrentNode(node)` chooses.
- `widget.plotView().click_point(3, series=0)` is a click on a point of a qMRMLPlotWidget.
- What PythonQt does not do fails here, too: calling a property, a signal that does not exist (or not in Qt 5), setting
  what a Qt object does not have, a pathlib.Path for a file name, odd values for QSettings, widgets in another thread.
  What is NOT caught: named arguments of Qt's methods (PythonQt has none), numpy's own numbers, truth of an enumeration.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.measure import BlockTimer, observers, wait_until
    from harness.pictures import beside, composite, pixels_of, render_slice, screenshot

__all__ = [
    "BlockTimer",
    "beside",
    "composite",
    "install",
    "observers",
    "pixels_of",
    "render_slice",
    "screenshot",
    "wait_until",
]


def install() -> None:
    """Make the stand-ins for modules of Slicer importable; none is imported yet."""
    import slicer

    here = Path(__file__).parent
    sys.path.insert(0, str(here / "modules"))
    slicer.__path__.append(str(here / "parts"))


def __getattr__(name: str) -> Any:
    """The helpers that need Qt are imported when a test asks for them."""
    if name in __all__:
        from harness import measure, pictures

        return getattr(measure, name, None) or getattr(pictures, name)
    raise AttributeError(name)
