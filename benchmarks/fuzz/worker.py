"""The child process: classifies mutants and says what became of each."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import resource
import stat
import tempfile
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from fuzz.cases import case
from fuzz.seeds import Seed, seeds_of
from fuzz.strangers import place
from fuzz.usage import MEGABYTES, SECONDS, memory


@dataclass
class Outcome:
    """What became of one input."""

    what: str  # "result", an error's code, "crash", "hang"
    seconds: float = 0.0
    megabytes: float = 0.0
    message: str = ""
    findings: tuple[str, ...] = ()


def work(pipe: Any, model: str, rule: str | None, folders: list[Path], seed: int, errors: str) -> None:
    """Classify the numbers that come through the pipe; what the process says goes to the file `errors`."""
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 2)
    os.dup2(stream, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seeds = seeds_of(folders)
    examiner = _Examiner(model, rule, Path(errors))
    pipe.send(examiner.warm_up(seeds[:40]))
    while (number := pipe.recv()) is not None:
        kind, original, mutant = case(number, seed, seeds)
        with tempfile.TemporaryDirectory() as folder:
            path = place(mutant, Path(folder))
            examiner.forget()
            pipe.send("go")
            outcome = examiner.examine(number, path, original)
            _make_removable(Path(folder))
        pipe.send((kind, original.name, outcome))


class _Examiner:
    """Classifies with one model, and looks at how that ended, what it cost and what was said."""

    def __init__(self, model: str, rule: str | None, errors: Path) -> None:
        from MonaiSKD.reading import RULES
        from MonaiSKD.runtime import Classifier

        self._classifier = Classifier(model, provider="cpu", threads=1)
        if rule is not None:
            contract = replace(self._classifier.contract, rule=RULES[rule])
            self._classifier._file = replace(self._classifier._file, contract=contract)
        self._records, self._errors = io.StringIO(), errors
        self._said, self._baseline = 0, 0.0
        logger = logging.getLogger("MonaiSKD.runtime.classifier")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(logging.StreamHandler(self._records))

    def warm_up(self, seeds: list[Seed]) -> float:
        """Import and run what an input must not be charged for; gives the megabytes that the process has then."""
        with tempfile.TemporaryDirectory() as folder:
            for one in seeds:
                list(self._classifier.many([place(one, Path(folder))]))
        self._baseline = memory("VmRSS")
        return self._baseline

    def forget(self) -> None:
        """What was said and used before belongs to no input that comes."""
        self._records.truncate(self._records.seek(0))
        self._said = self._errors.stat().st_size
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew

    def examine(self, number: int, path: Path, original: Seed) -> Outcome:
        """What becomes of a mutant, and what of it is a finding."""
        start = time.process_time()
        try:
            answers = self._answers(number % 4, path)
        except BaseException as error:
            outcome = Outcome("escaped", message=f"{type(error).__name__}: {traceback.format_exc()}")
            outcome.findings = ("traceback",)
        else:
            outcome = self._judged(answers, path, original)
        outcome.seconds = time.process_time() - start
        outcome.megabytes = memory("VmHWM") - self._baseline
        noise = self._errors.read_bytes()[self._said :].decode(errors="replace")
        if re.search("Traceback|panicked|terminate called", noise):
            outcome.findings += ("noise",)
            outcome.message += "\n" + noise[-2000:]
        if outcome.seconds > SECONDS:
            outcome.findings += ("slow",)
        if outcome.megabytes > MEGABYTES:
            outcome.findings += ("memory",)
        return outcome

    def _answers(self, how: int, path: Path) -> list[Any]:
        """In one of the four ways in which users classify."""
        from MonaiSKD.reading.sources import Source

        if how == 0:
            return list(self._classifier.many([path.parent], recursive=True))
        if how == 1:
            return list(self._classifier.many([path], heatmaps=True))
        return [self._classifier.attempt(Source(str(path), (str(path),)), heatmaps=how == 2)]

    def _judged(self, answers: list[Any], path: Path, original: Seed) -> Outcome:
        from MonaiSKD.runtime import Failure

        if not answers:
            return Outcome("skipped")
        failed = next((one for one in answers if isinstance(one, Failure)), None)
        if failed is not None:
            if failed.code != "internal":
                return Outcome(failed.code, message=failed.message)
            message = f"{failed.message}\n{self._records.getvalue()}"
            return Outcome(failed.code, message=message, findings=("internal",))
        outcome = Outcome("result")
        modality = self._classifier.contract.rule.modality
        wrong = {_silent_other_modality(path, original, one, modality) for one in answers} - {""}
        if wrong and not path.is_dir():
            outcome.message, outcome.findings = "; ".join(sorted(wrong)), ("wrong modality",)
        if not all(np.isfinite(list(one.probabilities.values())).all() for one in answers):
            outcome.findings += ("not finite",)
        return outcome


def _silent_other_modality(path: Path, original: Seed, answer: Any, modality: str) -> str:
    """Why the answer is of a wrong modality, or nothing."""
    from MonaiSKD.reading.dicom.terms import DOUBTFUL_MODALITIES, MODALITIES

    if not answer.instances:  # not read as DICOM
        return ""
    accepted = {*MODALITIES[modality], *DOUBTFUL_MODALITIES[modality]}
    now = _stated_modality(path)
    if now and now not in accepted:
        return f"states {now}, answered as {modality}"
    before = _stated_modality(io.BytesIO(original.content)) if original.content[128:132] == b"DICM" else ""
    told = any("modality" in warning for warning in answer.warnings)
    if before and before not in accepted and not now and not told:
        return f"was {before}, states none, answered as {modality} without a warning"
    return ""


def _stated_modality(source: Path | io.BytesIO) -> str:
    """As a header states it; empty where it states none, or is none."""
    try:
        header = pydicom.dcmread(source, stop_before_pixels=True, force=True)
        return str(header.get("Modality", "") or "").strip("\0 ").upper()
    except Exception:  # a mutant may break pydicom in any way
        return ""


def _make_removable(folder: Path) -> None:
    """Give files their rights back that a mutant lost."""
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            if stat.S_ISREG(entry.lstat().st_mode):
                entry.chmod(0o600)
