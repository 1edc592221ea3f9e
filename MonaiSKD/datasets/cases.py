"""The labelled images of one task: which file, which class, which split, which patient."""

from __future__ import annotations

import hashlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from MonaiSKD.errors import SKDError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Case:
    """One labelled image.

    Args:
        path: the image file.
        label: its class name.
        split: "train", "val" or "test"; None until it is decided.
        patient_id: who is shown, where known. A patient is never divided between splits.
        source: where the image comes from (a hospital, a collection), where known.
    """

    path: str
    label: str
    split: str | None = None
    patient_id: str | None = None
    source: str | None = None

    @property
    def sampled(self) -> str:
        """What counts as one draw of a sample: the patient; where that is not known, the image."""
        return self.patient_id or self.path


@dataclass(frozen=True)
class DataList:
    """The labelled images of one task, each with its split.

    Args:
        cases: the images, each with its split decided.
        class_names: the classes, in the order of the network's outputs.
        drawn: the splits that were drawn because the data set does not give them.

    Example:
        >>> data = DataList((Case("a.png", "sick", "train"), Case("b.png", "well", "train")), ("sick", "well"))
        >>> data.items("train")[1]
        {'image': 'b.png', 'label': 1}
        >>> data.class_counts("val")
        {'sick': 0, 'well': 0}
    """

    cases: tuple[Case, ...]
    class_names: tuple[str, ...]
    drawn: tuple[Split, ...] = ()

    def items(self, split: str) -> list[dict[str, Any]]:
        """The images of one split as MONAI expects them: path and class number.

        Raises:
            ValueError: `split` is not one of "train", "val", "test".
        """
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return [{"image": case.path, "label": numbers[case.label]} for case in self.of(split)]

    def of(self, split: str) -> tuple[Case, ...]:
        """The cases of one split.

        Raises:
            ValueError: `split` is not one of "train", "val", "test".
        """
        if split not in SPLITS:
            raise ValueError(f"the split is one of {', '.join(SPLITS)}, not {split!r}")
        return tuple(case for case in self.cases if case.split == split)

    def class_counts(self, split: str) -> dict[str, int]:
        """The number of images of each class in one split.

        Raises:
            ValueError: `split` is not one of "train", "val", "test".
        """
        found = Counter(case.label for case in self.of(split))
        return {name: found[name] for name in self.class_names}

    def is_split_of(self, split: str, training_data: str) -> bool:
        """Whether a split holds here what it held in a training: it is given, or drawn from the very same data.

        Args:
            split: "train", "val" or "test".
            training_data: the fingerprint of what was trained on (see :meth:`sha256`).

        Raises:
            SKDError: a file cannot be read.
        """
        return split not in self.drawn or self.sha256() == training_data

    def sha256(self) -> str:
        """A fingerprint of the data: every file's content with its class and split, wherever the files lie.

        Raises:
            SKDError: a file cannot be read.
        """
        with ThreadPoolExecutor() as pool:
            contents = pool.map(_file_sha256, (case.path for case in self.cases))
            lines = sorted(
                f"{content} {case.split} {case.label}" for content, case in zip(contents, self.cases, strict=True)
            )
        return hashlib.sha256("\n".join((*self.class_names, *lines)).encode()).hexdigest()


def _file_sha256(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise SKDError(path, f"cannot be read ({error.strerror or error})", "Check the path") from error
