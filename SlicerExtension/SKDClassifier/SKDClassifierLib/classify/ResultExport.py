"""Taking a result out of the scene: table, DICOM SR, heat map, picture."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib.classify import Exports, Pictures
from SKDClassifierLib.classify.ModelChooser import LATEST
from SKDClassifierLib.scene import Inputs

if TYPE_CHECKING:
    from MonaiSKD.runtime import Result
    from SKDClassifierLib.Protocols import Child, Services
    from SKDClassifierLib.scene.ResultNodes import StoredResult

SAME = 0.02  # of probabilities: more than rounding does


class ResultExport:
    """The menu "Export" and the button "Copy picture".

    Args:
        services: what the module has.
        ui: has `exportButton`, `screenshotButton` and `savedLabel`.
        panel: the widget that goes into pictures.
    """

    def __init__(self, services: Services, ui: Any, panel: Any) -> None:
        self._services, self._ui, self._panel = services, ui, panel
        self._stored: StoredResult | None = None
        self._report: Report | None = None
        self._menu = qt.QMenu(ui.exportButton)
        ui.exportButton.setMenu(self._menu)
        self._csv = self._action(_("Table as CSV…"), self._save_csv)
        self._heat = self._action(_("Heat map as a volume…"), self._save_heat)
        self._menu.addSeparator()
        self._sr = self._action(_("DICOM SR into a folder…"), self._sr_into_folder)
        self._sr_database = self._action(_("DICOM SR into the DICOM database"), self._sr_into_database)
        self._menu.addSeparator()
        self._picture = self._action(_("Picture of panel and views…"), self._save_picture)
        ui.screenshotButton.connect("clicked(bool)", self._copy_picture)
        self.show(None)

    def show(self, stored: StoredResult | None) -> None:
        """Offer what can be exported of a result."""
        self._stored = stored
        self._tell("")
        self._heat.setEnabled(self._heat_node() is not None)
        is_dicom = bool(self._files())
        for action in (self._sr, self._sr_database):
            action.setEnabled(is_dicom)
        self._sr_database.setEnabled(is_dicom and getattr(slicer, "dicomDatabase", None) is not None)

    def cleanup(self) -> None:
        """End a report that is being written."""
        if self._report is not None:
            self._report.cancel()
            self._report = None

    def _action(self, text: str, function: Callable[[], None]) -> Any:
        action = self._menu.addAction(text)
        action.connect("triggered(bool)", lambda *_args: self._attempt(function))
        return action

    def _attempt(self, function: Callable[[], None]) -> None:
        if self._stored is None:
            return
        try:
            function()
        except Exception as error:
            self._services.show_error(error)

    def _tell(self, text: str) -> None:
        self._ui.savedLabel.setText(text)
        self._ui.savedLabel.setVisible(bool(text))

    def _heat_node(self) -> Any:
        node = self._stored.heat_node if self._stored is not None else None
        return node if node is not None and slicer.mrmlScene.IsNodePresent(node) else None

    def _files(self) -> tuple[str, ...]:
        node = self._stored.volume_node if self._stored is not None else None
        return Inputs.dicom_files(node, getattr(slicer, "dicomDatabase", None))

    def _save_csv(self) -> None:
        path = ask_for_file(self._panel, _("Save the table"), "result.csv", "CSV (*.csv)")
        if path:
            result = self._stored.result
            self._tell(_("Saved: {path}").format(path=Exports.write_csv(path, list(result.probabilities), [result])))

    def _save_heat(self) -> None:
        kinds = "NRRD (*.nrrd);;NIfTI (*.nii.gz)"
        path = ask_for_file(self._panel, _("Save the heat map"), "heat map.nrrd", kinds)
        node = self._heat_node()
        if path and node is not None:
            self._tell(_("Saved: {path}").format(path=Exports.save_heat_map(node, path)))

    def _sr_into_folder(self) -> None:
        self._refuse_second_report()
        folder = qt.QFileDialog.getExistingDirectory(self._panel, _("Folder for the DICOM SR"))
        if folder:
            self._start_report(Path(folder), lambda paths: _("Saved: {path}").format(path=", ".join(paths)), None)

    def _sr_into_database(self) -> None:
        self._refuse_second_report()
        folder = Path(tempfile.mkdtemp(prefix="skd-sr-"))

        def add(paths: list[str]) -> str:
            count = Exports.import_into_database(folder)
            return _("In the DICOM database: {count} report(s)").format(count=count)

        self._start_report(folder, add, folder)

    def _refuse_second_report(self) -> None:
        from MonaiSKD.errors import SKDError

        if self._report is not None:
            raise SKDError("DICOM SR", "a report is being written", "Wait until it is saved, then choose this again")

    def _start_report(self, folder: Path, done: Callable[[list[str]], str], temporary: Path | None) -> None:
        """Write DICOM SR in a child process."""
        try:
            if not self._has_highdicom():
                if temporary is not None:
                    shutil.rmtree(temporary, ignore_errors=True)
                return
            model = Exports.model_file(self._models(), self._stored.result)
            shown = self._stored.result
            self._report = Report(self._services, model, self._files(), shown, folder, self._reported(done), temporary)
            self._report.start()
        except Exception:
            self._report = None
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
            raise
        self._tell(_("Writing the DICOM SR…"))

    def _models(self) -> Iterator[Path]:
        """The files of the models in the list, and the one that was chosen last, which may lie elsewhere."""
        yield from (entry.path for entry in self._services.catalogue.entries())
        latest = self._services.settings.value(LATEST)
        if latest:
            yield self._services.catalogue.find(latest).path

    def _has_highdicom(self) -> bool:
        """Whether reports can be written; offers to install what is missing."""
        return importlib.util.find_spec("highdicom") is not None or self._services.installer.ensure_light(self._panel)

    def _reported(self, done: Callable[[list[str]], str]) -> Callable[[list[str], Exception | None], None]:
        name = self._stored.volume_name  # another one may be shown at the end

        def end(paths: list[str], error: Exception | None) -> None:
            self._report = None
            self._tell("")
            try:
                if error is not None:
                    raise error
                self._tell(f"{name}: {done(paths)}")
            except Exception as trouble:
                self._services.show_error(trouble)

        return end

    def _copy_picture(self, *_args: Any) -> None:
        def copy() -> None:
            qt.QApplication.clipboard().setImage(Pictures.panel_and_views(self._panel))
            self._tell(_("The picture is in the clipboard."))

        self._attempt(copy)

    def _save_picture(self) -> None:
        from MonaiSKD.errors import SKDError

        path = ask_for_file(self._panel, _("Save a picture"), "result.png", "PNG (*.png)")
        if path:
            if not Pictures.panel_and_views(self._panel).save(path):
                raise SKDError(path, "cannot be written", "Choose another folder")
            self._tell(_("Saved: {path}").format(path=path))


class Report:
    """DICOM SR of some files, written by a child process, which classifies them anew.

    A report that says something else than what is shown (the volume was changed, or files are missing) is not kept.

    Args:
        services: what the module has.
        model: the model file.
        files: of the image.
        shown: the answer that the user sees.
        folder: where the report goes.
        on_end: given the reports' paths, or why there are none.
        temporary: a folder that is deleted at the end.
    """

    def __init__(
        self,
        services: Services,
        model: Path,
        files: tuple[str, ...],
        shown: Result,
        folder: Path,
        on_end: Callable[[list[str], Exception | None], None],
        temporary: Path | None,
    ) -> None:
        self._shown = shown
        self._answers: list[Result] = []
        self._on_end, self._temporary = on_end, temporary
        self._scratch = Path(tempfile.mkdtemp(prefix="skd-list-"))
        self._paths: list[str] = []
        self._trouble: list[dict] = []
        arguments = Exports.sr_arguments(model, files, folder, self._scratch / "files.txt")
        self._child: Child = services.child(arguments, self._event, lambda line: None, self._ended)

    def start(self) -> None:
        """Begin."""
        self._child.start()

    def cancel(self) -> None:
        """Give up."""
        self._child.abandon()
        self._clean()

    def _event(self, event: dict) -> None:
        if event["event"] == "saved":
            self._paths += event["paths"]
            self._trouble += event["skipped"]
        elif event["event"] == "answer" and "error" in event["answer"]:
            self._trouble.append({"input": event["answer"]["input"], **event["answer"]["error"]})
        elif event["event"] == "answer":
            from MonaiSKD.reporting import from_json

            self._answers.append(from_json(event["answer"]))

    def _ended(self, end: Any) -> None:
        from MonaiSKD.errors import SKDError

        error = self._contradiction() if self._paths else None
        if error is not None:
            for path in self._paths:
                Path(path).unlink(missing_ok=True)
            self._paths = []
        elif not self._paths:
            if self._trouble:
                first = self._trouble[0]
                error = SKDError("DICOM SR", first["message"].rstrip("."), first["remedy"].rstrip("."))
            else:
                text = end.text or _("no report was written")
                error = SKDError("DICOM SR", text.rstrip("."), _("Try again; write a CSV meanwhile"))
        try:
            self._on_end(self._paths, error)
        finally:
            self._clean()

    def _contradiction(self) -> Exception | None:
        from MonaiSKD.errors import SKDError
        from MonaiSKD.reporting.sentences import describe

        if any(agree(answer, self._shown) for answer in self._answers):
            return None
        found = "; ".join(map(describe, self._answers)) or _("none")
        cause = f"the image's files give another answer than is shown ({found} instead of {describe(self._shown)})"
        return SKDError("DICOM SR", cause, _("Load the image again from the DICOM database, and classify it"))

    def _clean(self) -> None:
        for folder in (self._scratch, self._temporary):
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)


def agree(one: Result, other: Result) -> bool:
    """Whether two answers say the same, but for what rounding and the file format of a volume may change."""
    if (one.decision, one.label, one.atypical) != (other.decision, other.label, other.atypical):
        return False
    return all(abs(value - other.probabilities[name]) < SAME for name, value in one.probabilities.items())


def ask_for_file(parent: Any, title: str, name: str, kinds: str) -> str:
    """A file's name from the user, with one of the suffixes in `kinds`; empty text when he gives none."""
    path = str(qt.QFileDialog.getSaveFileName(parent, title, name, kinds) or "")
    if not path or path.lower().endswith(tuple(re.findall(r"\*(\.[\w.]+)", kinds))):
        return path
    path += Path(name).suffix
    if Path(path).exists():  # the dialog asked of another name
        text = _("{path} is there already. Replace it?").format(path=path)
        if not slicer.util.confirmYesNoDisplay(text, windowTitle=title, parent=parent):
            return ""
    return path
