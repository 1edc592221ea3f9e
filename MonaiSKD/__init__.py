"""MonaiSKD: small, accurate, honest medical-image classifiers.

Importing the package imports neither torch nor monai; the training half is imported by the module that needs it.
"""

__version__ = "0.1.0"
