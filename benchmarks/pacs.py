"""Beside a real PACS: every study answered once and none twice, though service and PACS are killed on the way.

    python benchmarks/pacs.py                   # 200 studies, 5 kills of the service, 2 restarts of the PACS
    python benchmarks/pacs.py --studies 12 --kills 2 --restarts 1 --print

Orthanc (Debian: orthanc orthanc-dicomweb; needs root for a network of its own) gets studies with synthetic identities:
pictures of ../shared/data as DX, CT and MR, and the files of ../shared/data/dicom as they are but for their identity.
`monai-skd pacs run` answers them by DICOMweb with the three bundles' models. It is killed (SIGKILL) and Orthanc is
restarted whenever a further share of the studies is done. Then the PACS is asked what it holds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "pacs"), str(ROOT / "benchmarks")]

import pydicom  # noqa: E402
from pacs_servers import Orthanc, Program, own_network, wait_for, why_not  # noqa: E402
from pacs_studies import NAME, content, radiograph, volume, whole  # noqa: E402
from PIL import Image  # noqa: E402
from pydicom.uid import generate_uid  # noqa: E402
from sections import table, write_section  # noqa: E402

SHARED = ROOT.parent / "shared" / "data"
DOCUMENT = ROOT / "docs" / "pacs.md"
# One of the real series has UIDs that begin with 0.0.
_OF_THE_SOURCE = "Illegal root for UID"
CONFIG = """
data = "data"
workers = 2
retry = {{ first = 0.5, most = 5 }}

[dicomweb]
url = "{url}"
user = "{user}"
password = {{ env = "PACS_PASSWORD" }}

[poll]
every = 1
quiet = 1
everything = true
days = 0

[limits]
free_bytes = 0

[page]
port = {page}

[[route]]
model = "{chest_xray}"
modality = ["DX", "CR"]
body_part = ["CHEST", ""]

[[route]]
model = "{lung_ct}"
modality = ["CT"]

[[route]]
model = "{brain_mri}"
modality = ["MR"]
"""


@dataclass
class Outcome:
    """What came of a run."""

    studies: int
    rows: list[dict[str, Any]]
    reports: dict[str, list[str]]
    seconds: float
    kills: int
    restarts: int
    events: list[dict[str, Any]]
    dicom: list[bytes]

    @property
    def twice(self) -> int:
        """Studies with more reports than models that answered them."""
        wanted = Counter(row["study"] for row in self.rows if row["state"] == "answered")
        return sum(len(found) > wanted[study] for study, found in self.reports.items())

    @property
    def missing(self) -> int:
        """Answered rows whose report the PACS does not hold, and studies that are in no row."""
        wanted = Counter(row["study"] for row in self.rows if row["state"] == "answered")
        lacking = sum(max(0, count - len(self.reports.get(study, ()))) for study, count in wanted.items())
        return lacking + len(self.reports.keys() - {row["study"] for row in self.rows})


Study = tuple[str, list[bytes]]  # Study Instance UID, DICOM files


def made(count: int) -> Iterator[Study]:
    """So many studies: first the real DICOM files, then studies of pictures, by turns of the three modalities."""
    real = list(_real())
    chance = random.Random(1)
    yield from real[: count // 4] if count < 100 else real
    left = count - (count // 4 if count < 100 else len(real))
    pictures = {kind: sorted((SHARED / kind).glob("test/*/*")) for kind in ("cxr", "ct", "mri")}
    for kind in pictures:
        chance.shuffle(pictures[kind])
    for number in range(left):
        kind = ("cxr", "cxr", "ct", "mri")[number % 4]
        if kind == "cxr":
            yield _study([radiograph(_picture(pictures[kind][number]))])
        else:
            planes = np.stack([_picture(pictures[kind][number], 192)] * 3)
            yield _study(volume(planes, "CT" if kind == "ct" else "MR"))


def _picture(file: Path, side: int = 0) -> Any:
    image = Image.open(file).convert("L")
    size = (side, side) if side else (min(image.width, 1024), min(image.height, 1024))
    return np.asarray(image.resize(size), np.uint16) * 16


def _study(images: list[pydicom.Dataset]) -> Study:
    return str(images[0].StudyInstanceUID), list(map(_content, images))


def _real() -> Iterator[Study]:
    """Each file as a study, but series as one study; what is no DICOM object is left out."""
    folder = SHARED / "dicom"
    series = [sorted(folder.glob(f"{name}/*")) for name in ("mr_brain_axial_series", "ct_head_uneven_series")]
    single = sorted(
        file for name in ("cxr", "ct", "ct_transfer_syntaxes", "other") for file in (folder / name).glob("*")
    )
    for files in [*([file] for file in single), *series]:
        study, one = generate_uid(), generate_uid()
        images = [image for file in files if (image := whole(file)) is not None]
        for image in images:
            image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, one, generate_uid()
        try:
            if images:
                yield _study(images)
        except (NotImplementedError, ValueError):  # so malformed that pydicom cannot write it anew: sent as it is
            yield str(pydicom.dcmread(files[0], force=True).StudyInstanceUID), [file.read_bytes() for file in files]


def run(folder: Path, studies: int, kills: int, restarts: int, models: dict[str, str], page: int = 0) -> Outcome:
    """Let the service answer studies while it and its PACS are interrupted.

    Args:
        folder: for everything.
        studies: how many.
        kills: of the service.
        restarts: of the PACS, half of them by SIGKILL.
        models: a model for chest_xray, lung_ct and brain_mri.
        page: port of the status page.
    """
    pacs = Orthanc(folder / "orthanc")
    pacs.start()
    config = folder / "pacs.toml"
    config.write_text(CONFIG.format(url=pacs.url, user=pacs.user, page=page, **models), encoding="utf-8")
    service = Program(config, folder / "log.jsonl")
    try:
        return _run(pacs, service, studies, kills, restarts)
    finally:
        if service.process is not None and service.process.poll() is None:
            service.kill()
        pacs.stop()


def _taken(pacs: Orthanc, file: bytes) -> bool:
    """Whether the PACS takes a file: some of the malformed ones it refuses itself."""
    try:
        pacs.put(file)
    except requests.HTTPError:
        return False
    return True


def _run(pacs: Orthanc, service: Program, count: int, kills: int, restarts: int) -> Outcome:
    chance = random.Random(2)
    names: list[str] = []
    for study, files in made(count + 10):
        if len(names) < count and all(_taken(pacs, file) for file in files):
            names.append(study)
    events = sorted(
        [((number + 1) / (kills + 1), "kill") for number in range(kills)]
        + [((number + 0.5) / (restarts + 0.5), "restart") for number in range(restarts)]
    )
    start = time.monotonic()
    service.start()
    restarted = 0
    for share, what in events:
        wait_for(lambda: _done(service) >= share * 0.9 * len(names), 180, 0.2)  # noqa: B023 - it is called here
        time.sleep(chance.uniform(0, 2))
        if what == "kill":
            service.kill()
            service.start()
        else:
            (pacs.kill if restarted % 2 == 0 else pacs.stop)()
            time.sleep(2)
            pacs.start()
            restarted += 1
    wait_for(lambda: _done(service) >= len(names) and not _open(service), 180, 0.2)
    seconds = time.monotonic() - start
    time.sleep(3)  # were something to be answered twice, it would come now
    rows = service.rows()
    assert service.terminate() == 0
    reports = {study: found for study, found in pacs.reports().items() if study in names}
    dicom = [pacs.file(name) for found in reports.values() for name in found]
    return Outcome(len(names), rows, reports, seconds, kills, restarts, service.events(), dicom)


def _content(image: pydicom.Dataset) -> bytes:
    # Old files hold values that pydicom would not write anew.
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    return content(image)


def _done(service: Program) -> int:
    """How many studies have no open row; from the queue's file itself, for `list` costs a second of Python."""
    return sum(state not in ("received", "working", "retrying") for state in _states(service))


