"""The pictures of docs/slicer.md, made anew: a training on phantoms through the panel, and its model at work.

`make slicer-pictures` sets MONAI_SKD_PICTURES to the folder that takes them; without it nothing is done here. It takes
about four minutes on two cores. Phantoms have no medical meaning.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from harness import composite, render_slice, wait_until
from PIL import Image
from SKDClassifierLib.jobs.Jobs import ChildJob
from SKDClassifierLib.scene import ResultNodes
from test_panel import MODULE, pictured

FOLDER = os.environ.get("MONAI_SKD_PICTURES")
PYTHON = os.environ.get("MONAI_SKD_TRAIN_PYTHON")
pytestmark = pytest.mark.skipif(not (FOLDER and PYTHON), reason="pictures are made by `make slicer-pictures`")
SEED = 2
# The stages of the bundle's own recipe; enough for a model that finds the lesions of phantoms.
RECIPE = "image_size=96\nfinetune_epochs=3"


@pytest.fixture
def panel(app: Any) -> Any:
    panel = app.open_module(MODULE).panel
    # The training runs in an environment that has all, which is not this one.
    panel.services.installer.ensure_training = lambda parent=None: True
    panel.services.child = lambda *callbacks: ChildJob(*callbacks, command=[str(PYTHON), "-m", "MonaiSKD"])
    return panel


def small(path: Path) -> None:
    """As few bytes as the picture needs: the repository stays small."""
    with Image.open(path) as image:
        plain = image.convert("RGB")
    if path.name in ("slicer.png", "slicer-label.png"):  # slices, like photographs
        path.unlink()
        path = path.with_suffix(".jpg")
        plain.save(path, quality=88, optimize=True)
    else:
        plain.quantize(255, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size < 150_000


def classified(panel: Any, volume: Any) -> None:
    tab = panel.classify_tab
    tab.ui.volumeSelector.setCurrentNode(volume)
    tab.ui.classifyButton.click()
    wait_until(lambda: bool(ResultNodes.for_volume(slicer.mrmlScene, volume)), 60)


def make_training(panel: Any, phantoms: Path, run: Path, path: Path) -> None:
    """A training until its students are half done; it ends later."""
    panel.ui.tabs.setCurrentIndex(1)
    ui, view = panel.train_tab.ui, panel.train_tab.view
    ui.dataEdit.setCurrentPath(str(phantoms))
    ui.runEdit.setCurrentPath(str(run))
    ui.epochsBox.setValue(16)
    ui.optionsEdit.setPlainText(RECIPE)
    ui.startButton.click()
    assert panel.train_tab.running, ui.hintLabel.text
    wait_until(lambda: view.ui.progressBar.value > 600, 900)
    pictured(panel, path)
    wait_until(lambda: not panel.train_tab.running, 900)
    assert view.ui.useButton.enabled, view.ui.noticeLabel.text
    view.ui.useButton.click()


def make_classified(panel: Any, path: Path) -> None:
    from MonaiSKD.datasets.phantoms import write_sample

    # Of the size of those that the model learned on.
    sample = write_sample(path.with_name("sample.nii.gz"), "brain_mri", size=128, seed=SEED)
    volume = slicer.util.loadVolume(str(sample), {"name": "phantom"})
    sample.unlink()
    classified(panel, volume)
    panel.classify_tab.view.ui.thresholdSlider.setValue(40)
    pictured(panel, path)
    composite(panel.widget, [render_slice(view) for view in ("Red", "Yellow", "Green")], path)


def make_atypical(panel: Any, path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 4095, (12, 128, 128)).astype(np.int16)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "noise")
    slicer.util.updateVolumeFromArray(volume, noise)
    classified(panel, volume)
    assert not panel.classify_tab.view.ui.noticeLabel.isHidden()
    pictured(panel, path)


def make_batch(panel: Any, phantoms: Path, cases: Path, path: Path) -> None:
    for file in sorted((phantoms / "test").glob("*/*000[0-3].png")):
        cases.mkdir(exist_ok=True)
        shutil.copy(file, cases / file.name)
    section = panel.classify_tab.batch
    panel.classify_tab.ui.volumeSelector.setCurrentNode(None)
    panel.classify_tab.ui.batchButton.setCollapsed(False)
    section.ui.sourceSelector.setCurrentIndex(1)
    section.ui.folderEdit.setCurrentPath(str(cases))
    section.ui.runButton.click()
    wait_until(lambda: section.ui.runButton.text == "Classify &all" and len(section.table.rows) == 12, 120)
    pictured(panel, path)
    panel.classify_tab.ui.batchButton.setCollapsed(True)


def make_label(panel: Any, folder: Path, path: Path) -> None:
    from MonaiSKD.datasets.phantoms import write_sample

    folder.mkdir()
    for seed in range(8):
        write_sample(folder / f"case{seed + 1}.nii.gz", "chest_xray", seed=seed)
    panel.ui.tabs.setCurrentIndex(1)
    bundles = panel.train_tab.ui.bundleSelector
    bundles.setCurrentIndex(bundles.findData("chest_xray"))
    panel.train_tab.ui.labelSection.setCollapsed(False)
    section = panel.train_tab.labels
    section.ui.folderEdit.setCurrentPath(str(folder))
    section.ui.openButton.click()
    for label in ("normal", "pneumonia", "pneumonia"):
        section.give(label)
    pictured(panel, path)
    composite(section.widget, [render_slice("Red", (420, 420))], path)


def test_make_all(app: Any, panel: Any, tmp_path: Path) -> None:
    from MonaiSKD.datasets.phantoms import write_phantoms

    out, home = Path(str(FOLDER)), tmp_path / "brain"  # what the pictures show of the paths
    write_phantoms(home / "phantoms", "brain_mri", per_class=(80, 20, 30), size=128)
    make_training(panel, home / "phantoms", home / "run", out / "slicer-training.png")
    make_classified(panel, out / "slicer.png")
    make_atypical(panel, out / "slicer-atypical.png")
    make_batch(panel, home / "phantoms", tmp_path / "cases", out / "slicer-batch.png")
    make_label(panel, tmp_path / "chest", out / "slicer-label.png")
    panel.ui.tabs.setCurrentIndex(2)
    pictured(panel, out / "slicer-place.png")
    for path in sorted(out.glob("slicer*.png")):
        small(path)
    assert app.dialogs == []
