"""DICOM: opened safely, checked for what it shows, and brought to the canonical image."""
