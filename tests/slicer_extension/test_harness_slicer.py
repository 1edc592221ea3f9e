"""The harness is honest: what stands for parts of Slicer's application does what they do."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
from harness import composite, observers, pixels_of, render_slice, screenshot, wait_until

UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Panel</class>
<widget class="qMRMLWidget" name="Panel"><layout class="QFormLayout" name="form">
 <item row="0" column="0"><widget class="QLabel" name="label"><property name="text"><string>&amp;Volume:</string>
  </property><property name="buddy"><cstring>selector</cstring></property></widget></item>
 <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="selector">
  <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
  <property name="noneEnabled"><bool>true</bool></property>
  <property name="SlicerParameterName" stdset="0"><string>volume</string></property></widget></item>
 <item row="1" column="1"><widget class="ctkSliderWidget" name="slider">
  <property name="singleStep"><double>0.1</double></property>
  <property name="maximum"><double>1.0</double></property>
  <property name="value"><double>0.5</double></property>
  <property name="SlicerParameterName" stdset="0"><string>opacity</string></property></widget></item>
 <item row="2" column="1"><widget class="ctkPathLineEdit" name="path">
  <property name="filters"><set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable</set></property></widget></item>
 <item row="3" column="1"><widget class="ctkCollapsibleButton" name="section">
  <property name="text"><string>More</string></property><property name="collapsed"><bool>true</bool></property>
  <layout class="QVBoxLayout" name="inner"><item><widget class="QCheckBox" name="box"/></item></layout></widget></item>
</layout></widget>
<connections><connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
 <receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""

MODULE = """
from typing import Annotated
import qt, slicer, vtk
from slicer.ScriptedLoadableModule import *
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.util import VTKObservationMixin

@parameterNodeWrapper
class Parameters:
    volume: slicer.vtkMRMLScalarVolumeNode
    opacity: Annotated[float, WithinRange(0, 1)] = 0.5

class Tiny(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = "Tiny"

class TinyWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.told = []
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/Tiny.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.parameters = Parameters(ScriptedLoadableModuleLogic.getParameterNode(TinyLogic()))
        self.tag = self.parameters.connectGui(self.ui)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, lambda *_: self.told.append("close"))
    def enter(self):
        self.told.append("enter")
    def cleanup(self):
        self.told.append("cleanup")
        self.parameters.disconnectGui(self.tag)
        self.removeObservers()

class TinyLogic(ScriptedLoadableModuleLogic):
    pass
