"""How long the module of 3D Slicer takes from a click to the table, and whether the application stands still meanwhile.

    python benchmarks/slicer_module.py [--rounds 5]

Runs in the environment of the module's tests (`make slicer-install`), on Slicer's scene library and PySide6; see
docs/slicer.md for what that cannot show. Each round is a fresh process. The CT is compared with the command line on the
same file, one after the other in each round.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sections import table, write_section

from MonaiSKD import __version__

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "slicer.md"
SLICES, SIDE, MANY = 300, 512, 20
# Title, key, unit, and the limit below which the median shall lie.
ROWS = (
    ("radiograph of 2000 x 2000 pixels, first click (opens the model)", "first", "s", 1.5),
    ("the same, later clicks", "later", "s", 0.3),
    (f"CT of {SLICES} slices of {SIDE} x {SIDE}: click to table and heat map", "ct", "s", None),
    ("the same file by `monai-skd classify`, process and all", "command", "s", None),
    ("ratio of the two", "ratio", "x", 1.2),
    (f"longest standstill while {MANY} radiographs of the scene are classified", "scene", "ms", 100),
    (f"longest standstill while {MANY} files of a folder are classified", "folder", "ms", 100),
)


def measured(folder: Path) -> dict[str, float]:
    """One round, in this process; `folder` holds ct.nii.gz and cases/."""
    sys.path[:0] = [str(ROOT / "SlicerExtension" / "SKDClassifier"), str(ROOT / "tests" / "slicer_extension")]
    import harness

    harness.install()
    import pytest
    import slicer
    from harness import BlockTimer, wait_until
    from harness.fixture import App

    slicer.mrmlScene = slicer.vtkMRMLScene()
    app = App(slicer.mrmlScene, folder / "app", pytest.MonkeyPatch())
    panel = app.open_module(ROOT / "SlicerExtension" / "SKDClassifier" / "SKDClassifier.py").panel
    tab, times = panel.classify_tab, {}

    def click(node: Any, model: str) -> float:
        tab.ui.volumeSelector.setCurrentNode(node)
        tab.choose_model(model)
        begin = time.perf_counter()
        tab.ui.classifyButton.click()
        wait_until(lambda: tab.ui.classifyButton.text == "&Classify", 300)
        assert not tab.view.widget.isHidden()
        return time.perf_counter() - begin

    def standstill(source: int) -> float:
        tab.batch.ui.sourceSelector.setCurrentIndex(source)
        tab.batch.ui.folderEdit.setCurrentPath(str(folder / "cases"))
        with BlockTimer() as blocked:
            tab.batch.ui.runButton.click()
            wait_until(
                lambda: tab.batch.ui.runButton.text == "Classify &all" and len(tab.batch.table.rows) == MANY, 600
            )
        return blocked.longest

    radiograph = slicer.util.addVolumeFromArray(_radiograph(), name="radiograph")
    times["first"] = click(radiograph, "chest_xray")
    times["later"] = min(click(radiograph, "chest_xray") for _ in range(3))
    slicer.mrmlScene.RemoveNode(radiograph)
    volume = slicer.util.loadVolume(str(folder / "ct.nii.gz"))
    times["ct"] = click(volume, "lung_ct")
    app.close_scene()
    wait_until(lambda: panel.services.parameter_node is not None)
    for number in range(MANY):
        slicer.util.addVolumeFromArray(_radiograph(number), name=f"radiograph {number}")
    tab.choose_model("chest_xray")
    times["scene"], times["folder"] = standstill(0), standstill(1)
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--round", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.round:
        print(json.dumps(measured(options.round)))
        sys.stdout.flush()
        os._exit(0)  # Qt and VTK need no orderly end here
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        _write_files(Path(name))
        for number in range(options.rounds):
            own = Path(name)
            (own / "app").mkdir(exist_ok=True)
            said = subprocess.run(
                [sys.executable, __file__, "--round", name], check=True, capture_output=True, text=True
            )
            times = json.loads(said.stdout.splitlines()[-1])
            command = [sys.executable, "-m", "MonaiSKD", "classify", "lung_ct", str(own / "ct.nii.gz")]
            begin = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times["command"] = time.perf_counter() - begin
            times["ratio"] = times["ct"] / times["command"]
            rounds.append(times)
            print(number + 1, {key: round(value, 2) for key, value in times.items()}, file=sys.stderr)
    write_section(GUIDE, "slicer_speed", _text(rounds))
    return 0


def _text(rounds: list[dict[str, float]]) -> str:
    rows = []
    for title, key, unit, limit in ROWS:
        values = [times[key] for times in rounds]
        median, digits = statistics.median(values), 0 if unit == "ms" else 2
        kept = "" if limit is None else ("yes" if median <= limit else "**no**")
        spread = f"{min(values):.{digits}f} to {max(values):.{digits}f}"
        target = "" if limit is None else f"at most {limit:g} {unit}"
        rows.append((title, f"{median:.{digits}f} {unit}", spread, target, kept))
    head = ("what", "median", "least to most", "target", "kept")
    stamp = f"<!-- python benchmarks/slicer_module.py; MonaiSKD {__version__}; {datetime.date.today()} -->"
    return f"{stamp}\n{table(head, rows)}\n\n{len(rounds)} processes, {os.cpu_count()} processors, no GPU; seed 0."


def _write_files(folder: Path) -> None:
    import nibabel
    from PIL import Image

    values = np.random.default_rng(0).normal(-600, 250, (SIDE, SIDE, SLICES)).clip(-1024, 400).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([-0.7, -0.7, 1.0, 1.0])), folder / "ct.nii.gz")
    (folder / "cases").mkdir()
    for number in range(MANY):
        picture = (_radiograph(number)[0] >> 4).astype(np.uint8)
        Image.fromarray(picture).save(folder / "cases" / f"{number:02}.png")


def _radiograph(seed: int = 0) -> np.ndarray:
    """A phantom of 2000 x 2000 pixels, 12 bit."""
    from MonaiSKD.datasets.phantoms import make_phantom

    small = make_phantom("chest_xray", "opacity", np.random.default_rng(seed), size=250).pixels
    return (np.kron(small, np.ones((8, 8), np.float32)) * 4095).astype(np.int16)[None]


if __name__ == "__main__":
    raise SystemExit(main())
