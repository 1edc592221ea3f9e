"""The words that options, configurations and functions may be given, where several parts of the package share them.

Nothing but names, so that the command line knows them before anything is loaded.
"""

from __future__ import annotations

from typing import Literal

Modality = Literal["chest_xray", "lung_ct", "brain_mri"]
# In which a model file stores its weights.
Precision = Literal["float32", "float16", "int8"]
# Heat maps that are DICOM objects, what `classify` may write, and what goes to a PACS beside the report.
HeatmapKind = Literal["secondary-capture", "parametric-map"]
HeatmapFormat = Literal["png", HeatmapKind]
HeatMaps = Literal["none", HeatmapKind]
# What `monai-skd pacs` may do.
PacsAction = Literal["run", "list", "retry"]
