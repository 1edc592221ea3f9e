"""Do heat maps point at the lesion? On phantoms its place is known.

    python benchmarks/phantom_peaks.py demo [--at-least 0.9]

The folder is one that `monai-skd demo` made. Exit code 1 when fewer peaks than wanted lie in their lesion's box.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from MonaiSKD import Classifier
from MonaiSKD.reporting import heat_values


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--at-least", type=float, default=0.0)
    options = parser.parse_args()
    facts = json.loads((options.demo / "phantoms" / "phantoms.json").read_text(encoding="utf-8"))
    lesions = {name: fact for name, fact in facts.items() if fact["box"] and name.startswith("test/")}
    classifier = Classifier(options.demo / "run")
    hits = {True: [], False: []}
    for name, fact in lesions.items():
        result = classifier(options.demo / "phantoms" / name)
        heat = result.heatmaps[0]
        values = heat_values(heat, heat.pixels.shape)
        row, column = np.unravel_index(values.argmax(), values.shape)
        top, left, bottom, right = fact["box"]
        hits[result.label == fact["label"]].append(top <= row < bottom and left <= column < right)
    share = float(np.mean(hits[True]))
    print(
        f"peak of the heat map in the lesion's box: {sum(hits[True])} of {len(hits[True])} rightly classified phantoms "
        f"({share:.0%}); of {len(hits[False])} wrongly classified ones, whose heat map is of another class: "
        f"{sum(hits[False])}"
    )
    return int(share < options.at_least)


if __name__ == "__main__":
    raise SystemExit(main())
