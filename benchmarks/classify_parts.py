"""What `classify.py` runs in child processes: `python classify_parts.py PART ARGUMENT...` prints one JSON object."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# The bare cost of a radiograph: what any program in Python pays for decoding it and running this network.
BARE = """
import sys, numpy, onnxruntime, pydicom
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
pixels = pydicom.dcmread(sys.argv[2]).pixel_array.astype(numpy.float32)[None, None]
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
print(session.run(None, {"image": pixels})[0].tolist())
"""


def memory(kind: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most since the start or the last `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{kind}:")))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def eager(run: str, path: str, is_teacher: bool) -> dict[str, Any]:
    """The stock way with MONAI and PyTorch, once."""
    answer = eager_classifier(run, is_teacher)
    return {"probabilities": answer(path)}


def eager_classifier(run: str, is_teacher: bool) -> Any:
    import torch
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize, ScaleIntensity

    from MonaiSKD.engines.runfolder import load_run

    torch.set_num_threads(1)
    trained = load_run(run)
    network, size = trained.network, trained.config["contract"]["image_size"]
    if is_teacher:
        from MonaiSKD.models import Classifier

        network = Classifier("tf_efficientnet_lite2", len(trained.class_names), size).eval()
    load = Compose(
        [LoadImage(reader="PydicomReader"), EnsureChannelFirst(), Resize((size, size)), ScaleIntensity()],
    )

    def answer(path: str) -> list[float]:
        with torch.inference_mode():
            probabilities: list[float] = network(load(path)[None]).softmax(1)[0].tolist()
        return probabilities

    return answer


def warm(run: str, path: str, repeats: str) -> dict[str, Any]:
    """Milliseconds of processor time, on one thread, from file to answer, of each way in turn."""
    import numpy as np
    import onnxruntime
    import pydicom

    from MonaiSKD import Classifier

    model = Path(run) / "model.onnx"
    classifier = Classifier(model, provider="cpu", threads=1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    student, teacher = eager_classifier(run, False), eager_classifier(run, True)

    def bare() -> None:
        pixels = pydicom.dcmread(path).pixel_array.astype(np.float32)[None, None]
        session.run(None, {"image": pixels})

    ways = {
        "ours": lambda: classifier(path),
        "bare": bare,
        "student": lambda: student(path),
        "teacher": lambda: teacher(path),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(int(repeats) + 2):
        for name, way in ways.items():
            way()  # so that none pays for the caches and the heap that another left behind
            start = time.process_time()  # on one thread the same as the clock of a machine that does nothing else
            way()
            if repeat >= 2:
                times[name].append((time.process_time() - start) * 1e3)
    return times


def batch(model: str, threads: str, *paths: str) -> dict[str, Any]:
    """Many files through `Classifier.many`: files per second, and memory on the way."""
    from MonaiSKD import Classifier, Result

    classifier = Classifier(model, provider="cpu", threads=int(threads))
    classifier(paths[0], heatmaps=False)
    early = 0
    start = time.perf_counter()
    for done, answer in enumerate(classifier.many(paths), start=1):
        assert isinstance(answer, Result), answer
        if done == len(paths) // 5:
            early = memory("VmRSS")
    seconds = time.perf_counter() - start
    return {"rate": len(paths) / seconds, "early": early, "late": memory("VmRSS"), "peak": memory("VmHWM")}


def volume(model: str, path: str, threads: str) -> dict[str, Any]:
    """A series: slices per second, and how far the memory rose above that of an open model."""
    from MonaiSKD import Classifier

    classifier = Classifier(model, provider="cpu", threads=int(threads))
    before = memory("VmRSS")
    forget_peak()
    start = time.perf_counter()
    result = classifier(path, heatmaps=False)
    seconds = time.perf_counter() - start
    assert result.slices is not None
    return {"rate": len(result.slices.used) / seconds, "rise": memory("VmHWM") - before}


def main() -> None:
    part, *rest = sys.argv[1:]
    if part == "eager":
        found = eager(rest[0], rest[1], rest[2] == "teacher")
    elif part == "batch":
        found = batch(rest[0], rest[1], *Path(rest[2]).read_text().splitlines())
    else:
        found = {"warm": warm, "volume": volume}[part](*rest)
    print(json.dumps(found))


if __name__ == "__main__":
    # Only the package decides how many threads work.
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
