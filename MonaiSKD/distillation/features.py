"""Feature distillation from the large teacher; it needs no labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth-L1 between tokens plus one minus the cosine between their pooled vectors.

    Args:
        student: tokens [N, T, C], already brought to the teacher's width by a linear layer.
        teacher: the teacher's tokens [N, T', C] of the SAME augmented view. They are layer-normalised without affine,
            so that no channel's scale rules the sum (as in data2vec, arXiv 2202.03555, section 3.3).

    When T' differs from T (another patch size or stride) both are pooled to the mean token and only that is compared.

    Returns:
        a scalar >= 0, 0 if and only if the student's tokens equal the normalised teacher's.
    """
    student = student.float()
    target = functional.layer_norm(teacher.detach().float(), teacher.shape[-1:])
    pooled, pooled_target = student.mean(1), target.mean(1)
    direction = (1 - functional.cosine_similarity(pooled, pooled_target, dim=-1)).mean()
    if student.shape[1] != target.shape[1]:
        return functional.smooth_l1_loss(pooled, pooled_target) + direction
    return functional.smooth_l1_loss(student, target) + direction