"""


@pytest.fixture
def ui_file(tmp_path):
    path = tmp_path / "Resources" / "UI" / "Tiny.ui"
    path.parent.mkdir(parents=True)
    path.write_text(UI)
    return path


def test_a_ui_file_is_read(app, scene, ui_file, add_volume):
    widget = slicer.util.loadUI(str(ui_file))
    ui = slicer.util.childWidgetVariables(widget)
    assert ui.path.filters == int(ui.path.Dirs | ui.path.Readable)
    assert (ui.slider.value, ui.label.buddy(), ui.section.collapsed) == (0.5, ui.selector, True)
    volume = add_volume(np.zeros((1, 2, 2)))
    widget.setMRMLScene(scene)
    assert ui.selector.entries() == ["None", volume.GetName()]
    widget.show()
    assert not ui.box.visible
    ui.section.click()
    assert (ui.section.collapsed, ui.box.visible) == (False, True)


def test_an_unknown_class_in_a_ui_file_is_an_error(app, ui_file):
    ui_file.write_text(UI.replace("ctkSliderWidget", "ctkSlyderWidget"))
    with pytest.raises(RuntimeError, match="ctkSlyderWidget"):
        slicer.util.loadUI(str(ui_file))


def test_a_scripted_module_is_opened_and_goes(app, scene, ui_file, add_volume, tmp_path):
    (tmp_path / "Tiny.py").write_text(MODULE)
    before = observers(scene)
    widget = app.open_module(tmp_path / "Tiny.py")
    volume = add_volume(np.zeros((1, 2, 2)))
    widget.ui.selector.setCurrentNode(volume)
    widget.ui.slider.value = 0.25
    assert (widget.parameters.volume, widget.parameters.opacity) == (volume, 0.25)
    widget.parameters.opacity = 0.75
    assert widget.ui.slider.value == 0.75
    assert slicer.util.getModuleWidget("Tiny") is widget
    app.close_scene()
    assert (widget.ui.slider.value, widget.ui.selector.currentNode()) == (0.5, None)
    app.close_module("Tiny")
    assert widget.told == ["enter", "close", "cleanup"]
    del widget
    parameter_node = scene.GetSingletonNode("Tiny", "vtkMRMLScriptedModuleNode")
    scene.RemoveNode(parameter_node)
    del parameter_node
    assert observers(scene) <= before


def test_paths_are_browsed_and_remembered(app, tmp_path):
    import ctk

    edit, heard = ctk.ctkPathLineEdit(), []
    edit.filters = ctk.ctkPathLineEdit.Dirs
    edit.settingKey = "SKDClassifier/folders"
    edit.connect("currentPathChanged(QString)", heard.append)
    app.answer("getExistingDirectory", str(tmp_path))
    edit.browse()
    assert (edit.currentPath, heard) == (str(tmp_path), [str(tmp_path)])
    other = ctk.ctkPathLineEdit()
    other.settingKey = "SKDClassifier/folders"
    assert other.currentPath == str(tmp_path)


def test_volumes_and_scenes_are_saved_and_loaded(app, scene, add_volume, tmp_path):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    node = add_volume(values, name="image")
    assert slicer.util.saveNode(node, str(tmp_path / "image.nrrd"))
    back = slicer.util.loadVolume(str(tmp_path / "image.nrrd"), {"name": "back"})
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back), values)
    red = slicer.app.layoutManager().sliceWidget("Red")
    assert red.mrmlSliceCompositeNode().GetBackgroundVolumeID() == back.GetID()
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "absent.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    app.close_scene()
    assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert {one.GetName() for one in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")} == {"image", "back"}


def test_nodes_have_items_of_the_subject_hierarchy(app, scene, add_volume):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    node = add_volume(np.zeros((1, 2, 2)))
    item = hierarchy.GetItemByDataNode(node)
    assert hierarchy.GetItemName(item) == node.GetName()
    scene.RemoveNode(node)
    assert hierarchy.GetItemDataNode(item) is None


def test_the_database_knows_real_files(app, scene, shared):
    files = sorted((shared / "data" / "dicom" / "ct").glob("*.dcm"))[:3]
    database = app.use_database(*files)
    assert len(database.patients()) >= 1
    (study, *_) = database.studiesForPatient(database.patients()[0])
    series = database.seriesForStudy(study)
    file = database.filesForSeries(series[0])[0]
    assert database.fileForInstance(database.instanceForFile(file)) == file
    assert database.fieldForSeries("Modality", series[0]) == "CT" == database.fileValue(file, "0008,0060")
    assert database.fileForInstance("1.2.3") == ""


def test_packages_are_asked_for(app):
    with pytest.raises(ImportError):
        from slicer.packaging import pip_install
    packaging = app.use_packaging()
    slicer.util.pip_install(["onnxruntime"])
    from slicer.packaging import pip_check, pip_install

    pip_install("a b", requester="x")
    assert [wanted for wanted, _ in packaging.calls] == [["onnxruntime"], ["a", "b"]]
    assert pip_check("numpy>=1")
    assert not pip_check(["numpy>=1", "no-such-package"])


def test_samples_are_registered_and_loaded(app):
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataSource("SKD", "one", customDownloader=lambda source: "loaded")
    assert SampleData.downloadSample("one") == "loaded"
    assert [source.sampleName for source in slicer.modules.sampleDataSources["SKD"]] == ["one"]


def test_dialogs_that_are_executed_never_block(app):
    dialog = qt.QDialog()
    dialog.windowTitle = "Choose"
    app.answer("exec", qt.QDialog.Accepted)
    assert dialog.exec_() == qt.QDialog.Accepted
    assert dialog.exec() == 0
    assert qt.QDesktopServices.openUrl(qt.QUrl("https://example.org")) is not None
    assert app.dialogs == [("exec", "Choose"), ("exec", "Choose"), ("openUrl", "https://example.org")]


def test_views_follow_a_jump_and_make_one_picture(app, scene, add_volume, tmp_path):
    values = np.zeros((5, 8, 8), dtype=np.int16)
    values[3] = 100
    node = add_volume(values)
    node.CreateDefaultDisplayNodes()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    picture = {}
    for index in (1, 3):
        slicer.vtkMRMLSliceNode.JumpAllSlices(
            scene, -4.0, -4.0, float(index), slicer.vtkMRMLSliceNode.CenteredJumpSlice
        )
        assert red.GetSliceOffset() == index
        picture[index] = render_slice(red, (120, 120))
    assert pixels_of(picture[3]).mean() > pixels_of(picture[1]).mean() + 100
    label = qt.QLabel("panel")
    screenshot(label, tmp_path / "label.png")
    whole = composite(label, list(picture.values()), tmp_path / "whole.png")
    assert whole.width() > 240
    assert (tmp_path / "whole.png").stat().st_size > 100
    assert slicer.app.layoutManager().viewport().grab().width() > 300


def test_errors_in_observers_are_told(app, scene):
    scene.AddObserver("ModifiedEvent", lambda *_: [][1])
    scene.Modified()
    wait_until(lambda: app.errors, 1)
    assert "IndexError" in app.errors.pop()
    scene.RemoveAllObservers()
