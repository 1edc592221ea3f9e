"""Data sets: lists of labelled images, their splits and checks, and procedural phantoms."""

from MonaiSKD.datasets.cases import SPLITS, Case, DataList
from MonaiSKD.datasets.checks import assert_no_leak, check_data
from MonaiSKD.datasets.datalist import load_datalist
from MonaiSKD.datasets.report import DataReport
from MonaiSKD.datasets.unlabeled import image_items, with_unlabeled

__all__ = [
    "SPLITS",
    "Case",
    "DataList",
    "DataReport",
    "assert_no_leak",
    "check_data",
    "image_items",
    "load_datalist",
    "with_unlabeled",
]
