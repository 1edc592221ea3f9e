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


def _silent_other_modality(path: Path, original: Seed, answer: Any, modality: str) -> str:
    """Why the answer is of a wrong modality, or nothing."""
    from MonaiSKD.reading.dicom.terms import DOUBTFUL_MODALITIES, MODALITIES

    accepted = {*MODALITIES[modality], *DOUBTFUL_MODALITIES[modality]}
    told = any("modality" in warning for warning in answer.warnings)

    def stated(source: Any) -> str:
        try:
            return (
                str(pydicom.dcmread(source, stop_before_pixels=True, force=True).get("Modality", "") or "")
                .strip("\0 ")
                .upper()
            )
        except Exception:
            return ""

    if not answer.instances:  # not read as DICOM
        return ""
    now = stated(path)
    if now and now not in accepted:
        return f"states {now}, answered as {modality}"
    before = stated(io.BytesIO(original.content)) if original.content[128:132] == b"DICM" else ""
    if before and before not in accepted and not now and not told:
        return f"was {before}, states none, answered as {modality} without a warning"
    return ""


def work(pipe: Any, model: str, rule: str | None, folders: list[Path], seed: int, errors: str) -> None:
    """Classify the numbers that come through the pipe."""
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 2)
    os.dup2(stream, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from MonaiSKD.reading import RULES
    from MonaiSKD.reading.sources import Source
    from MonaiSKD.runtime import Classifier, Failure

    classifier = Classifier(model, provider="cpu", threads=1)
    if rule is not None:
        contract = replace(classifier.contract, rule=RULES[rule])
        classifier._file = replace(classifier._file, contract=contract)
    seeds = seeds_of(folders)
    records = io.StringIO()
    logger = logging.getLogger("MonaiSKD.runtime.classifier")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(records))
    with tempfile.TemporaryDirectory() as warm:
        for one in seeds[:40]:  # imports and first runs are not the input's own cost
            path = place(one, Path(warm))
            list(classifier.many([path]))
    baseline = memory("VmRSS")
    pipe.send(baseline)
    while (number := pipe.recv()) is not None:
        kind, original, mutant = case(number, seed, seeds)
        with tempfile.TemporaryDirectory() as folder:
            path = place(mutant, Path(folder))
            records.truncate(records.seek(0))
            before = Path(errors).stat().st_size
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
            pipe.send("go")
            start = time.process_time()
            findings: list[str] = []
            try:
                how = number % 4
                if how == 0:
                    answers = list(classifier.many([folder], recursive=True))
                elif how == 1:
                    answers = list(classifier.many([path], heatmaps=True))
                else:
                    answers = [classifier.attempt(Source(str(path), (str(path),)), heatmaps=how == 2)]
            except BaseException as error:
                answers, findings = [], ["traceback"]
                outcome = Outcome("escaped", message=f"{type(error).__name__}: {traceback.format_exc()}")
            else:
                failed = next((one for one in answers if isinstance(one, Failure)), None)
                if failed is not None:
                    outcome = Outcome(failed.code, message=failed.message)
                    if failed.code == "internal":
                        findings.append("internal")
                        outcome.message += "\n" + records.getvalue()
                elif answers:
                    outcome = Outcome("result")
                    wrong = {
                        _silent_other_modality(path, original, one, classifier.contract.rule.modality)
                        for one in answers
                    } - {""}
                    if wrong and not path.is_dir():
                        findings.append("wrong modality")
                        outcome.message = "; ".join(sorted(wrong))
                    for one in answers:
                        if not all(np.isfinite(list(one.probabilities.values()))):
                            findings.append("not finite")
                else:
                    outcome = Outcome("skipped")
            outcome.seconds = time.process_time() - start
            outcome.megabytes = memory("VmHWM") - baseline
            with open(errors, errors="replace") as stream_text:  # noqa: PTH123
                stream_text.seek(before)
                noise = stream_text.read()
            if re.search("Traceback|panicked|terminate called", noise):
                findings.append("noise")
                outcome.message += "\n" + noise[-2000:]
            if outcome.seconds > SECONDS:
                findings.append("slow")
            if outcome.megabytes > MEGABYTES:
                findings.append("memory")
            outcome.findings = tuple(findings)
            for entry in Path(folder).iterdir():
                with contextlib.suppress(OSError):
                    if stat.S_ISREG(entry.lstat().st_mode):
                        entry.chmod(0o600)
        pipe.send((kind, original.name, outcome))
