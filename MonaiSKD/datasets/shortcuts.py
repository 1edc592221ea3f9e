"""Can the classes be told apart by something that is no medicine: the size of the file, its border, its source?

DeGrave, Janizek & Lee, "AI for radiographic COVID-19 detection selects shortcuts over signal", Nature Machine
Intelligence 3, 610-619 (2021), shows why it matters: such a classifier fails at the next hospital.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from MonaiSKD.datasets.facts import Facts

FOLDS = 5
MARGIN = 0.15
_STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class Shortcut:
    """How well one trivial property alone tells the classes apart.

    Args:
        name: the property.
        balanced_accuracy: cross-validated over patients, in [0, 1].
        chance: the balanced accuracy of guessing, in [0, 1].
        flagged: whether it is clearly above chance: by 0.15, and by three standard errors of guessing patient by
            patient.
    """

    name: str
    balanced_accuracy: float
    chance: float
    flagged: bool

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self.name]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON data."""
        return asdict(self)


_NUMBERS: dict[str, Callable[[Facts], tuple[float, ...]]] = {
    "image size": lambda fact: (fact.height, fact.width, fact.width / fact.height),
    "border": lambda fact: (fact.border_mean, fact.border_deviation),
    "mean intensity and contrast": lambda fact: (fact.mean, fact.deviation),
}
_CATEGORIES: dict[str, Callable[[Facts], str]] = {
    "file type": lambda fact: fact.file_type,
    "source": lambda fact: fact.case.source or "",
}

_REMEDIES = {
    "image size": "crop and resize all images alike",
    "border": "crop all images alike",
    "mean intensity and contrast": "it may be anatomy or the scanner, so test on images of another scanner",
    "file type": "save all images in one format",
    "source": "take all classes from each source, or see what evaluate says source by source",
}


def find_shortcuts(facts: Sequence[Facts]) -> tuple[Shortcut, ...]:
    """Measure every trivial property that differs between images.

    A small decision tree (depth 4, classes weighed alike) is cross-validated in 5 folds, the images of a patient in
    one fold. A class needs images of at least 5 patients; otherwise nothing can be said and nothing is returned.

    Args:
        facts: the readable images of all splits.
    """
    from sklearn.preprocessing import OneHotEncoder  # here, so that phantoms can be drawn where it is absent

    labels = np.array([fact.case.label for fact in facts])
    patients = np.array([fact.case.patient_id or fact.case.path for fact in facts])
    if len(set(labels)) < 2 or min(len(set(patients[labels == name])) for name in set(labels)) < FOLDS:
        return ()
    found = []
    for name, number_of in _NUMBERS.items():
        found.append(_measure(name, np.array([number_of(fact) for fact in facts]), labels, patients))
    for name, category_of in _CATEGORIES.items():
        encoder = OneHotEncoder(sparse_output=False)
        found.append(_measure(name, encoder.fit_transform([[category_of(f)] for f in facts]), labels, patients))
    return tuple(shortcut for shortcut in found if shortcut is not None)


def _measure(
    name: str, properties: npt.NDArray[Any], labels: npt.NDArray[np.str_], patients: npt.NDArray[np.str_]
) -> Shortcut | None:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    if (properties == properties[0]).all():
        return None
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, class_weight="balanced", random_state=0)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(tree, properties, labels, groups=patients, cv=folds)
    score = float(balanced_accuracy_score(labels, predicted))
    chance = 1 / len(set(labels))
    # Of guessing: recalls of classes are independent, each with the variance of a binomial share of its patients, since
    # the images of one may be alike.
    counts = [len(set(patients[labels == name])) for name in set(labels)]
    error = chance * float(np.sqrt(sum(chance * (1 - chance) / count for count in counts)))
    return Shortcut(name, score, chance, flagged=score > chance + max(MARGIN, _STANDARD_ERRORS * error))
