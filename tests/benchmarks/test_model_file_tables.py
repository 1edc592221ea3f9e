"""The rows of a run that is absent are taken from the document as they stand there."""

from model_file import known_rows
from sections import BENCHMARKS, table

BEFORE = table(["model", "MB"], [["other section", "1"]])


def document(*tables: str) -> str:
    text = "\n\n".join(tables)
    return f"{BEFORE}\n<!-- model_file -->\nprose\n\n{text}\n<!-- /model_file -->\n{BEFORE}"


def test_rows_come_back_table_by_table_without_head_and_rule():
    first, second = [["lung_ct", "2.85"], ["brain_mri", ""]], [["lung_ct", "**all of these**"]]
    text = document(table(["model", "MB"], first), table(["model", "images"], second))
    assert known_rows(text, 2) == [first, second]


def test_an_empty_section_has_no_rows_in_any_table():
    assert known_rows(document(), 3) == [[], [], []]


def test_the_document_of_this_repository_has_the_three_tables():
    precision, deletion, atypical = known_rows(BENCHMARKS.read_text(encoding="utf-8"), 3)
    assert [row[0] for row in deletion] == ["chest_xray", "lung_ct", "brain_mri"]
    assert len(precision) == 9
    assert all(len(row) == 5 for row in atypical)
