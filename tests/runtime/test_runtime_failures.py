"""What cannot be classified: its code and remedy, its own input alone, and nothing of whose image it is."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from known_images import ct_series, png, radiograph
from known_volumes import BRIGHTS, nifti

from MonaiSKD.errors import SKDError
from MonaiSKD.reading import Source
from MonaiSKD.runtime import Classifier, Failure, Result


def only(answers: Iterator[Result | Failure]) -> Failure:
    (failure,) = answers
    assert isinstance(failure, Failure)
    assert failure.message
    assert failure.remedy
    return failure


def test_what_fails_says_its_code_its_cause_and_a_remedy(classifier, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "a.txt").write_text("text")
    gone, empty, text = (only(classifier.many([tmp_path / name])) for name in ("gone.png", "empty.png", "a.txt"))
    assert (gone.code, gone.input) == ("not_found", str(tmp_path / "gone.png"))
    assert (empty.code, text.code) == ("damaged", "not_an_image")
    assert "is empty (0 bytes)" in empty.message
    with pytest.raises(SKDError, match=r"gone\.png"):
        classifier(tmp_path / "gone.png")


def test_a_ct_is_of_the_wrong_modality_for_a_radiograph_model_and_the_reverse(classifier, lungs, tmp_path):
    (slice_,) = ct_series(tmp_path / "ct", [0.5])
    assert only(classifier.many([slice_])).code == "wrong_modality"
    assert only(classifier.many([nifti(tmp_path / "a.nii", BRIGHTS)])).code == "wrong_modality"
    assert only(lungs.many([radiograph(tmp_path / "a.dcm")])).code == "wrong_modality"


class Broken(Classifier):
    """A defect that quotes what it met."""

    error: Exception = RuntimeError("Secret^Person")

    def read_and_classify(self, source: Source, *, heatmaps: bool = True) -> Result:
        if "broken" in source.path:
            raise self.error
        return super().read_and_classify(source, heatmaps=heatmaps)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_defect_costs_its_own_input_only_and_is_not_quoted(tiny_model, tmp_path, threads, caplog):
    caplog.set_level(logging.INFO)
    paths = [png(tmp_path / name) for name in ("a.png", "broken.png", "c.png")]
    one, failure, three = Broken(tiny_model, threads=threads).many(paths)
    assert isinstance(one, Result)
    assert isinstance(three, Result)
    assert (failure.code, failure.message) == ("internal", "internal error (RuntimeError)")
    assert "Report it" in failure.remedy
    assert "Secret" not in str(failure) + repr(failure) + caplog.text


def test_memory_that_runs_out_is_said_as_such(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(Broken, "error", MemoryError())
    assert only(Broken(tiny_model, threads=1).many([png(tmp_path / "broken.png")])).code == "too_large"


def damages(whole: bytes) -> dict[str, bytes]:
    """Ways to damage a DICOM file, each of which leaves the name in it."""
    name, rows = whole.index(b"Secret^Person"), whole.index(b"\x28\x00\x10\x00US")
    pixels = whole.index(b"\xe0\x7f\x10\x00")
    return {
        "cut in its pixels": whole[: pixels + 30],
        "cut in the header": whole[: name + 40],
        "cut in the name": whole[: name + 8],
        "without pixels": whole[:pixels],
        "no rows": whole[: rows + 8] + b"\0\0" + whole[rows + 10 :],
        "many rows": whole[: rows + 8] + b"\xff\xff" + whole[rows + 10 :],
        "wrong representation of the name": whole[: name - 4] + b"DS" + whole[name - 2 :],
        "name far too long": whole[: name - 2] + b"\xff\x7f" + whole[name:],
        "unknown transfer syntax": whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0", 1),
        "noise after the name": whole[: name + 14] + bytes(range(256)) + whole[pixels:],
        "rows as text": whole[: rows + 4] + b"IS\x02\x00Se" + whole[rows + 10 :],
    }


def test_however_a_file_is_damaged_nothing_says_whose_it_is(classifier, lungs, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    person = {"PatientName": "Secret^Person", "PatientID": "Secret17"}
    whole = radiograph(tmp_path / "whole.dcm", **person).read_bytes()
    folder = tmp_path / "damaged"
    folder.mkdir()
    kinds = damages(whole)
    for number, content in enumerate(kinds.values()):
        assert content != whole
        (folder / f"{number:02}.dcm").write_bytes(content)
    answers = [*classifier.many([folder]), *lungs.many([folder])]
    assert len(answers) == 2 * len(kinds)
    assert not [answer for answer in answers if "Secret" in str(answer) + repr(answer)]
    assert not [answer for answer in answers if isinstance(answer, Failure) and answer.code == "internal"]
    assert sum(isinstance(answer, Failure) for answer in answers) >= len(kinds) + 6
    assert "Secret" not in caplog.text
    assert "Secret" not in "".join(capfd.readouterr())
    assert classifier(tmp_path / "whole.dcm").identity.patient_name == "Secret^Person"


def test_a_model_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(SKDError) as refusal:
        Classifier(tmp_path)
    assert refusal.value.code == "model"
