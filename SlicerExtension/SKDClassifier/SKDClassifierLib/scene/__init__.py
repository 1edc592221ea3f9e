"""Volumes, results and curves as nodes of the scene; classifying for scripts."""
