"""What the networks cost: parameters, multiply-adds, and the time that their exported files take for an image."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from sections import ACCURACY, table, write_section

from accuracy.plan import HERE, Cell, load_table, table_names
from accuracy.records import commit, processor
from MonaiSKD import __version__
from MonaiSKD.evaluation import count_parameters, multiply_adds
from MonaiSKD.export.graph import ModelGraph
from MonaiSKD.export.onnx_file import traced
from MonaiSKD.files import read_json, write_json
from MonaiSKD.models import Classifier
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.typicality import Typicality

COSTS = HERE / "costs.json"
CLASSES = 3
SIDE = 256
ROUNDS = 41
HEAD = ("network", "px", "parameters, M", "multiply-adds, M", "ms per image", "time / teacher's, median (min to max)")


@dataclass(frozen=True)
class Network:
    """A network of the tables, without trained weights, which would change none of this."""

    name: str
    image_size: int
    parameters: int
    multiply_adds: int
    run: Callable[[], object]

    @property
    def key(self) -> str:
        """Its name in costs.json."""
        return cost_key(self.name, self.image_size)


def cost_key(name: str, image_size: int) -> str:
    """A network's name in costs.json."""
    return f"{name}, {image_size} px"


def read_costs() -> dict[str, Any]:
    """What `cost` has measured, by :func:`cost_key`; empty before."""
    return dict(read_json(COSTS)["networks"]) if COSTS.exists() else {}


def write_cost() -> None:
    """Measure the networks of all tables, by turns, and write costs.json and the table of the document."""
    pairs = sorted(network_pairs())
    networks = [load_network(name, size) for name, size in dict.fromkeys(sum(pairs, ()))]
    seconds = measure(networks)
    found = {network.key: entry(network, seconds[network.key]) for network in networks}
    write_json(COSTS, {"commit": commit(), "machine": processor(), "rounds": ROUNDS, "networks": found})
    rows = []
    for pair in pairs:
        large, small = (next(n for n in networks if (n.name, n.image_size) == which) for which in pair)
        ratios = [own / other for own, other in zip(seconds[small.key], seconds[large.key], strict=True)]
        rows.append(
            [
                small.name,
                str(small.image_size),
                f"{small.parameters / 1e6:.2f} ({small.parameters / large.parameters:.2f} x)",
                f"{small.multiply_adds / 1e6:.0f} ({small.multiply_adds / large.multiply_adds:.2f} x)",
                f"{found[small.key]['milliseconds']:.1f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    note = f"<!-- python benchmarks/accuracy cost; MonaiSKD {__version__} ({commit()}); {datetime.date.today()} -->"
    words = f"One thread of {processor()}, {ROUNDS} rounds in turn, an image of {SIDE} x {SIDE} pixels."
    write_section(ACCURACY, "accuracy:cost", f"{note}\n{table(HEAD, rows)}\n\n{words}")


def network_pairs() -> set[tuple[tuple[str, int], tuple[str, int]]]:
    """(teacher, network) of every row that trains one, each as (name, pixels)."""
    found = set()
    for name in table_names():
        plan = load_table(name)
        for row in plan.rows:
            if row.kind in ("student", "teacher"):
                cell = Cell(row, plan.data[0], plan.fractions[0], 0)
                size = cell.options["image_size"]
                found.add(((cell.options["teacher"], size), (cell.network, size)))
    return found


def load_network(name: str, size: int) -> Network:
    """A network as a file of ONNX Runtime with all three outputs."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    image = np.random.default_rng(0).random((1, 1, SIDE, SIDE), dtype=np.float32)
    network = Classifier(name, CLASSES, size).eval()
    channels = feature_maps(network, torch.zeros(1, 1, size, size)).shape[1]
    graph = ModelGraph(network, Evidence(channels, CLASSES), Typicality(channels))
    session = onnxruntime.InferenceSession(traced(graph).SerializeToString(), settings)
    return Network(
        name, size, count_parameters(network), multiply_adds(network, torch.zeros(1, 1, size, size)),
        lambda: session.run(None, {"image": image}),
    )  # fmt: skip


def entry(network: Network, seconds: list[float]) -> dict[str, Any]:
    """What costs.json says of a network."""
    return {
        "parameters": network.parameters,
        "multiply_adds": network.multiply_adds,
        "milliseconds": round(1000 * statistics.median(seconds), 3),
    }


def measure(networks: list[Network]) -> dict[str, list[float]]:
    """Seconds per image and round, by name; the networks take turns, so that all see the same machine."""
    seconds: dict[str, list[float]] = {network.key: [] for network in networks}
    for round_ in range(ROUNDS + 2):
        for network in networks:
            start = time.perf_counter()
            network.run()
            if round_ >= 2:
                seconds[network.key].append(time.perf_counter() - start)
    return seconds