def _open(service: Program) -> int:
    return sum(state in ("received", "working", "retrying") for state in _states(service))


def _states(service: Program) -> list[str]:
    import sqlite3

    path = service.config.parent / "data" / "queue.sqlite"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base,
    ):
        return [row[0] for row in base.execute("SELECT state FROM work")]
    return []


def complaints(dicom: Sequence[bytes], folder: Path) -> list[str]:
    """What dciodvfy finds wrong with reports, each kind of error once per report."""
    found = []
    for number, report in enumerate(dicom):
        path = folder / f"report{number}.dcm"
        path.write_bytes(report)
        done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        found += sorted({line.rpartition("> - ")[2] for line in lines})  # each once, wherever it stands in the report
    return found


def text(outcome: Outcome, errors: list[str] | None) -> str:
    """The tables of the document."""
    states = Counter(row["state"] for row in outcome.rows)
    log = json.dumps(outcome.events)
    own = [error for error in errors or () if not error.startswith(_OF_THE_SOURCE)]
    rows = [
        ("studies sent to the PACS", str(outcome.studies)),
        ("service killed (SIGKILL)", f"{outcome.kills} times"),
        ("PACS restarted", f"{outcome.restarts} times"),
        ("answered", str(states["answered"])),
        ("unanswerable, with reason", str(states["unanswerable"])),
        ("open at the end", str(sum(states.values()) - states["answered"] - states["unanswerable"])),
        ("SR objects in the PACS", str(sum(map(len, outcome.reports.values())))),
        ("studies answered twice", str(outcome.twice)),
        ("answers or studies lost", str(outcome.missing)),
        ("errors of dciodvfy in all SR", "not installed" if errors is None else str(len(own))),
        ("patient names in the service's log", str(log.count(NAME.split("^")[0]))),
        ("wall time, interruptions included", f"{outcome.seconds:.0f} s"),
        ("studies per minute", f"{60 * outcome.studies / outcome.seconds:.0f}"),
    ]
    reasons = Counter((row["code"], row["reason"]) for row in outcome.rows if row["state"] == "unanswerable")
    listed = [(code, reason, str(count)) for (code, reason), count in sorted(reasons.items())]
    found = "".join(f"\n- `{line}`" for line in sorted(set(errors or ()) - set(own)))
    tables = f"{table(['', ''], rows)}\n\nUnanswerable:\n\n{table(['code', 'reason', 'studies'], listed)}"
    if not found:
        return tables
    note = "Not counted are these, for the images themselves have such UIDs, which a report on them must repeat:"
    return f"{tables}\n\n{note}\n{found}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--print", action="store_true", help="print the tables instead of writing them to docs/pacs.md")
    options = parser.parse_args()
    reason = why_not() or ("" if SHARED.is_dir() else f"{SHARED} is absent")
    if reason:
        print(reason, file=sys.stderr)
        return 2
    models = {name: name for name in ("chest_xray", "lung_ct", "brain_mri")}
    with tempfile.TemporaryDirectory() as name, own_network():
        folder = Path(name)
        outcome = run(folder, options.studies, options.kills, options.restarts, models)
        errors = complaints(outcome.dicom, folder) if shutil.which("dciodvfy") else None
    tables = text(outcome, errors)
    if options.print:
        print(tables)
    else:
        write_section(DOCUMENT, "pacs", tables)
    failed = outcome.twice or outcome.missing or len(outcome.reports) != outcome.studies
    return 1 if failed or any(not error.startswith(_OF_THE_SOURCE) for error in errors or ()) else 0


if __name__ == "__main__":
    sys.exit(main())
