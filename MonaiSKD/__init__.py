"""MonaiSKD: small, accurate, honest medical-image classifiers.

Importing the package imports neither torch nor monai; the training half is imported by the module that needs it.

Example::

    from MonaiSKD import Classifier

    print(Classifier("chest_xray")("radiograph.dcm"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from MonaiSKD.runtime import Classifier, Failure, Result

__version__ = "0.2.0"
__all__ = ["Classifier", "Failure", "Result", "__version__"]


def __getattr__(name: str) -> Any:
    """Load what is asked for, so that `import MonaiSKD` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import MonaiSKD.runtime

    return getattr(MonaiSKD.runtime, name)
