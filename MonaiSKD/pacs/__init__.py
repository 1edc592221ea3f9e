"""Beside a PACS: takes studies in, answers each once with a DICOM SR. Light half; needs the extra `pacs`.

poll, listener        studies arrive: by DICOMweb, by C-STORE
routing               which series goes to which model
queue                 what is known of every study, across crashes
answers               classification and reporting make the DICOM objects
dicomweb, sender      they go back: by STOW-RS, by C-STORE
worker, service       one study from start to end; everything together
page, web             the status page
"""
