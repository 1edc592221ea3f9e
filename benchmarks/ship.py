"""Put trained runs into the bundles: weights, model file, and what they reach.

    monai-skd train chest_xray DATA/cxr/manifest.csv --out RUNS/chest_xray   # likewise lung_ct and brain_mri
    python benchmarks/ship.py --runs RUNS
    python benchmarks/yardsticks.py --data DATA --teacher DINOV2.safetensors

A run of another recipe than the bundle's own is refused: what a bundle ships is what its configuration makes. Metrics
go to `configs/metadata.json`, whose other entries stay as they are.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from MonaiSKD.bundle import Bundle, list_bundles
from MonaiSKD.engines.runfolder import CONFIG, METRICS, MODEL, MODEL_FILE
from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path, read_json

LIMIT = 12_000_000  # bytes of one file, since git keeps every version for ever
# A shipped run may have others of these than its bundle: they leave the weights as they are.
MAY_DIFFER = ("cache_dir", "num_workers", "quiet")
KEPT = ("balanced_accuracy", "macro_auc", "ece")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="has a run folder for each bundle")
    options = parser.parse_args()
    for bundle in list_bundles():
        if (run := options.runs / bundle.name).is_dir():
            ship(bundle, run)
            print(f"{bundle.name}: {run}")


def ship(bundle: Bundle, run: Path) -> None:
    """Copy a run's weights and model file into its bundle and note its metrics.

    Raises:
        SKDError: the run is of another recipe or of other classes, or a file is too large.
    """
    config = read_json(run / CONFIG)
    differing = sorted(
        name
        for name, value in bundle.recipe.items()
        if name not in MAY_DIFFER and config["recipe"].get(name, "absent") != value
    )
    if differing:
        raise SKDError(run, f"it was trained with another {', '.join(differing)}", "Train without these options")
    if config["contract"]["class_names"] != bundle.config["class_names"]:
        raise SKDError(run, "it was trained on other classes", "Train on the bundle's data")
    files = (MODEL, MODEL_FILE)
    for name in files:
        if (size := (run / name).stat().st_size) > LIMIT:
            raise SKDError(run / name, f"it has {size} bytes, more than {LIMIT}", "Train a smaller student")
    for name in files:
        with atomic_path(bundle.folder / "models" / name) as beside:
            shutil.copyfile(run / name, beside)
    metadata = {**bundle.metadata, "metrics": metrics_of(run, config)}
    with atomic_path(bundle.folder / "configs" / "metadata.json") as beside:
        beside.write_text(json.dumps(metadata, indent=4) + "\n", encoding="utf-8")  # as the other configurations


def metrics_of(run: Path, config: dict[str, Any]) -> dict[str, Any]:
    """What metadata.json says of the weights."""
    found = read_json(run / METRICS)
    return {
        "command": f"monai-skd train {config['contract']['modality']} DATA --out RUN",
        "training_data_sha256": config["contract"]["training_data_sha256"],
        "versions": config["contract"]["versions"],
        "training_minutes": round(found["cost"]["seconds"]["all"] / 60),
        **{
            split: {
                "images": found[split]["n"],
                **{name: {key: round(number, 4) for key, number in found[split][name].items()} for name in KEPT},
            }
            for split in ("val", "test")
        },
    }


if __name__ == "__main__":
    main()
