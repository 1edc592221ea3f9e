"""Opening a model file: checksum, contract, and a session that is safe to share between threads."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime.contract import CONTRACT_KEY, OUTPUTS, Contract, unsealed
from MonaiSKD.runtime.providers import resolve_providers
from MonaiSKD.runtime.quiet_onnxruntime import load_onnxruntime

# A student has a few megabytes; what is larger was not written by this package, and is not taken into memory.
_LARGEST_BYTES = 1 << 30


class Answers(NamedTuple):
    """What a model file answers for N images.

    Attributes:
        probabilities: float32 (N, K).
        heatmap: float32 (N, K, h, w), see :class:`MonaiSKD.runtime.result.HeatMap`.
        atypicality: float32 (N,).
    """

    probabilities: npt.NDArray[np.float32]
    heatmap: npt.NDArray[np.float32]
    atypicality: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """An opened model file.

    Attributes:
        path: of the file.
        contract: what the file says of itself.
        sha256: of its content without the seal.
        session: ONNX Runtime's; `run` may be called from several threads at once.
    """

    path: Path
    contract: Contract
    sha256: str
    session: Any

    def run(self, images: npt.NDArray[np.float32]) -> Answers:
        """Classify canonical images.

        Args:
            images: float32 (N, 1, H, W) in [0, 1].

        Raises:
            SKDError: an answer is not a number, which no image in [0, 1] brings about in a sound model.
            ValueError: the images are not of that shape or type.
        """
        if images.ndim != 4 or images.shape[1] != 1 or images.dtype != np.float32:
            raise ValueError(f"images must be float32 (N, 1, H, W), not {images.dtype} {images.shape}")
        answers = Answers(*self.session.run(list(OUTPUTS), {"image": images}))
        if not all(np.isfinite(part).all() for part in answers):
            raise SKDError(self.path, "its answer is not a number", "Export the model again", code="model")
        return answers


def open_model(path: str | os.PathLike[str], provider: str = "auto") -> ModelFile:
    """Open a model file.

    Args:
        path: an .onnx file that `monai-skd export` or `monai-skd train` wrote.
        provider: see :func:`MonaiSKD.runtime.providers.resolve_providers`.

    Raises:
        SKDError: the file is absent, damaged, foreign, of another version, or cannot be run.
    """
    onnxruntime = load_onnxruntime()
    file = Path(path)
    content = _content(file)
    try:
        digest = unsealed(content)
    except ValueError as error:
        raise _refused(file, error) from error
    options = onnxruntime.SessionOptions()
    # Parallelism comes from several images or slices at once; threads inside one small network only wait.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = resolve_providers(provider)
    try:
        # From bytes, so that no file beside it can be drawn in.
        session = onnxruntime.InferenceSession(content, options, providers=providers)
        contract = Contract.from_dict(json.loads(session.get_modelmeta().custom_metadata_map[CONTRACT_KEY]))
        classes = session.get_outputs()[0].shape[-1]
        if isinstance(classes, int) and classes != len(contract.class_names):
            raise ValueError(f"it computes {classes} classes and names {len(contract.class_names)}")
        names = [[entry.name for entry in entries] for entries in (session.get_inputs(), session.get_outputs())]
        if names != [["image"], list(OUTPUTS)]:
            raise ValueError(f"its inputs and outputs are {names}")
    except Exception as error:  # ONNX Runtime raises classes of its own, which share no other base
        raise _refused(file, error) from error
    return ModelFile(file, contract, digest, session)


def _content(file: Path) -> bytes:
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise SKDError(file, "is not a file", "Check the path", code="not_found")
        if file.stat().st_size > _LARGEST_BYTES:
            raise _refused(file, ValueError("it is larger than 1 GB"))
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        cause = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise SKDError(file, cause, "Check the path and the permissions", code="not_found") from error


def _refused(file: Path, error: Exception) -> SKDError:
    reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    cause = f"is not a model file of this package: {reason}"
    return SKDError(file, cause, "Export it again with: monai-skd export RUN --out model.onnx", code="model")
