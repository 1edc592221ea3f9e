"""From a run folder to its model file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MonaiSKD.choices import Precision
from MonaiSKD.engines.runfolder import METRICS, MODEL_FILE, TrainedModel, load_evidence, load_run, load_typicality
from MonaiSKD.errors import SKDError
from MonaiSKD.export.graph import ModelGraph
from MonaiSKD.export.onnx_file import model_bytes
from MonaiSKD.export.precision import PRECISIONS
from MonaiSKD.files import atomic_path, output_file, read_json, run_files
from MonaiSKD.models.typicality import LIMIT
from MonaiSKD.reading import RULES
from MonaiSKD.runtime.contract import Contract, short_metrics


def export(run: str | Path, out: str | Path, precision: Precision = "float16") -> Path:
    """Write a trained student as one self-contained model file.

    Args:
        run: run folder of a training.
        out: the file to write, by convention `model.onnx`.
        precision: in which the weights are stored (see :mod:`MonaiSKD.export.precision`).

    Returns:
        `out`.

    Raises:
        SKDError: the run is not complete, `out` cannot be written or is another file of the run, or the precision is
            unknown.
    """
    if precision not in PRECISIONS:
        raise SKDError(f"precision {precision!r}", "it is unknown", f"Use one of {', '.join(PRECISIONS)}")
    model = load_run(run)
    target = output_file(out, [file for file in run_files(run) if file.name != MODEL_FILE])
    contract = contract_of(model, read_json(Path(run) / METRICS), precision)
    graph = ModelGraph(model.network, load_evidence(run), load_typicality(run))
    content = model_bytes(graph, contract, precision)
    with atomic_path(target) as beside:
        beside.write_bytes(content)
    return Path(out)


def contract_of(model: TrainedModel, metrics: Mapping[str, Any], precision: Precision) -> Contract:
    """What the model file will say of itself, from what the run says."""
    stated = model.config["contract"]
    return Contract(
        name=stated["name"],
        version=stated["version"],
        title=stated["title"],
        class_names=tuple(stated["class_names"]),
        rule=RULES[stated["modality"]],
        image_size=stated["image_size"],
        thresholds=dict(stated["thresholds"]),
        sensitivity=stated["sensitivity"],
        temperature=stated["temperature"],
        atypicality_threshold=LIMIT,
        precision=precision,
        student=stated["student"],
        teacher=stated["teacher"],
        training_data_sha256=stated["training_data_sha256"],
        seed=model.config["recipe"]["seed"],
        metrics={split: short_metrics(metrics[split]) for split in ("val", "test")},
        versions=stated["versions"],
        intended_use=stated["intended_use"],
    )
