"""Whole jobs on the training half, as one call each: train, and the demo."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MonaiSKD.bundle import find_bundle, literal, run_training
from MonaiSKD.datasets import SPLITS, load_datalist
from MonaiSKD.errors import SKDError
from MonaiSKD.evaluating import metrics_table
from MonaiSKD.files import check_writable, read_json, refuse_undecoded
from MonaiSKD.reading import Modality


def train(
    bundle: str,
    data: str | Path,
    out: str | Path,
    teacher: str | None = None,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
) -> str:
    """Train with a bundle on a data set; an interrupted run in `out` goes on.

    Args:
        bundle: short name or folder.
        data: folder, CSV or MONAI datalist (see :func:`MonaiSKD.datasets.load_datalist`).
        out: run folder.
        teacher: a timm name, a local weights file of the bundle's own teacher, or NAME=FILE for both.
        device: "auto", "cpu" or "cuda".
        options: further options by short name (see :func:`MonaiSKD.bundle.overrides`).

    Returns:
        a short summary of the results.

    Raises:
        SKDError: something the user can mend: data, options, teacher file, output folder.
    """
    found = find_bundle(bundle)
    if Path(data).is_dir() and Path(out).resolve().is_relative_to(Path(data).resolve()):
        raise SKDError(out, f"lies in the folder of the images, {data}", "Use a folder outside it")
    refuse_undecoded(str(Path(out).resolve()), out, "Rename it, or use another folder")  # TensorBoard takes no other
    chosen: dict[str, Any] = {
        "dataset_dir": literal(str(Path(data).resolve())),
        "output_dir": literal(str(Path(out).resolve())),
        **(options or {}),
    }
    add_once(chosen, {} if teacher is None else _teacher(teacher), "--teacher")
    add_once(chosen, {} if device == "auto" else {"device": f"$engines.resolve_device('{device}')"}, "--device")
    chosen.setdefault("class_names", literal(class_names_for(data, found.config["class_names"])))
    import monai.bundle  # noqa: F401  # where it is not installed, nothing is written

    check_writable(out)  # before the training, not after it; after the images were listed, where it might be taken in
    run_training(found, chosen)
    metrics = read_json(Path(out) / "metrics.json")
    return "\n".join(
        [
            metrics_table({split: metrics[split] for split in ("val", "test")}),
            f"{metrics['cost']['parameters'] / 1e6:.2f} M parameters, "
            f"{metrics['cost']['multiply_adds'] / 1e6:.0f} M multiply-adds, {metrics['cost']['seconds']['all']:.0f} s",
            f"Report: {Path(out) / 'report.html'}",
        ]
    )


def add_once(chosen: dict[str, Any], more: Mapping[str, Any], by: str) -> None:
    """Add options that have a command-line option of their own to those of --set, in place.

    Raises:
        SKDError: one is there already.
    """
    for name, value in more.items():
        if name in chosen or f"recipe#{name}" in chosen:
            raise SKDError(f"option {name!r}", f"it is given twice, by {by} and by --set", "Give it once")
        chosen[name] = value


def _teacher(text: str) -> dict[str, str]:
    """The options that NAME, FILE or NAME=FILE stands for; timm names may hold a dot, so only known suffixes tell."""
    from MonaiSKD.models.weightfiles import SUFFIXES

    name, equals, file = text.rpartition("=")
    if not equals and not (Path(file).suffix in SUFFIXES or Path(file).exists()):
        return {"teacher": file}
    return {"teacher_weights": literal(str(Path(file).resolve())), **({"teacher": name} if name else {})}


def class_names_for(data: str | Path, expected: list[str]) -> list[str]:
    """The bundle's order of the classes when the data has the same ones, else the data's own."""
    datalist = load_datalist(data)
    for split in SPLITS:
        if not datalist.of(split):
            raise SKDError(data, f"its split {split!r} has no images", "Add some, or give the images without splits")
    found = list(datalist.class_names)
    return expected if sorted(found) == sorted(expected) else found


# The whole method, two students and a taught teacher included, in minutes and whatever the bundles leave out of it.
_DEMO = {
    "image_size": 96, "students": 2, "compensation_images": 128, "teacher_epochs": 6, "feature_epochs": 0,
    "epochs": 16, "label_start": 0.33, "finetune_epochs": 3, "features": 1.0, "teacher_logits": 1.0, "skd": 1.0,
    "learning_rate": 0.002, "smoothing": 0.0,
}  # fmt: skip


def demo(out: str | Path, modality: Modality = "brain_mri") -> str:
    """Phantoms, a real pretrained teacher, the whole pipeline, a report and a picture.

    The figures say that everything works; phantoms are drawn by a program and have no medical meaning.
    """
    import monai.bundle  # noqa: F401  # as in `train`

    from MonaiSKD.datasets.phantoms import write_phantoms

    folder = Path(out)
    if not (folder / "phantoms" / "phantoms.json").exists():
        write_phantoms(folder / "phantoms", modality, per_class=(80, 20, 30), size=128)
    options = {"title": f"{modality}, procedural phantoms", **_DEMO}
    summary = train(modality, folder / "phantoms", folder / "run", options=options)
    return f"{summary}\nPicture: {os.fspath(folder / 'run' / 'summary.png')}\nPhantoms have no medical meaning."
