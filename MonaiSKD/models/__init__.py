"""Networks: the large teachers, the small students, and the classifier that feeds canonical images to either."""

from MonaiSKD.models import students as _students  # registers the named small students with timm
from MonaiSKD.models.classifier import Classifier, Output
from MonaiSKD.models.teachers import Teacher, load_teacher

__all__ = ["Classifier", "Output", "Teacher", "load_teacher"]
del _students
