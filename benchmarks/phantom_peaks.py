"""Do heat maps point at the lesion? On phantoms its place is known.

    python benchmarks/phantom_peaks.py demo [--at-least 0.8]

The folder is one that `monai-skd demo` made. Some 50 phantoms cannot tell 79 % from 80 %, so the exit code is 1 only
when so few peaks lie in their lesion's box that the wanted share would give them in fewer than 5 of 100 such demos.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

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
        top, left, bottom, end = fact["box"]
        hits[result.label == fact["label"]].append(bool(top <= row < bottom and left <= column < end))
    right, found = len(hits[True]), int(sum(hits[True]))
    print(
        f"peak of the heat map in the lesion's box: {found} of {right} rightly classified phantoms "
        f"({found / right:.0%}); of {len(hits[False])} wrongly classified ones, whose heat map is of another class: "
        f"{sum(hits[False])}"
    )
    chance = binomtest(found, right, options.at_least, alternative="less").pvalue
    print(f"if {options.at_least:.0%} were true, so few or fewer would be seen in {chance:.0%} of such demos")
    return int(chance < 0.05)


if __name__ == "__main__":
    raise SystemExit(main())
