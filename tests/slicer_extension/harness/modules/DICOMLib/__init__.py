"""Stand-in for the package DICOMLib."""
