"""The train tab: labelled images, what to train, and the training in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.train.DataCheck import DataCheck
from SKDClassifierLib.train.LabelSection import LabelSection
from SKDClassifierLib.train.PlanForm import PlanForm
from SKDClassifierLib.train.Training import TrainingPlan, TrainingState
from SKDClassifierLib.train.TrainingView import TrainingView

UI = Path(__file__).parents[2] / "Resources" / "UI" / "TrainTab.ui"


class TrainTab:
    """Trains a model and hands it to the classify tab.

    Args:
        services: see :class:`Services`.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        self._child: Any = None
        self._stopping = False
        self._state = TrainingState()
        self._plan: TrainingPlan | None = None
        ui.dataEdit.filters = ctk.ctkPathLineEdit.Files | ctk.ctkPathLineEdit.Readable
        # No name filters: with them a folder would be no valid path, and its choice would not be told.
        self.form = PlanForm(ui, services.settings, self._on_changed)
        self.check = DataCheck(ui, services, self._data_and_modality, self._update)
        self.labels = LabelSection(services, self._use_labels, self._on_labelled)
        self.view = TrainingView(services)
        ui.labelLayout.addWidget(self.labels.widget)
        ui.trainingLayout.addWidget(self.view.widget)
        self._connections = (
            (ui.dataEdit, "currentPathChanged(QString)", self._on_data),
            (ui.dataEdit, "validInputChanged(bool)", self._on_data),  # it was emptied
            (ui.dataFolderButton, "clicked(bool)", self._on_data_folder),
            (ui.startButton, "clicked(bool)", self._on_start),
            (ui.stopButton, "clicked(bool)", self._on_stop),
        )
        for sender, signal, slot in self._connections:
            sender.connect(signal, slot)
        self._on_changed()

    @property
    def running(self) -> bool:
        """Whether a training runs."""
        return self._child is not None

    def refresh(self) -> None:
        """The module was entered, or the scene is another: a training's curves are drawn in it."""
        self.labels.refresh()
        self.view.draw()
        self._update()

    def scene_closing(self) -> None:
        """The scene closes; a training goes on."""
        self.labels.scene_closing()
        self.view.scene_closing()

    def cleanup(self) -> None:
        """The module goes, and a training stops."""
        if self._child is not None:
            self._child.abandon()
        for part in (self.check, self.labels, self.view, self.form):
            part.cleanup()
        for sender, signal, slot in self._connections:
            sender.disconnect(signal, slot)
        self._connections = ()

    def _data(self) -> str:
        return self.ui.dataEdit.currentPath.strip()

    def _data_and_modality(self) -> tuple[str, str]:
        return self._data(), str(self.form.bundle.config["modality"])

    def _on_data(self, *_arguments: Any) -> None:
        self.form.suggest_run(self._data())
        self._update()

    def _on_data_folder(self, *_arguments: Any) -> None:
        folder = qt.QFileDialog.getExistingDirectory(self.widget, _("Folder of labelled images"), self._data())
        if folder:
            self.ui.dataEdit.setCurrentPath(folder)

    def _use_labels(self, path: str) -> None:
        self.ui.dataEdit.setCurrentPath(path)

    def _on_labelled(self, path: str) -> None:
        if self._data() == path:
            self.check.forget()
            self._update()

    def _on_changed(self) -> None:
        self.labels.suggest_classes(list(self.form.bundle.config["class_names"]))
        self._update()

    def _update(self) -> None:
        """What can be pressed now, and why not."""
        ui = self.ui
        ui.dataEdit.setEnabled(not self.running)
        ui.dataFolderButton.setEnabled(not self.running)
        self.form.set_enabled(not self.running)
        self.check.refresh(busy=self.running)
        self.labels.set_usable(not self.running)
        ui.stopButton.setEnabled(self.running and not self._stopping)
        ui.stopButton.setText(_("Stopping…") if self._stopping else _("S&top"))
        if self.running:
            ui.startButton.setEnabled(False)
            ui.startButton.setText(_("Training…"))
            self._hint("")
            return
        plan, reason = self.form.plan(self._data())
        reason = reason or self.check.refusal
        ui.startButton.setEnabled(not reason and not self.check.running)
        ui.startButton.setText(_("&Start"))
        if plan is not None and plan.finished:
            ui.startButton.setEnabled(True)
            ui.startButton.setText(_("&Show results"))
            reason = _("This run folder holds a finished training. Press New for another one.")
        elif plan is not None and plan.resumes:
            ui.startButton.setText(_("&Resume"))
            reason = reason or _("An interrupted training lies in the run folder; it goes on from its last epoch.")
        self._hint(reason)

    def _hint(self, text: str) -> None:
        self.ui.hintLabel.setText(text)
        self.ui.hintLabel.setVisible(bool(text))

    def _on_start(self, *_arguments: Any) -> None:
        plan, reason = self.form.plan(self._data())
        if plan is None or self.running:
            self._hint(reason)
            return
        try:
            if plan.finished:
                self._show_finished(plan)
            elif self._services.installer.ensure_training(self.widget):
                self._start(plan)
        except Exception as error:
            self._services.show_error(error)
            self._update()

    def _start(self, plan: TrainingPlan) -> None:
        child = self._services.child(plan.arguments(), self._on_event, self.view.log, self._on_end)
        self._state = TrainingState()
        child.start()
        self._child, self._plan, self._stopping = child, plan, False
        self.form.remember()
        self.view.begin(self._state)
        self._update()

    def _show_finished(self, plan: TrainingPlan) -> None:
        self._state = TrainingState.of_run(plan.out)
        self.view.begin(self._state)
        self.view.end(_("Finished: {folder}").format(folder=Path(plan.out).name))

    def _on_stop(self, *_arguments: Any) -> None:
        if self._child is not None and not self._stopping:
            self._stopping = True
            self._child.stop()
            self._update()

    def _on_event(self, event: dict) -> None:
        self._state.consume(event)
        self.view.update()

    def _on_end(self, end: Any) -> None:
        """Finished, stopped, failed, crashed or killed; in each case the next step is said and possible."""
        plan, self._child, self._stopping = self._plan, None, False
        goes_on = plan is not None and plan.resumes
        if end.code == 0 and self._state.metrics:
            self.view.end(_("Finished"))
        elif end.stopped and not end.text:
            self.view.end(_("Stopped"))
            kept = _("Everything up to the last epoch is kept. Resume goes on from there.")
            self.view.say(kept if goes_on else _("It was stopped before its first epoch ended; nothing is kept."))
        else:
            self.view.end(_("The training ended early"))
            text = end.text or _("The training ended without a result. See its log.")
            resume = _("Nothing is lost up to the last epoch: Resume goes on from there.")
            self.view.say(f"{text}\n{resume}" if goes_on else text, bad=True)
        self._update()
