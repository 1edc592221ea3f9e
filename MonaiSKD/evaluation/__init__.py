"""How good a classifier is, how well it knows that, and what it costs."""

from MonaiSKD.evaluation.calibration import expected_calibration_error, fit_temperature
from MonaiSKD.evaluation.cost import count_parameters, multiply_adds, peak_memory_bytes
from MonaiSKD.evaluation.metrics import classification_metrics
from MonaiSKD.evaluation.plots import Example
from MonaiSKD.evaluation.report import ReportData, plot_summary, write_report

__all__ = [
    "Example",
    "ReportData",
    "classification_metrics",
    "count_parameters",
    "expected_calibration_error",
    "fit_temperature",
    "multiply_adds",
    "peak_memory_bytes",
    "plot_summary",
    "write_report",
]
