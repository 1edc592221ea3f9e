"""Everything the model file computes, as one module: canonical images in, three answers out."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from MonaiSKD.models.classifier import Classifier
from MonaiSKD.models.evidence import Evidence
from MonaiSKD.models.features import feature_maps
from MonaiSKD.models.typicality import Typicality


class Answer(NamedTuple):
    """What the model file answers for N images.

    Attributes:
        probabilities: [N, K], calibrated.
        heatmap: [N, K, h, w], evidence in logits against the mean of the classes.
        atypicality: [N] in [0, 1]; above 0.5 lies beyond the limit set on validation data.
    """

    probabilities: Tensor
    heatmap: Tensor
    atypicality: Tensor


class ModelGraph(nn.Module):
    """A trained student with its heat maps and its judgement of what it was not made for.

    Args:
        classifier: calibrated student.
        evidence: fitted on the same student.
        typicality: fitted on the same student.

    Shapes:
        input: [N, 1, H, W] canonical images, any H and W.
        output: :class:`Answer`.
    """

    def __init__(self, classifier: Classifier, evidence: Evidence, typicality: Typicality) -> None:
        super().__init__()
        self.classifier = classifier
        self.evidence = evidence
        self.typicality = typicality
        self.eval()

    def forward(self, image: Tensor) -> Answer:
        """Canonical images -> :class:`Answer`."""
        features = feature_maps(self.classifier, image)
        return Answer(self.classifier(image).softmax(1), self.evidence(features), self.typicality(features))
