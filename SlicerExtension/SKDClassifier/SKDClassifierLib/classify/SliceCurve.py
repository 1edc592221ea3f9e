"""What a volume's slices say one by one: their curve, and the way to each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib.scene import Plots

if TYPE_CHECKING:
    from SKDClassifierLib.scene.ResultNodes import StoredResult

CHART = "SKD slices"


class SliceCurve:
    """The plot of a volume's slices and the button "Next key slice".

    Args:
        ui: has `plotLayout`, `slicesRow`, `keySliceButton` and `sliceLabel`.
    """

    def __init__(self, ui: Any) -> None:
        self._ui = ui
        self._stored: StoredResult | None = None
        self._next = 0
        self._plot = Plots.SlicePlot(slicer.mrmlScene, ui.plotLayout, self.jump)
        ui.keySliceButton.connect("clicked(bool)", self._pressed)

    def show(self, stored: StoredResult | None) -> None:
        """Draw the slices of a result; nothing where it has none."""
        slices = stored.result.slices if stored is not None else None
        self._stored = stored if slices is not None else None
        self._next = 0
        self._ui.slicesRow.setVisible(slices is not None)
        self._ui.sliceLabel.setText("")
        if stored is None or slices is None:
            self._plot.show(None)
            Plots.remove_chart(slicer.mrmlScene, CHART)
            return
        names = list(stored.result.probabilities)
        self._plot.show(Plots.probability_chart(slicer.mrmlScene, slices.probabilities, names, CHART))
        self._ui.keySliceButton.setEnabled(bool(slices.key) and bool(len(stored.points_ras)))

    def next_key(self) -> None:
        """Jump to the next key slice, the first after the last."""
        slices = self._stored.result.slices if self._stored is not None else None
        if slices is not None and slices.key:
            index = slices.key[self._next % len(slices.key)]
            self._next = (self._next + 1) % len(slices.key)
            self.jump(index)

    def jump(self, index: int) -> None:
        """Show the middle of a slice (from 0) in every slice view."""
        stored = self._stored
        if stored is None or stored.result.slices is None or not 0 <= index < len(stored.result.slices.used):
            return
        if index < len(stored.points_ras):
            jump_to(slicer.mrmlScene, stored.points_ras[index])
        self._ui.sliceLabel.setText(self._describe(index))

    def forget(self) -> None:
        """The scene goes."""
        self._stored = None
        self._plot.forget()

    def cleanup(self) -> None:
        """The module goes."""
        Plots.remove_chart(slicer.mrmlScene, CHART)
        self._plot.cleanup()

    def _pressed(self, *_args: Any) -> None:
        self.next_key()

    def _describe(self, index: int) -> str:
        """Such as "slice 17 of 32: tumor 0.93"."""
        from MonaiSKD.reporting.sentences import printable, probability

        result = self._stored.result
        values = result.slices.probabilities[index]
        best = int(np.argmax(values))
        name = printable(list(result.probabilities)[best])
        text = _("Slice {number} of {count}: {name}, {value}").format(
            number=index + 1, count=len(result.slices.used), name=name, value=probability(float(values[best]))
        )
        return text if result.slices.used[index] else text + " " + _("(not used: atypical)")


def jump_to(scene: Any, point: np.ndarray) -> None:
    """Move every slice view to the plane through a point of the world; what was panned and zoomed stays so."""
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode", scene):
        node.JumpSliceByOffsetting(*(float(value) for value in point))
