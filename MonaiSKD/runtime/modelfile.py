"""Opening a model file: checksum, contract, and sessions that are safe to share between threads."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.errors import SKDError
from MonaiSKD.runtime.contract import CONTRACT_KEY, OUTPUTS, Contract, unsealed
from MonaiSKD.runtime.providers import resolve_providers
from MonaiSKD.runtime.subgraph import output_names, with_outputs

# A student has a few megabytes; what is larger was not written by this package, and is not taken into memory.
_LARGEST_BYTES = 1 << 30


# What every answer needs; it takes a fifth of the work of all outputs.
WITHOUT_HEATMAPS = ("probabilities", "atypicality")


class _Sessions:
    """ONNX Runtime's sessions, one with heat maps and one without; made when first needed."""

    def __init__(self, content: bytes, provider: str) -> None:
        self._content = content
        self._providers = resolve_providers(provider)
        self._made: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()

    def computing(self, outputs: Sequence[str]) -> Any:
        """A session that yields at least these outputs."""
        wanted = WITHOUT_HEATMAPS if set(outputs) <= set(WITHOUT_HEATMAPS) else OUTPUTS
        with self._lock:
            if wanted not in self._made:
                self._made[wanted] = self._make(wanted)
            return self._made[wanted]

    def _make(self, outputs: tuple[str, ...]) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Parallelism comes from several images or slices at once; threads inside one small network only wait.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # From bytes, so that no file beside it can be drawn in.
        content = self._content if outputs == OUTPUTS else with_outputs(self._content, outputs)
        return onnxruntime.InferenceSession(content, options, providers=self._providers)


@dataclass(frozen=True, eq=False)
class ModelFile:
    """An opened model file.

    Attributes:
        path: of the file.
        contract: what the file says of itself.
        sha256: of its content without the seal.
        sessions: ONNX Runtime's; `run` may be called from several threads at once.
    """

    path: Path
    contract: Contract
    sha256: str
    sessions: _Sessions

    def run(self, images: npt.NDArray[np.float32], outputs: Sequence[str] = OUTPUTS) -> list[npt.NDArray[np.float32]]:
        """Classify canonical images.

        Args:
            images: float32 (N, 1, H, W) in [0, 1].
            outputs: which of "probabilities" (N, K), "heatmap" (N, K, h, w) and "atypicality" (N,) to yield; without
                heat maps it is several times faster.

        Raises:
            ValueError: the images are not of that shape or type.
        """
        if images.ndim != 4 or images.shape[1] != 1 or images.dtype != np.float32:
            raise ValueError(f"images must be float32 (N, 1, H, W), not {images.dtype} {images.shape}")
        session = self.sessions.computing(outputs)
        answers: list[npt.NDArray[np.float32]] = session.run(list(outputs), {"image": images})
        return answers


def open_model(path: str | os.PathLike[str], provider: str = "auto") -> ModelFile:
    """Open a model file.

    Args:
        path: an .onnx file that `monai-skd export` or `monai-skd train` wrote.
        provider: see :func:`MonaiSKD.runtime.providers.resolve_providers`.

    Raises:
        SKDError: the file is absent, damaged, foreign, of another version, or cannot be run.
    """
    file = Path(path)
    content = _content(file)
    sessions = _Sessions(content, provider)
    try:
        digest = unsealed(content)
        names = output_names(content)
        if names != list(OUTPUTS):
            raise ValueError(f"its outputs are {names}")
        session = sessions.computing(WITHOUT_HEATMAPS)
        if [entry.name for entry in session.get_inputs()] != ["image"]:
            raise ValueError(f"its inputs are {[entry.name for entry in session.get_inputs()]}")
        contract = Contract.from_dict(json.loads(session.get_modelmeta().custom_metadata_map[CONTRACT_KEY]))
    except Exception as error:  # ONNX Runtime raises classes of its own, which share no other base
        raise _refused(file, error) from error
    return ModelFile(file, contract, digest, sessions)


def _content(file: Path) -> bytes:
    try:
        if file.exists() and not file.is_file():  # a pipe would be waited for
            raise SKDError(file, "is not a file", "Check the path", code="not_found")
        if file.stat().st_size > _LARGEST_BYTES:
            raise _refused(file, ValueError("it is larger than 1 GB"))
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        cause = f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise SKDError(file, cause, "Check the path", code="not_found") from error


def _refused(file: Path, error: Exception) -> SKDError:
    reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
    cause = f"is not a model file of this package: {reason}"
    return SKDError(file, cause, "Export it again with: monai-skd export RUN --out model.onnx", code="model")
