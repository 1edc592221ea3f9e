"""Whole jobs on the training half, as one call each: train, evaluate, and the demo."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.bundle import bundles_folder, find_bundle, literal, run_training
from MonaiSKD.datasets import SPLITS, Case, DataList, load_datalist
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, read_json
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
    _check_writable(Path(out))
    chosen: dict[str, Any] = {
        "dataset_dir": literal(str(Path(data).resolve())),
        "output_dir": literal(str(Path(out).resolve())),
        "device": f"$engines.resolve_device('{device}')",
        **(options or {}),
    }
    chosen.setdefault("class_names", literal(class_names_for(data, found.config["class_names"])))
    if teacher is not None:
        chosen.update(_teacher(teacher))
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


def _check_writable(out: Path) -> None:
    """Fail before the training, not after it."""
    with atomic_path(out / "writable.tmp"):
        pass
    (out / "writable.tmp").unlink()


def evaluate(model: str | Path, data: str | Path, split: str | None = None, device: str = "auto") -> dict[str, Any]:
    """Metrics of a trained student on one split ("train", "val", "test") of a data set, or on "all" of it.

    A split that the data do not give is drawn, as `train` does, and measured only where the data are the very ones that
    the model was trained on: of others, a drawn test split holds images that the model has learned.

    Where the data says of at least two sources which image came from which, `by_source` tells the results apart (see
    :func:`MonaiSKD.evaluation.metrics_by_source`); images of no known source are left out there.

    Args:
        model: a run folder or its `model.pt`, a model file, or a bundle's short name for the model that it ships. A
            model file classifies as `monai-skd classify` does, on the processor.
        data: folder, CSV or MONAI datalist (see :func:`MonaiSKD.datasets.load_datalist`).
        split: which images. By default "test"; of data that are not the model's and give no splits, "all" if the model
            is one that a bundle ships.
        device: "auto", "cpu" or "cuda"; of a run's network.

    Returns:
        the metrics, and with them `split`, which was measured, and `images`, how many the data set has.

    Raises:
        SKDError: model or data set are not usable, the data has other classes, the split is one that cannot be known,
            or a model file refuses an image.
    """
    from MonaiSKD.evaluation import classification_metrics, metrics_by_source

    answers = _FileAnswers(model) if _is_model_file(model) else _RunAnswers(model, device)
    datalist = load_datalist(data, class_names=answers.class_names, seed=answers.seed)
    split = _measured_split(split, datalist, answers, data)
    splits = SPLITS if split == "all" else (split,)
    cases = [case for name in splits for case in datalist.of(name)]
    if not cases:
        raise SKDError(data, f"its split {split!r} has no images", "Choose another with --split")
    labels = np.array([answers.class_names.index(case.label) for case in cases])
    probabilities = answers(cases)
    patients = [case.sampled for case in cases]
    metrics = {
        "split": split,
        "images": len(datalist.cases),
        **classification_metrics(probabilities, labels, answers.class_names, groups=patients),
    }
    given = [answers.class_names[index] for index in probabilities.argmax(1)]
    by_source = metrics_by_source(given, cases, datalist.cases)
    if by_source is not None:
        metrics["by_source"] = by_source
    return metrics


def _measured_split(split: str | None, datalist: DataList, answers: _RunAnswers | _FileAnswers, data: object) -> str:
    """Which split to measure: the one asked for, if it means here what it meant in the training."""
    if split == "all":
        return split
    asked = split or "test"
    if asked not in datalist.drawn or datalist.sha256() == answers.training_data:
        return asked
    if split is None and answers.shipped:
        return "all"
    raise SKDError(
        data,
        f"it gives no {asked} split, and one drawn from it may hold images that the model was trained on",
        "Give the splits, or use --split all for images that the model has never seen",
    )


def _is_model_file(model: str | Path) -> bool:
    """Whether it is a model file or the name of a bundle; a run folder holds a model file beside its network."""
    return Path(model).suffix != ".pt" and not (Path(model) / "config.json").is_file()


class _RunAnswers:
    """Probabilities [N, K] by the network of a run folder."""

    def __init__(self, run: str | Path, device: str) -> None:
        from MonaiSKD.engines import load_run

        self.run = load_run(run)
        self.device = device
        self.class_names = list(self.run.class_names)
        self.seed: int = self.run.config["recipe"]["seed"]
        self.training_data: str = self.run.config["contract"]["training_data_sha256"]
        self.shipped = False

    def __call__(self, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
        from MonaiSKD.engines import ViewsDataset, eval_loader, resolve_device
        from MonaiSKD.evaluation.predict import predict
        from MonaiSKD.transforms import ReadCanonicald

        items = [{"image": case.path, "label": self.class_names.index(case.label)} for case in cases]
        transform = ReadCanonicald("image", self.run.modality, self.run.network.image_size)
        logits, _ = predict(
            self.run.network, eval_loader(ViewsDataset(items, transform), 64), resolve_device(self.device)
        )
        return np.asarray(logits.softmax(1).numpy(), dtype=np.float64)


class _FileAnswers:
    """Probabilities [N, K] by a model file, as `monai-skd classify` gives them."""

    def __init__(self, model: str | Path) -> None:
        from MonaiSKD.runtime import Classifier, find_model

        file = find_model(model)
        self.classifier = Classifier(file)
        contract = self.classifier.contract
        self.class_names = list(contract.class_names)
        self.seed = contract.seed
        self.training_data = contract.training_data_sha256
        self.shipped = file.resolve().is_relative_to(bundles_folder().resolve())

    def __call__(self, cases: Sequence[Case]) -> npt.NDArray[np.float64]:
        rows: list[list[float]] = []
        refused: list[SKDError] = []
        for case in cases:  # not Classifier.many, which answers a file of several volumes several times
            try:
                result = self.classifier(case.path, heatmaps=False)
            except SKDError as error:
                refused.append(error)
                continue
            rows.append([result.probabilities[name] for name in self.class_names])
        if refused:
            raise SKDError(
                f"{len(refused)} of {len(cases)} images",
                f"the model refuses them, first {refused[0].thing}: {refused[0].cause}",
                "Mend or remove them; monai-skd classify names every one",
            )
        return np.array(rows)


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Metrics of some splits as a text table, in percent, with their 95 % intervals."""
    lines = [f"{'split':6}{'n':>6}  {'balanced accuracy':22}{'macro AUC':22}{'ECE':22}"]
    for split, values in metrics.items():
        cells = "".join(f"{_interval(values[name]):22}" for name in ("balanced_accuracy", "macro_auc", "ece"))
        lines.append(f"{split:6}{values['n']:6}  {cells}")
    return "\n".join(lines)


