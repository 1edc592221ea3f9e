"""The MONAI Label app: classification for the readers of a hospital, who label, train and ask over MONAI Label's REST.

`folder.py` writes the folder that `monailabel start_server --app` takes, `app.py` is the app in it. What knows nothing
of MONAI Label stands in files of its own (`opinions`, `served`, `answers`, `heatmaps`, `recipe`, `students`).
Importing this package loads nothing; `app` needs `monai-skd[label]`.
"""
