"""Labelling cases one after the other, by buttons and number keys."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.train.CaseView import CaseView
from SKDClassifierLib.train.Labels import LabelFile, cases_in

UI = Path(__file__).parents[2] / "Resources" / "UI" / "LabelSection.ui"
FILE = "labels.csv"
_COLUMNS = 2
_KEYS = 9
SECONDS_TO_SEE = 0.3  # a key held down or a double click would label the next case, too, which nobody has seen


class LabelSection:
    """Shows the images of a folder in the slice views and writes down, for each, which class the reader gives it.

    Args:
        services: see :class:`Services`.
        on_use: called with the CSV when its labels are to be trained on.
        on_labelled: called with the CSV when a label was written.
    """

    def __init__(self, services: Services, on_use: Callable[[str], None], on_labelled: Callable[[str], None]) -> None:
        self._services, self._on_use, self._on_labelled = services, on_use, on_labelled
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        ui.folderEdit.filters = ctk.ctkPathLineEdit.Dirs
        self._labels: LabelFile | None = None
        self._cases: list[Path] = []
        self._unreadable: set[Path] = set()
        self._case: Path | None = None
        self._view = CaseView()
        self._shown_at = 0.0
        self._suggested: list[str] = []
        self.classes: list[str] = []  # those that have buttons
        self._usable = True
        self._buttons: list[Any] = []
        self._connections = [
            (ui.folderEdit, "currentPathChanged(QString)", lambda *_arguments: self._update()),
            (ui.folderEdit, "validInputChanged(bool)", lambda *_arguments: self._update()),  # it was emptied
            (ui.openButton, "clicked(bool)", lambda *_arguments: self.open(ui.folderEdit.currentPath.strip())),
            (ui.classesEdit, "editingFinished()", self._show_classes),
            (ui.previousButton, "clicked(bool)", lambda *_arguments: self._walk(-1)),
            (ui.nextButton, "clicked(bool)", lambda *_arguments: self._walk(1)),
            (ui.nextUnlabelledButton, "clicked(bool)", lambda *_arguments: self.next_unlabelled()),
            (ui.undoButton, "clicked(bool)", lambda *_arguments: self.undo()),
            (ui.useButton, "clicked(bool)", self._on_use_clicked),
        ]
        self.shortcuts = self._make_shortcuts()
        for sender, signal, slot in self._connections:
            sender.connect(signal, slot)
        self._update()

    def suggest_classes(self, names: list[str]) -> None:
        """Take the class names of a bundle, unless the user wrote others or is labelling already."""
        if self.classes in ([], self._suggested) and self._labels is None:
            self._suggested = names
            self.ui.classesEdit.setText(", ".join(names))
            self._show_classes()

    def open(self, folder: str) -> None:
        """Begin to label the images of a folder; labels that it has already are kept."""
        Package.make_importable()
        from MonaiSKD.errors import SKDError

        try:
            cases = cases_in(folder)
            labels = LabelFile(Path(folder) / FILE)
        except SKDError as error:
            self._services.show_error(error)
            return
        self._view.remove()
        self._case = None
        self._cases, self._labels, self._unreadable = cases, labels, set()
        self.ui.classesEdit.setText(", ".join(labels.counts(self.classes)))
        self._show_classes()
        self._say("")
        if not os.access(folder, os.W_OK):
            self._say(_("This folder cannot be written to: copy the images elsewhere to label them."), bad=True)
        first = labels.next_unlabelled(cases) or cases[0]
        self._show_from(cases.index(first), 1)

    def give(self, label: str) -> None:
        """Label the case that is shown; the next one without a label follows. What is not seen gets no label."""
        from MonaiSKD.errors import SKDError

        if self._labels is None or self._case is None:
            return
        self._say("")
        if not self._view.seen:
            if self._show(self._case):
                self._say(_("{case} was not in the views and is shown again.").format(case=self._case.name))
            return
        try:
            self._labels.give(self._case, label)
        except SKDError as error:
            self._say(_("Not written. {problem}").format(problem=error), bad=True)
            self._update()
            return
        self._on_labelled(str(self._labels.path))
        self.next_unlabelled()

    def undo(self) -> None:
        """Take back the last label, and show its case."""
        from MonaiSKD.errors import SKDError

        if self._labels is None:
            return
        try:
            case = self._labels.undo()
        except SKDError as error:
            self._say(str(error), bad=True)
            self._update()
            return
        if case is not None:
            self._on_labelled(str(self._labels.path))
            self._say(_("The label of {case} was taken back.").format(case=case.name))
            self._show(case)

    def next_unlabelled(self) -> None:
        """Show the next case without a label; all others' labels count."""
        from MonaiSKD.errors import SKDError

        if self._labels is None:
            return
        try:
            self._labels.reload()
        except SKDError as error:
            self._say(str(error), bad=True)
        while True:
            readable = [case for case in self._cases if case not in self._unreadable or case == self._case]
            case = self._labels.next_unlabelled(readable, after=self._case)
            if case is None:
                left = sum(self._labels.label_of(case) is None for case in self._cases)
                words = (
                    _("All cases have a label.") if not left else _("All have a label but {n} that cannot be shown.")
                )
                self._say(words.format(n=left))
                self._update()
                return
            if case in self._unreadable or self._show(case):
                return

    def set_usable(self, usable: bool) -> None:
        """Whether the labels can be handed to the training now."""
        self._usable = usable
        self._update()

    def refresh(self) -> None:
        """The scene may be another, or the views may show another image: show the case again."""
        if self._case is not None and not self._view.seen and self.widget.visible:
            self._show(self._case)

    def scene_closing(self) -> None:
        """The case that is shown goes with the scene; labels do not."""
        self._view.forget()

    def cleanup(self) -> None:
        """Let go of the widgets."""
        for sender, signal, slot in self._connections:
            sender.disconnect(signal, slot)
        self._connections = []
        self._clear_buttons()

    def _make_shortcuts(self) -> dict[str, Any]:
        """Keys that work wherever in the window the focus is, but only while the section can be seen."""
        shortcuts = {}
        for key in [*map(str, range(1, _KEYS + 1)), "0", "Backspace"]:
            shortcut = qt.QShortcut(qt.QKeySequence(key), self.widget)
            shortcut.setAutoRepeat(False)
            slot = self._giver(int(key) - 1) if key in "123456789" else self.undo
            self._connections.append((shortcut, "activated()", slot))
            shortcuts[key] = shortcut
        return shortcuts

    def _giver(self, index: int) -> Callable[..., None]:
        def give(*_arguments: Any) -> None:
            if time.monotonic() - self._shown_at < SECONDS_TO_SEE:
                self._update()  # the press has checked the button
            elif index < len(self.classes):
                self.give(self.classes[index])

        return give

    def _clear_buttons(self) -> None:
        for button, slot in self._buttons:
            button.disconnect("clicked(bool)", slot)
            self.ui.classesLayout.removeWidget(button)
            button.setParent(None)
            button.deleteLater()
        self._buttons = []

    def _show_classes(self, *_arguments: Any) -> None:
        """One button for each class; the names are taken each once, in the order given."""
        names = (name.strip() for name in self.ui.classesEdit.text.split(","))
        self.classes = list(dict.fromkeys(name for name in names if name))
        self._clear_buttons()
        for index, name in enumerate(self.classes):
            text = name.replace("&", "&&")
            button = qt.QPushButton(f"{index + 1}   {text}" if index < _KEYS else text)
            button.setCheckable(True)
            slot = self._giver(index)
            button.connect("clicked(bool)", slot)
            self.ui.classesLayout.addWidget(button, index // _COLUMNS, index % _COLUMNS)
            self._buttons.append((button, slot))
        self._update()

    def _walk(self, step: int) -> None:
        if self._case in self._cases:
            self._say("")
            self._show_from(self._cases.index(self._case) + step, step)

    def _show_from(self, index: int, step: int) -> None:
        """Show the first readable case from `index` on, round the list at most once."""
        for offset in range(len(self._cases)):
            if self._show(self._cases[(index + offset * step) % len(self._cases)]):
                return
        self._update()

    def _show(self, case: Path) -> bool:
        """Show a case instead of the former one; False, with a message, where it cannot be read."""
        self._case = case
        try:
            self._view.show(case)
        except RuntimeError:  # what Slicer raises where no reader understood the file
            self._unreadable.add(case)
            self._say(_("{case} cannot be shown; it stays without a label.").format(case=case.name), bad=True)
            self._update()
            return False
        self._unreadable.discard(case)
        self._shown_at = time.monotonic()
        self._update()
        return True

    def _on_use_clicked(self, *_arguments: Any) -> None:
        if self._labels is not None:
            self._on_use(str(self._labels.path))

    def _say(self, text: str, bad: bool = False) -> None:
        style = "background: #b3261e; color: white; padding: 4px; border-radius: 4px;" if bad else ""
        self.ui.messageLabel.setStyleSheet(style)
        self.ui.messageLabel.setText(text)
        self.ui.messageLabel.setVisible(bool(text))

    def _update(self) -> None:
        """Show what is known of the present case and of all."""
        ui, labels = self.ui, self._labels
        ui.openButton.setEnabled(bool(ui.folderEdit.currentPath.strip()))
        ui.caseWidget.setVisible(labels is not None)
        ui.useButton.setVisible(labels is not None)
        for shortcut in self.shortcuts.values():
            shortcut.setEnabled(labels is not None)
        if labels is None or self._case is None:
            return
        label = labels.label_of(self._case)
        place = self._cases.index(self._case) + 1
        words = _("{case}  ({place} of {all})") if label is None else _("{case}  ({place} of {all}):  {label}")
        ui.caseLabel.setText(words.format(case=self._case.name, place=place, all=len(self._cases), label=label))
        readable = self._case not in self._unreadable
        for (button, _slot), name in zip(self._buttons, self.classes, strict=True):
            button.setEnabled(readable)
            button.setChecked(name == label)
        ui.undoButton.setEnabled(labels.can_undo)
        done = sum(labels.label_of(case) is not None for case in self._cases)
        ui.labelledBar.setMaximum(len(self._cases))
        ui.labelledBar.setValue(done)
        each = ", ".join(f"{name} {count}" for name, count in labels.counts(self.classes).items())
        words = _("{done} of {all}: {each}") if each else _("{done} of {all}")
        ui.countsLabel.setText(words.format(done=done, all=len(self._cases), each=each))
        ui.useButton.setEnabled(self._usable and done > 0)
