"""How good a trained model is on labelled images: `monai-skd evaluate`, for run folders and model files alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.bundle import bundles_folder
from MonaiSKD.datasets import SPLITS, Case, DataList, load_datalist
from MonaiSKD.errors import SKDError


def evaluate(model: str | Path, data: str | Path, split: str | None = None, device: str = "auto") -> dict[str, Any]:
    """Metrics of a trained student on one split ("train", "val", "test") of a data set, or on "all" of it.

    A split that the data do not give is drawn, as `train` does, and measured only where the data are the very ones that
    the model was trained on: of others, a drawn test split holds images that the model has learned.

    What the model's thresholds reach is under `thresholds` and `decisions` (:func:`MonaiSKD.evaluation.decisions`).

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
        SKDError: model or data set are not usable, the data has classes that the model does not know, the split is one
            that cannot be known, or a model file refuses an image.
    """
    from MonaiSKD.evaluation import classification_metrics, decisions, metrics_by_source

    answers = _FileAnswers(model) if _is_model_file(model) else _RunAnswers(model, device)
    datalist = load_datalist(data, class_names=answers.class_names, seed=answers.seed, learnable=False)
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
        **decisions(probabilities, labels, answers.thresholds),
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
    if datalist.is_split_of(asked, answers.training_data):
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
        contract = self.run.config["contract"]
        self.training_data: str = contract["training_data_sha256"]
        self.thresholds = {name: float(contract["thresholds"][name]) for name in self.class_names}
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
        self.thresholds = {name: contract.thresholds[name] for name in self.class_names}
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
    lines = [f"{'split':6}{'n':>6}  {'balanced accuracy':24}{'macro AUC':24}{'ECE':24}"]
    for split, values in metrics.items():
        cells = "".join(f"{in_percent(values[name]):24}" for name in ("balanced_accuracy", "macro_auc", "ece"))
        lines.append(f"{split:6}{values['n']:6}  {cells}")
    return "\n".join(lines)


def threshold_table(metrics: Mapping[str, Any]) -> str:
    """What the model's thresholds reach as a text table, in percent, and how many images get a clear decision."""
    width = 20
    lines = [f"{'class':{width}}{'threshold':>9}  sensitivity  specificity"]
    for name, found in metrics["thresholds"].items():
        cells = [f"{100 * found['threshold']:9.0f}", *(_share(found[key]) for key in ("sensitivity", "specificity"))]
        lines.append(f"{name:{width}}{'  '.join(cells)}")
    counts = metrics["decisions"]
    lines.append(
        "Images that reach the threshold of one class {one}, of several {several}, of none {none}".format(**counts)
    )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return f"{'undefined' if value is None else f'{100 * value:.1f}':11}"


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
        if not found["n"]:
            continue
        right, taken = 100 * found["correct"] / found["n"], found["taken_for_usual"]
        line = f"{f'label {title} for its source':{width}}{found['n']:6}  {right:.1f} (accuracy)"
        lines.append(line if taken is None else f"{line}; {taken} got a wrong label that is usual there")
    return "\n".join(lines)


def in_percent(metric: Mapping[str, float | None]) -> str:
    """A metric as text, with its interval where it has one.

    Example:
        >>> in_percent({"value": 0.5, "low": 0.25, "high": 0.75}), in_percent({"value": 1.0, "low": None, "high": None})
        ('50.0 (25.0 to 75.0)', '100.0')
    """
    value, low, high = (metric[name] for name in ("value", "low", "high"))
    if value is None:
        return "undefined"
    return f"{100 * value:.1f}" + ("" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})")
