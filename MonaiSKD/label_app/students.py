"""The two students of a run, side by side: where they disagree, a label teaches most.

The model file holds one network, the better one. The other is in the checkpoint of the stage "dual", which a run folder
keeps; so there are two students for models that were trained here or are served from a run folder, and none for a
bundle's model file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.stats

from MonaiSKD.errors import SKDError
from MonaiSKD.files import read_json
from MonaiSKD.runtime.models import MODEL_NAME

_CHECKPOINT = "checkpoints/dual.pt"


def has_students(file: Path) -> bool:
    """Whether a model file lies in a run folder that keeps two students."""
    run = file.parent
    if file.name != MODEL_NAME or not (run / "config.json").is_file() or not (run / _CHECKPOINT).is_file():
        return False
    recipe = read_json(run / "config.json").get("recipe", {})
    return bool(recipe.get("students") == 2)


class Students:
    """Both students of a run, as averaged over their training (their EMA, by which they were judged).

    Args:
        run: the run folder.

    Raises:
        SKDError: the checkpoint is absent, or its weights do not fit the networks of `config.json` exactly.
    """

    def __init__(self, run: Path) -> None:
        import torch

        from MonaiSKD.models import Classifier
        from MonaiSKD.reading import RULES

        contract = read_json(run / "config.json")["contract"]
        self.rule = RULES[contract["modality"]]
        self._networks = [
            Classifier(contract["student"], len(contract["class_names"]), contract["image_size"]) for _ in range(2)
        ]
        pair = torch.nn.ModuleDict({"teachers": torch.nn.ModuleList(self._networks)})
        try:
            state = torch.load(run / _CHECKPOINT, map_location="cpu", weights_only=True)
            pair.load_state_dict(state["ema"], strict=True)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise SKDError(run / _CHECKPOINT, f"does not fit ({reason})", "Train again", code="model") from error
        pair.eval().requires_grad_(False)

    def disagreement(self, paths: Sequence[Path]) -> npt.NDArray[np.float64]:
        """How far the students are apart, per image: Jensen-Shannon divergence in bits, 0 to 1; NaN where unreadable.

        Args:
            paths: one image each.
        """
        return np.array([self._of(path) for path in paths], dtype=np.float64)

    def _of(self, path: Path) -> float:
        import torch

        from MonaiSKD.reading import read_image

        try:
            image = torch.from_numpy(read_image(path, self.rule).pixels)[None]
        except SKDError:
            return float("nan")
        first, second = (network(image).softmax(1)[0].numpy() for network in self._networks)
        return jensen_shannon(first, second)


def entropy(probabilities: npt.ArrayLike) -> float:
    """Shannon's entropy in bits; 0 log 0 is 0.

    Example:
        >>> entropy([0.5, 0.5]), entropy([1.0, 0.0])
        (1.0, 0.0)
    """
    return float(scipy.stats.entropy(np.asarray(probabilities, dtype=np.float64), base=2))


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Jensen-Shannon divergence in bits, from 0 (alike) to 1 (certain of different classes).

    Example:
        >>> jensen_shannon([1, 0], [0, 1]), jensen_shannon([0.3, 0.7], [0.3, 0.7])
        (1.0, 0.0)
    """
    # SciPy's own distance is NaN for some that are alike but for rounding, which would count as unreadable.
    p, q = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return max(0.0, entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)
