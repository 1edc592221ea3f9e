"""One table: what initialisation, self-distillation and distillation are each worth, on the same seed and budget.

    python benchmarks/initialisation.py lung_ct DATA --out runs/initialisation --seeds 0 1 2

Every row trains the bundle's recipe but for the options named here, so every student sees the same images for the same
number of epochs (30 in stage 1, 5 of fine-tuning, at 112 pixels). A row that is already done is not run again; one that
was interrupted goes on. The table holds all rows found below --out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
from pathlib import Path

from sections import RESULTS, write_section

from MonaiSKD import __version__
from MonaiSKD.training import train

SIZE = {"image_size": 112}
PLAIN = {
    **SIZE, "students": 1, "teacher_epochs": 0, "features": 0.0, "skd": 0.0,
    "epochs": 30, "feature_epochs": 0, "finetune_epochs": 5,
}  # fmt: skip
PUBLISHED = {"depth": "first", "width": "uniform", "heads": "interleaved"}
OURS = {"depth": "first", "width": "uniform", "heads": "whole"}
RECIPE = {**SIZE, "teacher_epochs": 15, "epochs": 30, "feature_epochs": 10, "finetune_epochs": 5}
ROWS: dict[str, dict[str, object]] = {
    "random init": {**PLAIN, "initialisation": "random", "compensation_images": 0},
    "published uniform selection": {**PLAIN, "selection": PUBLISHED, "compensation_images": 0},
    "our selection (least-squares compensation)": {**PLAIN, "selection": OURS},
    "our selection + dual SKD": {**PLAIN, "selection": OURS, "students": 2, "skd": 1.0},
    "our selection + dual SKD + distillation from the fine-tuned teacher": RECIPE,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("data")
    parser.add_argument("--out", default="runs/initialisation", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rows", type=int, nargs="+", default=list(range(len(ROWS))), help="which, from 0")
    parser.add_argument("--document", type=Path, default=RESULTS, help="where the table is written")
    options = parser.parse_args()
    for seed in options.seeds:
        for number in options.rows:
            run(options.bundle, options.data, options.out, number, seed)
            write_section(options.document, "initialisation", table(options.out))


def run(bundle: str, data: str, out: Path, number: int, seed: int) -> None:
    folder = out / bundle / f"row{number}" / f"seed{seed}"
    if not (folder / "metrics.json").exists():
        train(bundle, data, folder, options={**list(ROWS.values())[number], "seed": seed, "quiet": True})


def table(out: Path) -> str:
    lines = [
        f"<!-- python benchmarks/initialisation.py BUNDLE DATA --out {out.name}; "
        f"MonaiSKD {__version__}; {datetime.date.today()} -->",
        "| data | row | seeds | balanced accuracy % | macro AUC % | ECE % | validation AUC % | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for bundle in sorted(path.name for path in out.iterdir() if path.is_dir()):
        for number, name in enumerate(ROWS):
            found = sorted((out / bundle / f"row{number}").glob("seed*/metrics.json"))
            if found:
                lines.append(
                    f"| {bundle} | {name} | {len(found)} | {cells([json.loads(f.read_text()) for f in found])} |"
                )
    return "\n".join(lines) + "\n"


def cells(metrics: list[dict]) -> str:
    columns = []
    shown = [("test", "balanced_accuracy"), ("test", "macro_auc"), ("test", "ece"), ("val", "macro_auc")]
    for split, name in shown:
        values = [100 * entry[split][name]["value"] for entry in metrics]
        spread = f" (sd {statistics.stdev(values):.1f})" if len(values) > 1 else ""
        columns.append(f"{statistics.mean(values):.1f}{spread}")
    return " | ".join([*columns, f"{statistics.mean(entry['cost']['seconds']['all'] for entry in metrics):.0f}"])


if __name__ == "__main__":
    main()
