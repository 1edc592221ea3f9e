"""What the networks cost: parameters, multiply-adds, and the time that their exported files take for an image."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from sections import RESULTS, table, write_section

from accuracy.plan import SETTINGS
from accuracy.records import commit, processor
from MonaiSKD import __version__
from MonaiSKD.evaluation import count_parameters, multiply_adds
from MonaiSKD.export.graph import ModelGraph
from MonaiSKD.export.onnx_file import traced
from MonaiSKD.models import Classifier
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.typicality import Typicality

CLASSES = 3
SIDE = 256
ROUNDS = 41


@dataclass(frozen=True)
class Network:
    """A network of the tables, without trained weights, which would change none of this."""

    family: str
    role: str
    name: str
    image_size: int
    parameters: int
    multiply_adds: int
    run: Callable[[], object]


def write_cost() -> None:
    """Measure every family's teacher and student, by turns, and write the table into the document."""
    networks = list(load_networks())
    seconds = measure(networks)
    rows = []
    for network in networks:
        teacher = next(other for other in networks if other.family == network.family and other.role == "teacher")
        ratios = [own / large for own, large in zip(seconds[network.name], seconds[teacher.name], strict=True)]
        rows.append(
            [
                network.name,
                str(network.image_size),
                f"{network.parameters / 1e6:.2f} ({network.parameters / teacher.parameters:.2f} x)",
                f"{network.multiply_adds / 1e6:.0f} ({network.multiply_adds / teacher.multiply_adds:.2f} x)",
                f"{1000 * statistics.median(seconds[network.name]):.1f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    head = [
        "network",
        "px",
        "parameters, M",
        "multiply-adds, M",
        "ms per image",
        "time / teacher's, median (min to max)",
    ]
    note = f"<!-- python benchmarks/accuracy cost; MonaiSKD {__version__} ({commit()}); {datetime.date.today()} -->"
    words = f"One thread of {processor()}, {ROUNDS} rounds in turn, an image of {SIDE} x {SIDE} pixels."
    write_section(RESULTS, "accuracy:cost", f"{note}\n{table(head, rows)}\n\n{words}")


def load_networks() -> Iterator[Network]:
    """Teacher and student of each family, as files of ONNX Runtime with all three outputs."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    image = np.random.default_rng(0).random((1, 1, SIDE, SIDE), dtype=np.float32)
    for family, entry in SETTINGS["families"].items():
        size = entry["options"]["image_size"]
        for role in ("teacher", "student"):
            name = entry["options"][role]
            network = Classifier(name, CLASSES, size).eval()
            channels = feature_maps(network, torch.zeros(1, 1, size, size)).shape[1]
            graph = ModelGraph(network, Evidence(channels, CLASSES), Typicality(channels))
            session = onnxruntime.InferenceSession(traced(graph).SerializeToString(), settings)
            yield Network(
                family, role, name, size, count_parameters(network),
                multiply_adds(network, torch.zeros(1, 1, size, size)),
                lambda session=session: session.run(None, {"image": image}),
            )  # fmt: skip


def measure(networks: list[Network]) -> dict[str, list[float]]:
    """Seconds per image and round, by name; the networks take turns, so that all see the same machine."""
    seconds: dict[str, list[float]] = {network.name: [] for network in networks}
    for round_ in range(ROUNDS + 2):
        for network in networks:
            start = time.perf_counter()
            network.run()
            if round_ >= 2:
                seconds[network.name].append(time.perf_counter() - start)
    return seconds
