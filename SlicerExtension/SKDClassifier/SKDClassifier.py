"""3D Slicer module: classifies radiographs, lung CT and brain MRI with small calibrated networks, and trains new ones.

Slicer finds the module by the classes of this file; what they do is in SKDClassifierLib.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

import qt
import slicer
from SKDClassifierLib import Package
from SKDClassifierLib.ParameterNode import SKDParameterNode
from SKDClassifierLib.scene import Logic, Samples
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class SKDClassifier(ScriptedLoadableModule):
    """What Slicer shows of the module before it is opened."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        parent.title = _("SKD Classifier")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Analysis")]
        parent.dependencies = []
        parent.contributors = ["The MonaiSKD developers"]
        parent.helpText = _(
            "Classifies chest radiographs, lung CT and brain MRI on this computer, shows where the evidence lies and"
            " when an image is not one that the model was made for; trains new models from labelled images."
            " Research only, not for clinical use."
            ' See the <a href="https://github.com/monai-skd/SlicerMonaiSKD/blob/main/docs/slicer.md">documentation</a>.'
        )
        parent.acknowledgementText = _(
            "After Tsutsumi et al., Dual-Model Weight Selection and Self-Knowledge Distillation for Medical Image"
            " Classification (arXiv 2508.20461). Built on MONAI, PyTorch, Ignite and timm."
        )
        slicer.app.connect("startupCompleted()", Samples.register)


class SKDClassifierWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Slicer's frame around the panel."""

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.panel: Any = None

    def setup(self) -> None:
        """Called when the module is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        from SKDClassifierLib.Widget import Panel

        self.logic = SKDClassifierLogic()
        settings = slicer.app.userSettings()
        models = Path(slicer.app.slicerUserSettingsFilePath).parent / "MonaiSKD" / "models"
        self.panel = Panel(self.logic, settings, models, self.logic.getParameterNode)
        self.layout.addWidget(self.panel.widget)
        self.panel.widget.setMRMLScene(slicer.mrmlScene)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_close)
        for event in (scene.EndCloseEvent, scene.EndImportEvent):
            self.addObserver(scene, event, self._on_scene)
        self.panel.enter()

    def enter(self) -> None:
        """Called each time the module is opened."""
        if self.panel is not None:
            self.panel.enter()

    def onReload(self) -> None:
        """The developer's button "Reload": the library is read again, too, which Slicer would keep as it is."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "SKDClassifierLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def cleanup(self) -> None:
        """Called when Slicer closes, or the module is reloaded."""
        self.removeObservers()
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    def _on_close(self, _caller: Any, _event: Any) -> None:
        self.panel.scene_closing()

    def _on_scene(self, _caller: Any, _event: Any) -> None:
        """The scene is another: shown once everything else that follows the scene, such as selectors, has done so."""
        qt.QTimer.singleShot(0, self.enter)


class SKDClassifierLogic(ScriptedLoadableModuleLogic, Logic.Logic):
    """Classifying for scripts.

    Example:
        import SKDClassifier
        stored = SKDClassifier.SKDClassifierLogic().classify(slicer.util.getNode("SKDBrainMR"), "brain_mri")
        print(stored.result.label, stored.result.probabilities)
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        Logic.Logic.__init__(self)

    def getParameterNode(self) -> SKDParameterNode:
        """What the user chose, of the present scene."""
        return SKDParameterNode(super().getParameterNode())


class SKDClassifierTest(ScriptedLoadableModuleTest):
    """What can be tested inside Slicer alone: run it from the module's "Reload and Test".

    It needs the packages that classifying needs, and asks for none: where they are missing, it is skipped and says so.
    """

    def setUp(self) -> None:
        """Begin with an empty scene."""
        from SKDClassifierLib.place.Install import Installer

        missing = Installer(slicer.app.userSettings()).missing_light()
        if missing:
            names = ", ".join(map(str, missing))
            self.skipTest(_("Install these in the module's tab 'Where it runs' first: {names}").format(names=names))
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Every test, each in an empty scene."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            try:
                self.setUp()
            except unittest.SkipTest as reason:
                self.delayDisplay(str(reason))
                return
            self.delayDisplay(name)
            getattr(self, name)()
        self.delayDisplay(_("All tests passed"))

    def test_samples_are_answered(self) -> None:
        """Each sample by the model of its modality, with nodes for the answer, in the place of its volume."""
        for name, modality in Samples.SAMPLES.items():
            volume = Samples.load(name)
            stored = SKDClassifierLogic().classify(volume, modality)
            self.assertIn(stored.result.label, stored.result.probabilities)
            self.assertAlmostEqual(sum(stored.result.probabilities.values()), 1.0, places=4)
            bounds, wanted = [0.0] * 6, [0.0] * 6
            stored.heat_node.GetRASBounds(bounds)
            volume.GetRASBounds(wanted)
            for value, other in zip(bounds, wanted, strict=True):
                self.assertAlmostEqual(value, other, places=3)

    def test_results_survive_the_scene(self) -> None:
        """Saved as a bundle of files, closed and loaded, a result is there again."""
        from SKDClassifierLib.scene import ResultNodes

        stored = SKDClassifierLogic().classify(Samples.load("SKDBrainMR"), "brain_mri")
        path = Path(slicer.app.temporaryPath) / "SKDClassifierTest.mrb"
        self.assertTrue(slicer.util.saveScene(str(path)))
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(str(path))
        (back,) = ResultNodes.find(slicer.mrmlScene)
        self.assertEqual(back.result.label, stored.result.label)
        self.assertIsNotNone(back.heat_node)

    def test_what_is_no_image_is_refused(self) -> None:
        """A segmentation gets a sentence, and leaves no nodes."""
        Package.make_importable()
        from MonaiSKD.errors import SKDError

        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(SKDError):
            SKDClassifierLogic().classify(segmentation, "brain_mri")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_the_panel_shows_an_answer(self) -> None:
        """Through the buttons, as a user does it."""
        volume = Samples.load("SKDBrainMR")
        slicer.util.selectModule("SKDClassifier")
        panel = slicer.util.getModuleWidget("SKDClassifier").panel
        panel.classify_tab.ui.volumeSelector.setCurrentNode(volume)
        panel.services.use_model("brain_mri")
        panel.classify_tab.ui.classifyButton.click()
        from SKDClassifierLib.scene import ResultNodes

        for _second in range(30):
            if ResultNodes.for_volume(slicer.mrmlScene, volume):
                break
            self.delayDisplay(_("Waiting for the answer"), 1000)
        self.assertEqual(len(ResultNodes.for_volume(slicer.mrmlScene, volume)), 1)
