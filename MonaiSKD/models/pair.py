"""The students of a dual initialisation, side by side: one optimiser, one checkpoint."""

from __future__ import annotations

from torch import Tensor, nn

from MonaiSKD.models.classifier import Classifier, Output


class Student(nn.Module):
    """A classifier and, for feature distillation, the linear layer that brings its tokens to the teacher's width.

    Args:
        classifier: the network that is kept in the end.
        teacher_width: width of the teacher's tokens, None without feature distillation.

    Shapes:
        input: canonical images [N, 1, H, W].
        output: logits [N, K] and tokens [N, T, teacher_width].
    """

    def __init__(self, classifier: Classifier, teacher_width: int | None = None) -> None:
        super().__init__()
        self.classifier = classifier
        self.projection = nn.Identity() if teacher_width is None else nn.Linear(classifier.num_features, teacher_width)

    def forward(self, images: Tensor) -> Output:
        """Logits, and tokens at the teacher's width."""
        output = self.classifier.forward_tokens(images)
        return Output(output.logits, self.projection(output.tokens))


class StudentPair(nn.Module):
    """The students (two; one for the single-student control), to be optimised and saved together.

    Attributes:
        members: the students with their linear layers.
    """

    def __init__(self, classifiers: list[Classifier], teacher_width: int | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(Student(classifier, teacher_width) for classifier in classifiers)

    @property
    def students(self) -> list[Classifier]:
        """The classifiers, without their linear layers."""
        return [member.classifier for member in self.members]  # type: ignore[misc]
