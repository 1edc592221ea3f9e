"""Feature distillation from the large teacher; it needs no labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def feature_loss(student: Tensor, teacher: Tensor, similarities: float = 0.0) -> Tensor:
    """Smooth-L1 between tokens plus one minus the cosine between their pooled vectors.

    Args:
        student: tokens [N, T, C], already brought to the teacher's width by a linear layer.
        teacher: the teacher's tokens [N, T', C] of the SAME augmented view. They are layer-normalised without affine,
            so that no channel's scale rules the sum (as in data2vec, arXiv 2202.03555, section 3.3).
        similarities: weight of :func:`similarity_loss` between the pooled vectors, added to the rest.

    When T' differs from T (another patch size or stride) both are pooled to the mean token and only that is compared.

    Returns:
        a scalar >= 0, 0 if and only if the student's tokens equal the normalised teacher's.
    """
    student = student.float()
    target = functional.layer_norm(teacher.detach().float(), teacher.shape[-1:])
    pooled, pooled_target = student.mean(1), target.mean(1)
    direction = (1 - functional.cosine_similarity(pooled, pooled_target, dim=-1)).mean()
    if similarities:
        direction = direction + similarities * similarity_loss(pooled, pooled_target)
    if student.shape[1] != target.shape[1]:
        return functional.smooth_l1_loss(pooled, pooled_target) + direction
    return functional.smooth_l1_loss(student, target) + direction


def similarity_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """How differently two networks see which images of a batch resemble each other.

    Each network's vectors [N, C] give a matrix of products [N, N], whose rows are scaled to length 1; the loss is the
    squared difference of the two, summed over a row and averaged over the rows. (Tung and Mori, "Similarity-Preserving
    Knowledge Distillation", ICCV 2019, arXiv 1907.09682, equations 2 to 4, which divide by N once more.)

    Example:
        >>> same = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> similarity_loss(same, 3 * same), similarity_loss(same, torch.ones(2, 2))
        (tensor(0.), tensor(0.5858))
    """
    rows = [functional.normalize(vectors @ vectors.T, dim=1) for vectors in (student.float(), teacher.float())]
    return (rows[0] - rows[1]).square().sum(1).mean()
