"""Everything the model file computes, as one module: canonical images in, three answers out."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from MonaiSKD.export.heatmaps import class_evidence
from MonaiSKD.models.classifier import Classifier
from MonaiSKD.models.typicality import Typicality, typicality_features

OUTPUTS = ("probabilities", "heatmap", "atypicality")


class Answer(NamedTuple):
    """What the model file answers for N images.

    Attributes:
        probabilities: [N, K], calibrated.
        heatmap: [N, K, h, w], evidence in logits against the mean of the classes.
        atypicality: [N], 1 is the limit set on validation data; above it the image is unlike the training images.
    """

    probabilities: Tensor
    heatmap: Tensor
    atypicality: Tensor


class ModelGraph(nn.Module):
    """A trained student with its heat maps and its judgement of what it was not made for.

    Args:
        classifier: calibrated student.
        typicality: fitted on the same student.

    Shapes:
        input: [N, 1, H, W] canonical images, any H and W.
        output: :class:`Answer`.
    """

    def __init__(self, classifier: Classifier, typicality: Typicality) -> None:
        super().__init__()
        self.classifier = classifier
        self.evidence = class_evidence(classifier)
        self.typicality = typicality
        self.eval()

    def forward(self, image: Tensor) -> Answer:
        """Canonical images -> :class:`Answer`."""
        inputs = self.classifier.prepare(image)
        probabilities = self.classifier(image).softmax(1)
        atypicality = self.typicality(typicality_features(self.classifier, image))
        return Answer(probabilities, self.evidence(inputs), atypicality)