def measured_images(metrics: Mapping[str, Any]) -> str:
    """Which images :func:`evaluate` measured, as a sentence."""
    if metrics["split"] == "all":
        return f"All {metrics['n']} images; the figures hold only if the model was trained on none of them."
    return f"{metrics['n']} of {metrics['images']} images: the {metrics['split']} split."


def source_table(by_source: Mapping[str, Any]) -> str:
    """What :func:`evaluate` found source by source as a text table, in percent."""
    width = 50
    lines = [f"{'source':{width}}{'n':>6}  balanced accuracy"]
    for source, found in by_source["sources"].items():
        shown = source if len(source) <= width else source[: width - 3] + "..."
        lines.append(f"{shown:{width}}{found['n']:6}  {100 * found['balanced_accuracy']:.1f}")
    for title in ("usual", "unusual"):
        found = by_source[title]
        if found["n"]:
            lines.append(
                f"{f'label {title} for its source':{width}}{found['n']:6}  {100 * found['correct'] / found['n']:.1f} "
                f"(accuracy); {found['taken_for_usual']} got a wrong label that is usual there"
            )
    return "\n".join(lines)


def _interval(value: Mapping[str, float | None]) -> str:
    parts = [value[name] for name in ("value", "low", "high")]
    if any(part is None for part in parts):
        return "undefined"
    return "{:.1f} ({:.1f} to {:.1f})".format(*(100 * float(part) for part in parts if part is not None))


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
    from MonaiSKD.datasets.phantoms import write_phantoms

    folder = Path(out)
    if not (folder / "phantoms" / "phantoms.json").exists():
        write_phantoms(folder / "phantoms", modality, per_class=(80, 20, 30), size=128)
    options = {"title": f"{modality}, procedural phantoms", **_DEMO}
    summary = train(modality, folder / "phantoms", folder / "run", options=options)
    return f"{summary}\nPicture: {os.fspath(folder / 'run' / 'summary.png')}\nPhantoms have no medical meaning."
