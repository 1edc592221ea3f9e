"""The parts of the module SKDClassifier; each file has one subject, and Widget.py puts them together."""
