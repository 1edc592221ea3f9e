"""How good a classifier is, how well it knows that, and what it costs."""

from MonaiSKD.evaluation.atypicality import fit_typicality, measure_atypicality
from MonaiSKD.evaluation.by_source import metrics_by_source, usual_labels
from MonaiSKD.evaluation.calibration import expected_calibration_error, fit_temperature
from MonaiSKD.evaluation.cost import count_parameters, multiply_adds, peak_memory_bytes
from MonaiSKD.evaluation.evidence import fit_evidence, occlusion_r2
from MonaiSKD.evaluation.metrics import classification_metrics, resamples
from MonaiSKD.evaluation.plots import Example
from MonaiSKD.evaluation.report import ReportData, plot_summary, write_report
from MonaiSKD.evaluation.thresholds import Calibration, calibrate, decisions, fit_thresholds

__all__ = [
    "Calibration",
    "Example",
    "ReportData",
    "calibrate",
    "classification_metrics",
    "count_parameters",
    "decisions",
    "expected_calibration_error",
    "fit_evidence",
    "fit_temperature",
    "fit_thresholds",
    "fit_typicality",
    "measure_atypicality",
    "metrics_by_source",
    "multiply_adds",
    "occlusion_r2",
    "peak_memory_bytes",
    "plot_summary",
    "resamples",
    "usual_labels",
    "write_report",
]
