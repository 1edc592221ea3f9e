"""The section "Many cases": sources, one button, a table that grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.batch import Cases
from SKDClassifierLib.batch.BatchJobs import FileBatch, Listener, SceneBatch
from SKDClassifierLib.batch.BatchTable import BatchTable, Row, in_words, named
from SKDClassifierLib.batch.StudyTree import StudyTree
from SKDClassifierLib.classify import Exports
from SKDClassifierLib.classify.Classification import may_start
from SKDClassifierLib.classify.ResultExport import ask_for_file
from SKDClassifierLib.scene import HeatMapNode, Inputs

if TYPE_CHECKING:
    from SKDClassifierLib.Models import ModelEntry
    from SKDClassifierLib.Protocols import Services

UI = Path(__file__).parents[2] / "Resources" / "UI" / "BatchSection.ui"
SCENE, FOLDER, STUDIES = range(3)


class BatchSection:
    """Classifies all loaded volumes, a folder, or studies of the DICOM database.

    Args:
        services: what the module has.
        model: the model that is chosen in the tab.
        volume: the volume that is chosen in the tab.
        show_case: chooses a volume in the tab, classifies it and shows the result.
    """

    def __init__(
        self,
        services: Services,
        model: Callable[[], ModelEntry | None],
        volume: Callable[[], Any],
        show_case: Callable[[Any], None],
    ) -> None:
        Package.make_importable()
        from MonaiSKD.reporting.sentences import Totals

        self._services, self._model, self._volume, self._show_case = services, model, volume, show_case
        self._running: SceneBatch | FileBatch | None = None
        self._source, self._classes = SCENE, ()
        self._volumes_gone = False
        self._trouble, self._totals, self._expected, self._counted = "", Totals(), 0, 0
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self.table = BatchTable(self.ui.batchTable, self._rows_came)
        self.studies = StudyTree(self.ui)
        self.ui.folderEdit.filters = self.ui.folderEdit.Dirs
        self._connections = (
            (self.ui.sourceSelector, "currentIndexChanged(int)", self._source_chosen),
            (self.ui.folderEdit, "currentPathChanged(QString)", self._changed),
            (self.ui.folderEdit, "validInputChanged(bool)", self._changed),  # it was emptied
            (self.ui.studyTree, "itemChanged(QTreeWidgetItem*,int)", self._changed),
            (self.ui.refreshButton, "clicked(bool)", self._read_studies),
            (self.ui.runButton, "clicked(bool)", self._pressed),
            (self.ui.loadButton, "clicked(bool)", self._load),
            (self.ui.csvButton, "clicked(bool)", self._save_csv),
            (self.ui.batchTable, "doubleClicked(QModelIndex)", self._load),
            (self.ui.batchTable.selectionModel(), "selectionChanged(QItemSelection,QItemSelection)", self._changed),
        )
        for sender, what, slot in self._connections:
            sender.connect(what, slot)
        self._source_chosen()

    def refresh(self) -> None:
        """The scene was replaced, or the module was entered."""
        self._changed()

    def model_chosen(self) -> None:
        """Another model or volume is chosen in the tab, or something began to run there."""
        self._changed()

    def volume_chosen(self) -> None:
        """Another volume is chosen in the tab: its study is the current one."""
        if self._selected() == STUDIES and self._running is None and not self.studies.checked():
            self._read_studies()

    def scene_closing(self) -> None:
        """End what works on the scene; files go on. The IDs of its nodes are given out again, to other volumes."""
        self._volumes_gone = self._source == SCENE
        if isinstance(self._running, SceneBatch):
            self._cancel()

    def cleanup(self) -> None:
        """End everything."""
        if self._running is not None:
            self._running.cancel()
            self._running = None
        self.table.stop()
        self.studies.stop()
        for sender, what, slot in self._connections:
            sender.disconnect(what, slot)

    def _selected(self) -> int:
        return self.ui.sourceSelector.currentIndex

    def _source_chosen(self, *_args: Any) -> None:
        self.ui.folderRow.setVisible(self._selected() == FOLDER)
        self.ui.studiesRow.setVisible(self._selected() == STUDIES)
        self._trouble = ""
        if self._selected() == STUDIES:
            self._read_studies()
        self._changed()

    def _read_studies(self, *_args: Any) -> None:
        database = getattr(slicer, "dicomDatabase", None)
        self.studies.fill(database, Inputs.study_of(self._volume(), database))

    def _pressed(self, *_args: Any) -> None:
        if self._running is not None:
            self._cancel()
            return
        try:
            if may_start(self._services, self.widget):
                self._start()
        except Exception as error:
            self._running = None
            self._services.show_error(error)
        self._changed()

    def _start(self) -> None:
        from MonaiSKD.reporting.sentences import Totals

        entry, source = self._model(), self._selected()
        listener = Listener(self._total, self._row, self._ended)
        self._source, self._classes = source, entry.classes
        self._volumes_gone = False
        self._trouble, self._totals, self._expected, self._counted = "", Totals(), 0, 0
        if source == SCENE:
            self._running = SceneBatch(self._services, _volumes(), entry, listener)
        elif source == FOLDER:
            folder = self.ui.folderEdit.currentPath.strip()
            self._running = FileBatch(
                self._services, [folder], entry, listener, recursive=self.ui.recursiveCheck.checked
            )
        else:
            studies = self.studies.files()
            self._running = FileBatch(self._services, studies.paths, entry, listener, studies=studies)
        self.table.clear()
        self._running.start()

    def _cancel(self) -> None:
        running, self._running = self._running, None
        running.cancel()
        self._trouble = _("Cancelled.")
        self.table.finish()
        self._changed()

    def _total(self, count: int) -> None:
        self._expected = count
        self._changed()

    def _row(self, row: Row) -> None:
        self._totals.add(row.outcome)
        self.table.add(row)

    def _ended(self, trouble: str) -> None:
        self._running = None
        self._trouble = trouble
        self.table.finish()
        self._changed()

    def _rows_came(self) -> None:
        self._changed()

    def _changed(self, *_args: Any) -> None:
        """Bring buttons, bar and totals in line with what is chosen and running."""
        running = self._running is not None
        reason = "" if running else self._why_not()
        self.ui.runButton.setText(_("C&ancel") if running else _("Classify &all"))
        self.ui.runButton.setEnabled(running or not reason)
        self.ui.sourceSelector.setEnabled(not running)
        self.ui.folderRow.setEnabled(not running)
        self.ui.studiesRow.setEnabled(not running)
        self.ui.batchProgress.setVisible(running)
        self.ui.batchProgress.setMaximum(self._expected)
        self.ui.batchProgress.setValue(self._totals.inputs)
        chosen = self.table.chosen()
        self.ui.detailLabel.setText(in_words(chosen.outcome) if chosen is not None else "")
        self.ui.detailLabel.setVisible(chosen is not None)
        self.ui.loadButton.setEnabled(chosen is not None)
        self.ui.csvButton.setEnabled(bool(self.table.rows) and not running)
        for part in (self.ui.batchTable, self.ui.loadButton, self.ui.csvButton):
            part.setVisible(bool(self.table.rows) or running)
        text = " ".join(part for part in (self._counts(), self._trouble) if part) or reason
        self.ui.totalsLabel.setText(text)
        self.ui.totalsLabel.setVisible(bool(text))

    def _counts(self) -> str:
        from MonaiSKD.reporting.text import format_totals

        return format_totals(self._totals, encoding="utf-8").splitlines()[0] if self._totals.inputs else ""

    def _why_not(self) -> str:
        """Why nothing can be started now; empty text where it can."""
        source = self._selected()
        if self._model() is None:
            return _("Choose a model that can be used.")
        if source != SCENE and self._services.server.remote:
            return _("Files are classified on this computer only: choose it in the tab 'Where it runs'.")
        if source == SCENE and not _volumes():
            return _("No volume is loaded.")
        if source == FOLDER and not Path(self.ui.folderEdit.currentPath.strip() or "?").is_dir():
            return _("Choose a folder with images.")
        if source == STUDIES and not self.studies.checked():
            return _("Choose studies.") if self.studies.count() else _("The DICOM database holds no studies.")
        return ""

    def _load(self, *_args: Any) -> None:
        row = self.table.chosen()
        if row is None:
            return
        qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            if self._volumes_gone:
                raise Cases.gone(row)
            node = Cases.open_case(row)
            if self._source == STUDIES and not row.series:  # Slicer calls it as its file, which may hold a name
                node.SetName(row.case)
        except Exception as error:
            node = None
            self._services.show_error(error)
        finally:
            qt.QApplication.restoreOverrideCursor()
        if node is not None:
            self._show_case(node)

    def _save_csv(self, *_args: Any) -> None:
        path = ask_for_file(self.widget, _("Save the table"), "results.csv", "CSV (*.csv)")
        if not path:
            return
        # The database's own paths tell nothing of a case, and may hold names.
        by_name, classes = self._source == STUDIES, self._classes
        outcomes = [named(row) if by_name else row.outcome for row in self.table.rows]
        # In a thread: ten thousand rows take a while.
        self._saving = self._services.background(
            lambda progress: Exports.write_csv(path, classes, outcomes),
            lambda done, total: None,
            self._saved,
            self._services.show_error,
            lambda: None,
        )
        self._saving.start()

    def _saved(self, path: Path) -> None:
        self._trouble = _("Saved: {path}").format(path=path)
        self._changed()


def _volumes() -> list[str]:
    """The ids of all loaded images."""
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene)
    return [
        node.GetID()
        for node in nodes
        if not node.IsA("vtkMRMLLabelMapVolumeNode")
        and not HeatMapNode.is_heat_map(node)
        and not node.GetHideFromEditors()
    ]
