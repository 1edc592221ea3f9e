"""Tables in documents: each stands between `<!-- name -->` and `<!-- /name -->` and is written there by its command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from MonaiSKD.errors import SKDError
from MonaiSKD.files import atomic_path

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results.md"
ACCURACY = DOCS / "accuracy.md"
BENCHMARKS = DOCS / "benchmarks.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def page_with(name: str, folder: Path = DOCS) -> Path:
    """The one page of the folder that has the section `name`.

    Raises:
        SKDError: no page has it, or several have.
    """
    found = [path for path in sorted(folder.glob("*.md")) if f"<!-- {name} -->\n" in path.read_text(encoding="utf-8")]
    if len(found) != 1:
        raise SKDError(
            f"section {name!r}", f"{len(found)} pages of {folder} have it", f"Mark it once by <!-- {name} -->"
        )
    return found[0]


def write_section(path: Path, name: str, text: str) -> None:
    """Replace what stands between the two marks of `name` in the document by `text`."""
    document = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(pattern.findall(document)) != 1:
        raise SKDError(
            path, f"it has not exactly one section {name!r}", f"Mark it by <!-- {name} --> and <!-- /{name} -->"
        )
    with atomic_path(path) as beside:
        beside.write_text(
            pattern.sub(lambda found: f"{found[1]}{text.strip()}\n{found[2]}", document), encoding="utf-8"
        )
