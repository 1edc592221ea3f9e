from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from MonaiSKD.errors import SKDError
from MonaiSKD.reporting.sentences import printable
from MonaiSKD.reporting.table import TableWriter, cell


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), strict=True))


def test_columns_and_cells(make_result, make_failure, volume, classes, tmp_path) -> None:
    path = tmp_path / "new folder" / "r.csv"
    with TableWriter(path, classes) as table:
        for row in (make_result((0.11, 0.48, 0.41)), volume, make_failure()):
            table.add(row)
    assert [entry.name for entry in path.parent.iterdir()] == ["r.csv"]
    assert path.read_text(encoding="utf-8").splitlines() == [
        "input,label,decision,atypical,atypicality,p_normal,p_pneumonia,p_covid,"
        "slices,used,key_slices,milliseconds,warnings,error_code,error",
        "a/p01.png,pneumonia,pneumonia; covid,no,0.25,0.110000,0.480000,0.410000,,,,41.3,,,",
        "ct/series 7,covid,covid,no,0.25,0.200000,0.050000,0.750000,4,3,3 2,41.3,gantry tilt of 3.1 degrees,,",
        "b.dcm,,,,,,,,,,,,,damaged,its pixel data end too early. Export it again",
    ]


def test_identity_only_on_request(volume, make_failure, make_result, classes, tmp_path) -> None:
    with TableWriter(tmp_path / "no.csv", classes) as table:
        table.add(volume)
    assert "Müller" not in (tmp_path / "no.csv").read_text(encoding="utf-8")
    with TableWriter(tmp_path / "yes.csv", classes, identify=True) as table:
        for row in (volume, make_failure(), make_result()):
            table.add(row)
    first, second, third = read(tmp_path / "yes.csv")
    columns = ("patient_id", "patient_name", "study_uid", "series_uid")
    assert [first[name] for name in columns] == ["4711", "Müller^Hans", "1.2.3", "1.2.3.4"]
    assert [second[name] for name in columns] == [third[name] for name in columns] == [""] * 4
    assert second["error_code"] == "damaged"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1"])
def test_formulas_become_texts(text) -> None:
    assert cell(text) == f"'{text}"


def test_rows_are_on_the_disk_at_once_but_not_under_the_final_name(make_result, classes, tmp_path) -> None:
    table = TableWriter(tmp_path / "r.csv", classes)
    table.add(make_result())
    assert table.partial == tmp_path / "r.csv.partial"
    assert len(read(table.partial)) == 1
    assert not (tmp_path / "r.csv").exists()
    table.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.csv"]


def test_an_interrupted_table_is_kept_and_never_overwritten(make_result, classes, tmp_path) -> None:
    (tmp_path / "r.csv").write_text("an older table")

    def interrupted() -> None:
        with TableWriter(tmp_path / "r.csv", classes) as table:
            table.add(make_result())
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interrupted()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["r.csv", "r.csv.2.partial", "r.csv.partial"]
    assert (tmp_path / "r.csv").read_text() == "an older table"
    assert len(read(tmp_path / "r.csv.2.partial")) == 1


def test_of_two_tables_of_one_name_none_is_lost(make_result, classes, tmp_path) -> None:
    first, second = (TableWriter(tmp_path / "r.csv", classes) for _ in range(2))
    first.add(make_result(input="first.png"))
    second.add(make_result(input="second.png"))
    first.close()
    with pytest.raises(SKDError, match=r"r.csv: was written by another program meanwhile.*r\.csv\.2\.partial"):
        second.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["r.csv", "r.csv.2.partial"]
    assert [read(tmp_path / name)[0]["input"] for name in ("r.csv", "r.csv.2.partial")] == ["first.png", "second.png"]


def test_an_interruption_before_the_first_row_leaves_nothing(classes, tmp_path) -> None:
    with pytest.raises(RuntimeError), TableWriter(tmp_path / "r.csv", classes):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_one_sentence(classes, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SKDError, match="cannot be written"):
        TableWriter(tmp_path / "file" / "r.csv", classes)


TEXT = st.text(st.characters(), max_size=30)


@given(name=TEXT, warning=TEXT, patient=TEXT)
def test_any_text_is_one_cell_that_no_spreadsheet_runs(
    make_result, make_identity, classes, name: str, warning: str, patient: str
) -> None:
    identity = make_identity(patient)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "r.csv"
        with TableWriter(path, classes, identify=True) as table:
            table.add(make_result(input=name, warnings=(warning,), identity=identity))
        assert len(path.read_text(encoding="utf-8").splitlines()) == 2
        (row,) = read(path)
    for found, given_text in ((row["input"], name), (row["warnings"], warning), (row["patient_name"], patient)):
        assert found in (printable(given_text), f"'{printable(given_text)}")
        assert not found.lstrip().startswith(("=", "+", "-", "@"))
    assert row["label"] == "pneumonia"
