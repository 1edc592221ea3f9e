"""Showing the heat map: whether, how strongly, and from where on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import slicer

from SKDClassifierLib.scene import HeatMapNode

if TYPE_CHECKING:
    from SKDClassifierLib.Protocols import Services
    from SKDClassifierLib.scene.ResultNodes import StoredResult


class HeatControls:
    """The heat map over the volume, with its check box and its two sliders; they are kept in the parameter node.

    Args:
        services: what the module has.
        ui: has `heatRow`, `heatMapCheck`, `opacitySlider` and `thresholdSlider`.
    """

    def __init__(self, services: Services, ui: Any) -> None:
        self._services, self._ui = services, ui
        self._stored: StoredResult | None = None
        self._filling = False
        ui.heatMapCheck.connect("toggled(bool)", self._changed)
        ui.opacitySlider.connect("valueChanged(double)", self._changed)
        ui.thresholdSlider.connect("valueChanged(double)", self._changed)

    def show(self, stored: StoredResult | None) -> None:
        """Lay the heat map of a result over its volume; without one, take away what is there."""
        self._stored = stored
        self._ui.heatRow.setVisible(self._heat() is not None)
        self._apply()

    def refresh(self) -> None:
        """Take over what the parameter node says."""
        node = self._services.parameter_node
        if node is None:
            return
        self._filling = True
        self._ui.heatMapCheck.setChecked(node.showHeatMap)
        self._ui.opacitySlider.setValue(node.opacity)
        self._ui.thresholdSlider.setValue(node.threshold)
        self._filling = False
        self._apply()

    def forget(self) -> None:
        """The scene goes."""
        self._stored = None

    def _heat(self) -> Any:
        """The heat map's node; None where there is none any more, or the volume was changed since."""
        stored = self._stored
        node = stored.heat_node if stored is not None and not stored.outdated else None
        return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None

    def _changed(self, *_args: Any) -> None:
        if self._filling:
            return
        node = self._services.parameter_node
        if node is not None:
            node.showHeatMap = self._ui.heatMapCheck.checked
            node.opacity = self._ui.opacitySlider.value
            node.threshold = self._ui.thresholdSlider.value
        self._apply()

    def _apply(self) -> None:
        heat, shown = self._heat(), self._ui.heatMapCheck.checked
        for name in ("opacityLabel", "opacitySlider", "thresholdLabel", "thresholdSlider"):
            getattr(self._ui, name).setEnabled(shown)
        if heat is not None:
            HeatMapNode.set_threshold(heat, self._ui.thresholdSlider.value)
        volume = self._stored.volume_node if self._stored is not None else None
        if volume is not None and not slicer.mrmlScene.IsNodePresent(volume):
            volume = None
        moved = HeatMapNode.show_as_foreground(
            slicer.mrmlScene, heat if shown else None, self._ui.opacitySlider.value, over=volume
        )
        if moved:
            slicer.util.setSliceViewerLayers(fit=True)
