"""What to train: the part of the train tab where bundle, run folder, epochs, teacher and recipe are chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ctk
import qt
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.Models import MODALITIES
from SKDClassifierLib.train.Training import WEIGHTS, TrainingPlan, is_weights_file, options_of, run_folder

if TYPE_CHECKING:
    from MonaiSKD.bundle import Bundle

_KEY = "SKDClassifier/train/"


class PlanForm:
    """Makes a :class:`TrainingPlan` of what the user enters; remembers it, but for the paths of images and run.

    Args:
        ui: the widgets of TrainTab.ui.
        settings: `qt.QSettings`.
        on_change: called whenever anything was changed.
    """

    def __init__(self, ui: Any, settings: Any, on_change: Callable[[], None]) -> None:
        Package.make_importable()
        from MonaiSKD.bundle import list_bundles

        self._ui, self._settings, self._on_change = ui, settings, on_change
        self._suggested = ""
        self._data = ""
        self._bundles = {bundle.name: bundle for bundle in list_bundles()}
        for name, bundle in self._bundles.items():
            title = MODALITIES.get(name) or str(bundle.metadata["name"])
            classes = ", ".join(bundle.config["class_names"])
            ui.bundleSelector.addItem(f"{title[:1].upper()}{title[1:]} ({classes})", name)
        ui.runEdit.filters = ctk.ctkPathLineEdit.Dirs
        self._restore()
        self._connections = (
            (ui.bundleSelector, "currentIndexChanged(int)", self._on_bundle),
            (ui.runEdit, "currentPathChanged(QString)", self._changed),
            (ui.runEdit, "validInputChanged(bool)", self._changed),  # it was emptied
            (ui.newRunButton, "clicked(bool)", self._on_new_run),
            (ui.epochsBox, "valueChanged(int)", self._changed),
            (ui.teacherEdit, "textChanged(QString)", self._on_teacher),
            (ui.teacherFileButton, "clicked(bool)", self._on_teacher_file),
            (ui.studentEdit, "textChanged(QString)", self._changed),
            (ui.sizeBox, "valueChanged(int)", self._changed),
            (ui.seedBox, "valueChanged(int)", self._changed),
            (ui.optionsEdit, "textChanged()", self._changed),
        )
        for sender, signal, slot in self._connections:
            sender.connect(signal, slot)
        self._show_bundle()

    @property
    def bundle(self) -> Bundle:
        """The chosen one."""
        return self._bundles[self._ui.bundleSelector.itemData(self._ui.bundleSelector.currentIndex)]

    def suggest_run(self, data: str) -> None:
        """The images are others: fit the run folder to them, unless the user chose one."""
        self._data = data
        if self._ui.runEdit.currentPath in ("", self._suggested):
            self._on_new_run()

    def plan(self, data: str) -> tuple[TrainingPlan | None, str]:
        """The plan for these images, or why there is none."""
        ui = self._ui
        try:
            options: dict[str, Any] = dict(options_of(ui.optionsEdit.plainText))
        except ValueError as error:
            return None, _("Recipe: write KEY=VALUE, not {line}").format(line=repr(str(error)))
        # Names with # lead elsewhere into the bundle's configuration; the command looks there.
        unknown = [name for name in options if "#" not in name and name not in self.bundle.recipe]
        if unknown:
            known = ", ".join(self.bundle.recipe)
            return None, _("Recipe: there is no {name}. Known: {known}").format(name=unknown[0], known=known)
        if ui.studentEdit.text.strip():
            options["student"] = ui.studentEdit.text.strip()
        if ui.sizeBox.value:
            options["image_size"] = ui.sizeBox.value
        if ui.seedBox.value != self.bundle.recipe["seed"]:
            options["seed"] = ui.seedBox.value
        teacher, epochs = ui.teacherEdit.text.strip(), ui.epochsBox.value or None
        plan = TrainingPlan(self.bundle.name, data, ui.runEdit.currentPath.strip(), epochs, teacher, options)
        valid, reason = plan.is_valid()
        return (plan, "") if valid else (None, _(reason))

    def set_enabled(self, enabled: bool) -> None:
        """Whether anything can be changed."""
        self._ui.planSection.setEnabled(enabled)

    def remember(self) -> None:
        """Keep the choices for the next time; paths of images and runs may tell of patients and are not kept."""
        for key, value in self._values().items():
            self._settings.setValue(_KEY + key, value)

    def cleanup(self) -> None:
        """Let go of the widgets."""
        for sender, signal, slot in self._connections:
            sender.disconnect(signal, slot)

    def _values(self) -> dict[str, Any]:
        ui = self._ui
        return {
            "bundle": self.bundle.name,
            "epochs": ui.epochsBox.value,
            "teacher": ui.teacherEdit.text,
            "student": ui.studentEdit.text,
            "imageSize": ui.sizeBox.value,
            "seed": ui.seedBox.value,
            "options": ui.optionsEdit.plainText,
        }

    def _restore(self) -> None:
        ui = self._ui

        def text(key: str) -> str:
            value = self._settings.value(_KEY + key)
            return "" if value is None else str(value)

        def number(key: str, default: int) -> int:
            return int(text(key)) if text(key).isdecimal() else default  # settings may come back as text

        index = ui.bundleSelector.findData(text("bundle"))
        ui.bundleSelector.setCurrentIndex(max(index, 0))
        ui.epochsBox.setValue(number("epochs", 0))
        ui.teacherEdit.setText(text("teacher"))
        ui.studentEdit.setText(text("student"))
        ui.sizeBox.setValue(number("imageSize", 0))
        ui.seedBox.setValue(number("seed", int(self.bundle.recipe["seed"])))
        ui.optionsEdit.setPlainText(text("options"))

    def _show_bundle(self) -> None:
        ui, recipe = self._ui, self.bundle.recipe
        own = _("the bundle's own: {value}")
        ui.epochsBox.setSpecialValueText(own.format(value=recipe["epochs"]))
        ui.sizeBox.setSpecialValueText(own.format(value=recipe["image_size"]))
        ui.teacherEdit.setPlaceholderText(own.format(value=recipe["teacher"]))
        ui.studentEdit.setPlaceholderText(own.format(value=recipe["student"]))
        ui.teacherInfo.setText(self._teacher_words())

    def _teacher_words(self) -> str:
        text, own = self._ui.teacherEdit.text.strip(), self.bundle.recipe["teacher"]
        if not text:
            return _("With its installed pretrained weights")
        name, _equals, file = text.rpartition("=")
        if not is_weights_file(text):
            return _("Its pretrained weights are fetched from the internet where they are not here")
        return _("{name} with the weights in {file}").format(name=name or own, file=Path(file).name)

    def _changed(self, *_arguments: Any) -> None:
        self._on_change()

    def _on_bundle(self, *_arguments: Any) -> None:
        self._show_bundle()
        self.suggest_run(self._data)
        self._on_change()

    def _on_teacher(self, *_arguments: Any) -> None:
        self._ui.teacherInfo.setText(self._teacher_words())
        self._on_change()

    def _on_teacher_file(self, *_arguments: Any) -> None:
        pattern = _("Weights") + f" ({' '.join('*' + suffix for suffix in WEIGHTS)})"
        file = qt.QFileDialog.getOpenFileName(self._ui.teacherEdit, _("Weights of the teacher"), "", pattern)
        if file:
            self._ui.teacherEdit.setText(file)

    def _on_new_run(self, *_arguments: Any) -> None:
        exists = bool(self._data) and Path(self._data).exists()
        self._suggested = run_folder(self._data, self.bundle.name) if exists else ""
        self._ui.runEdit.setCurrentPath(self._suggested)
