"""The tab "Classify": a volume, a model, one button, and the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.batch.BatchSection import BatchSection
from SKDClassifierLib.classify.Classification import Classification, may_start
from SKDClassifierLib.classify.ModelChooser import ModelChooser
from SKDClassifierLib.classify.ResultView import ALARM, ResultView
from SKDClassifierLib.scene import HeatMapNode, ResultNodes, Samples

if TYPE_CHECKING:
    from SKDClassifierLib.Protocols import Services
    from SKDClassifierLib.scene.ResultNodes import StoredResult

UI = Path(__file__).parents[2] / "Resources" / "UI" / "ClassifyTab.ui"


class ClassifyTab:
    """Classifies the chosen volume and shows what is known of it.

    Args:
        services: what the module has.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._running: Classification | None = None
        self._trouble = ""
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.chooser = ModelChooser(services, self.ui, self._changed, self._load_sample)
        self.view = ResultView(services)
        self.ui.resultLayout.addWidget(self.view.widget)
        self.batch = BatchSection(services, self._model, self._volume, self.show_case)
        self.ui.batchLayout.addWidget(self.batch.widget)
        self.ui.volumeSelector.setMRMLScene(slicer.mrmlScene)
        self.ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._volume_chosen)
        self.ui.classifyButton.connect("clicked(bool)", self._pressed)
        self.refresh()

    def refresh(self) -> None:
        """Show the volume and the model that the scene remembers, and the volume's result."""
        node = self._services.parameter_node
        if node is not None and node.inputVolume is not None:
            self._choose_volume(node.inputVolume)
        elif node is not None:
            if self._volume() is None:
                self._choose_volume(HeatMapNode.image_in_views(slicer.mrmlScene))
            node.inputVolume = self._volume()
        self._trouble = ""
        self.chooser.refresh()
        self.view.refresh()
        self._show_stored()
        self.batch.refresh()

    def scene_closing(self) -> None:
        """Give up what is running, and forget the nodes."""
        self._cancel()
        self.view.forget()
        self.batch.scene_closing()

    def cleanup(self) -> None:
        """End everything."""
        self._cancel()
        self.batch.cleanup()
        self.view.cleanup()
        self.ui.volumeSelector.disconnect("currentNodeChanged(vtkMRMLNode*)", self._volume_chosen)
        self.ui.volumeSelector.setMRMLScene(None)

    def choose_model(self, id_or_path: str) -> None:
        """Choose a model, such as one that was just trained; shows why where that cannot be."""
        try:
            self.chooser.choose(id_or_path)
        except Exception as error:
            self._failed(error)

    def show_case(self, node: Any) -> None:
        """Choose a volume, classify it and show the result."""
        self._choose_volume(node)
        self._show_stored()
        if self._running is None:
            self._classify()

    def _volume(self) -> Any:
        return self.ui.volumeSelector.currentNode()

    def _model(self) -> Any:
        return self.chooser.entry

    def _choose_volume(self, node: Any) -> None:
        if self._volume() is not node:
            self.ui.volumeSelector.setCurrentNode(node)

    def _volume_chosen(self, node: Any = None) -> None:
        if self._services.parameter_node is not None:
            self._services.parameter_node.inputVolume = self._volume()
        self._trouble = ""
        self._show_stored()
        self.batch.volume_chosen()
        self._changed()

    def _show_stored(self) -> None:
        """The latest result of the chosen volume; none where it has none."""
        volume = self._volume()
        if HeatMapNode.is_heat_map(volume):
            return
        results = ResultNodes.for_volume(slicer.mrmlScene, volume)
        self.view.show(results[-1] if results else None)

    def _pressed(self, *_args: Any) -> None:
        self._trouble = ""
        if self._running is not None:
            self._cancel()
        else:
            self._classify()

    def _classify(self) -> None:
        entry, node = self.chooser.entry, self._volume()
        if entry is None:
            return
        try:
            if not may_start(self._services, self.widget):
                self._trouble = _("Not classified: nothing was installed or sent.")
                self._changed()
                return
            self._running = Classification(self._services, node, entry, self._told, self._done, self._failed)
            self._running.start()
        except Exception as error:
            self._failed(error)
            return
        self._told(0, 0)
        self._changed()

    def _told(self, done: int, total: int) -> None:
        """A bar of slices; one that only moves where there is nothing to count."""
        self.ui.progressBar.setMaximum(total if total > 1 else 0)
        self.ui.progressBar.setValue(done)

    def _done(self, stored: StoredResult) -> None:
        self._running = None
        if stored.volume_node is self._volume():
            self.view.show(stored, fresh=True)
        self._changed()

    def _failed(self, error: Exception) -> None:
        Package.make_importable()
        from MonaiSKD.errors import SKDError

        self._running = None
        self._trouble = str(error) if isinstance(error, SKDError) else _("This is a defect of the module; see the log.")
        self.chooser.refresh()  # a model file may be gone
        self._changed()
        self._services.show_error(error)

    def _cancel(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            running.cancel()
            self._changed()

    def _changed(self) -> None:
        """Bring button, bar and hint in line with what is chosen and running."""
        running = self._running is not None
        reason = "" if running else self._why_not()
        self.ui.classifyButton.setText(_("&Cancel") if running else _("&Classify"))
        self.ui.classifyButton.setEnabled(running or not reason)
        self.ui.progressBar.setVisible(running)
        text = self._trouble or reason
        self.ui.hintLabel.setText(text)
        self.ui.hintLabel.setStyleSheet(ALARM if self._trouble else "")
        self.ui.hintLabel.setVisible(bool(text))
        self.batch.model_chosen()

    def _why_not(self) -> str:
        """Why nothing can be classified now; empty text where it can."""
        if self._volume() is None:
            return _("Load an image and choose it above. 'Try with sample data' in the menu ⋯ loads one for the model.")
        if HeatMapNode.is_heat_map(self._volume()):
            return _("This is a heat map. Choose the image that it belongs to.")
        if self.chooser.entry is None:
            return _("Choose a model that can be used.")
        return ""

    def _load_sample(self, name: str) -> None:
        """Load a model's sample data and choose it."""
        if not self._services.installer.ensure_light(self.widget):
            return
        qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            node = Samples.load(name)
        finally:
            qt.QApplication.restoreOverrideCursor()
        self._choose_volume(node)
