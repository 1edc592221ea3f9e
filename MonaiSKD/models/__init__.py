"""Networks: the large teachers, the small students, and the classifier that feeds canonical images to either."""

import MonaiSKD.models.students  # noqa: F401  registers the named small students with timm
from MonaiSKD.models.classifier import Classifier, Output
from MonaiSKD.models.teachers import Teacher, load_teacher

__all__ = ["Classifier", "Output", "Teacher", "load_teacher"]
