"""From results to text, JSON lines, CSV, pictures and a page. Light half: numpy, and on demand Pillow and jinja2."""

from MonaiSKD.reporting.json_lines import from_json, schema, to_json
from MonaiSKD.reporting.overlay import heat_overlay, heat_values, save_overlays
from MonaiSKD.reporting.page import PageWriter
from MonaiSKD.reporting.sentences import NOT_CLINICAL, Totals, describe
from MonaiSKD.reporting.table import TableWriter
from MonaiSKD.reporting.text import format_failure, format_result, format_totals

__all__ = [
    "NOT_CLINICAL",
    "PageWriter",
    "TableWriter",
    "Totals",
    "describe",
    "format_failure",
    "format_result",
    "format_totals",
    "from_json",
    "heat_overlay",
    "heat_values",
    "save_overlays",
    "schema",
    "to_json",
]
