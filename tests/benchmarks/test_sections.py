"""Sections of the documents: where they are, and that nothing else changes."""

import pytest
from sections import page_with, write_section

from MonaiSKD.errors import SKDError

SECTION = "before\n<!-- one -->\nold\n<!-- /one -->\nafter\n"


def test_a_section_is_found_and_replaced_and_nothing_else_changes(tmp_path):
    (tmp_path / "a.md").write_text("<!-- other -->\n<!-- /other -->\n")
    (tmp_path / "b.md").write_text(SECTION)
    page = page_with("one", tmp_path)
    assert page == tmp_path / "b.md"
    write_section(page, "one", "new \\1 text\n")
    assert page.read_text() == SECTION.replace("old", "new \\1 text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.md", "b.md"]


@pytest.mark.parametrize("pages", [[], ["a.md", "b.md"]])
def test_a_section_that_is_nowhere_or_on_two_pages_is_refused(tmp_path, pages):
    for name in pages:
        (tmp_path / name).write_text(SECTION)
    with pytest.raises(SKDError, match=f"section 'one': {len(pages)} pages"):
        page_with("one", tmp_path)


def test_a_page_without_the_mark_is_refused_as_it_is(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("<!-- one -->\nno end\n")
    with pytest.raises(SKDError, match="not exactly one section 'one'"):
        write_section(page, "one", "new")
    assert page.read_text() == "<!-- one -->\nno end\n"
