"""MONAI dictionary transforms: the canonical image (read by the light half), and one augmentation file per modality."""

from MonaiSKD.transforms.brain_mri import brain_mri
from MonaiSKD.transforms.canonical import ReadCanonicald
from MonaiSKD.transforms.chest_xray import chest_xray
from MonaiSKD.transforms.lung_ct import lung_ct

__all__ = ["ReadCanonicald", "brain_mri", "chest_xray", "lung_ct"]
