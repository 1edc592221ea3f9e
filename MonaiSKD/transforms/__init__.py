"""MONAI dictionary transforms: the canonical image (read by the light half), and one augmentation file per modality."""

from MonaiSKD.transforms.brain_mri import brain_mri_augmentation
from MonaiSKD.transforms.canonical import ReadCanonicald
from MonaiSKD.transforms.chest_xray import chest_xray_augmentation
from MonaiSKD.transforms.lung_ct import lung_ct_augmentation

__all__ = ["ReadCanonicald", "brain_mri_augmentation", "chest_xray_augmentation", "lung_ct_augmentation"]
