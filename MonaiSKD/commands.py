"""What each command of `monai-skd` does with its options: calls one function of the package, prints, and says the code.

Every command imports what it needs when it runs, so that `monai-skd classify` never loads the training half.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from MonaiSKD import events
from MonaiSKD.errors import SKDError
from MonaiSKD.files import output_file, read_json, run_files, write_json

UNANSWERED = 1
LEAK = 3


def classify(options: argparse.Namespace) -> int:
    """Answer for every input; 1 where one has no answer."""
    from MonaiSKD.classification import Wishes, classify
    from MonaiSKD.runtime import Classifier
    from MonaiSKD.runtime.models import find_model

    lists = [given[1:] for given in options.paths if given.startswith("@")]
    paths = [path for given in options.paths for path in (_listed(given[1:]) if given.startswith("@") else [given])]
    if not paths:
        raise SKDError(lists[0], "lists no path", "Give a text file in UTF-8, one path a line", code="not_found")
    if options.json and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    names = ("json", "csv", "heatmaps", "heatmap_format", "sr", "report", "explain", "identify")
    wishes = Wishes(**{name: getattr(options, name) for name in names})
    model = find_model(options.model)
    classifier = Classifier(model, provider=options.provider, threads=options.threads)
    kept = [*lists, *_of_model(model)]
    totals = classify(classifier, paths, wishes, recursive=options.recursive, gather=options.gather, kept=kept)
    return UNANSWERED if totals.failed else 0


def _listed(file: str) -> list[str]:
    """The paths in a file, one a line: a command line has room for some thousand only."""
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise SKDError(file, cause, "Give a text file in UTF-8, one path a line", code="not_found") from error
    return [line for line in lines if line.strip()]


def _of_model(model: str | Path) -> list[Path]:
    """The files behind a model that no output may replace."""
    path = Path(model)
    return [path, *run_files(path if path.is_dir() else path.parent)]


def _of_data(data: str) -> Iterator[str]:
    """The files behind a data set that no output may replace."""
    from MonaiSKD.datasets.sources import read_source

    yield data
    yield from (case.path for case in read_source(Path(data)))


def export(options: argparse.Namespace) -> None:
    """Write the model file of a run."""
    from MonaiSKD.export.run import export

    path = export(options.run, options.out, options.precision)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def train(options: argparse.Namespace) -> None:
    """Train, or go on with what was interrupted; print the metrics."""
    from MonaiSKD.bundle import literal
    from MonaiSKD.training import add_once, train

    chosen: dict[str, Any] = dict(_setting(text) for text in options.set)
    for name in ("student", "image_size", "epochs", "seed", "unlabeled", "quiet"):
        value = getattr(options, name)
        if value is not None and value is not False:
            # A folder may be called as an expression begins.
            add_once(chosen, {name: literal(value)}, f"--{name.replace('_', '-')}")
    if options.quiet:
        logging.getLogger("MonaiSKD").setLevel(logging.WARNING)
    print(train(options.bundle, options.data, options.out, options.teacher, options.device, chosen))
    if events.listening():
        out = Path(options.out).resolve()
        metrics = {split: values for split, values in read_json(out / "metrics.json").items() if split != "cost"}
        model = str(out / "model.onnx") if (out / "model.onnx").is_file() else None
        events.emit("metrics", metrics=metrics, model=model, report=str(out / "report.html"))


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value as JSON where it is JSON, else as text."""
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise SKDError(f"--set {text}", "it is not of the form KEY=VALUE", "Write for example --set batch_size=16")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def evaluate(options: argparse.Namespace) -> None:
    """Print metrics, what the thresholds reach, and results by source."""
    from MonaiSKD.evaluating import evaluate, measured_images, metrics_table, source_table, threshold_table

    file = options.json and output_file(options.json, chain(_of_model(options.model), _of_data(options.data)))
    metrics = evaluate(options.model, options.data, options.split, options.device)
    if file:
        write_json(file, metrics)
    print(measured_images(metrics))
    print(metrics_table({metrics["split"]: metrics}))
    print(threshold_table(metrics))
    if "by_source" in metrics:
        print(source_table(metrics["by_source"]))


def check_data(options: argparse.Namespace) -> int:
    """Print the report; 3 of a leak, 2 of files that cannot be used."""
    from MonaiSKD.datasets import check_data, load_datalist
    from MonaiSKD.reading import RULES

    file = options.json and output_file(options.json, _of_data(options.data))
    report = check_data(load_datalist(options.data), RULES[options.modality])
    if file:
        write_json(file, report.to_dict())
    events.emit("report", report=report.to_dict(), text=report.text())
    print(report.text())
    return {"leak": LEAK, "unusable": SKDError.exit_code}.get(report.verdict, 0)


def select(options: argparse.Namespace) -> None:
    """Write and describe a selection plan."""
    from MonaiSKD.selection import make_plan

    file = output_file(options.out)
    plan = make_plan(
        options.teacher,
        options.student,
        depth=options.depth,
        width=options.width,
        heads=options.heads,
        phase=options.phase,
    )
    plan.save(file)
    print(plan.describe())


def bundles(options: argparse.Namespace) -> None:
    """List the bundles."""
    from MonaiSKD.bundle import list_bundles

    for bundle in list_bundles():
        print(f"{bundle.name:12} {bundle.metadata['version']:8} {bundle.metadata['description']}")


def label_app(options: argparse.Namespace) -> None:
    """Write the app folder and print how MONAI Label's server takes it."""
    from MonaiSKD.label_app.folder import write_app

    folder = write_app(options.out).parent
    print(
        f"{folder}: start it with\n"
        f"monailabel start_server --app {folder} --studies IMAGES --conf models all --host 127.0.0.1"
    )


def pacs(options: argparse.Namespace) -> int:
    """Run the service, or list or retry what is in its queue."""
    from MonaiSKD.pacs.command import pacs

    return pacs(
        options.action,
        options.config,
        options.keys,
        once=options.once,
        as_json=options.json,
        identify=options.identify,
    )


def phantoms(options: argparse.Namespace) -> None:
    """Write procedural images."""
    from MonaiSKD.datasets.phantoms import write_phantoms

    write_phantoms(
        options.out, options.modality, per_class=tuple(options.per_class), size=options.size, seed=options.seed
    )
    print(f"{Path(options.out)}: phantoms written")


def demo(options: argparse.Namespace) -> None:
    """Train on phantoms; print the metrics."""
    from MonaiSKD.training import demo

    print(demo(options.out, options.modality))
