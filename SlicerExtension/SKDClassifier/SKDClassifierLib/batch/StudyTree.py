"""Choosing studies of the DICOM database; whose they are is shown only when the user asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import qt
from slicer.i18n import tr as _

from SKDClassifierLib.batch.StudyFiles import StudyFiles
from SKDClassifierLib.jobs.Pace import Pace

if TYPE_CHECKING:
    from SKDClassifierLib.scene.Inputs import DicomDatabase

_DATE, _MODALITY, _DESCRIPTION, _NAME = range(4)


class StudyTree:
    """The studies as a list with check boxes.

    Args:
        ui: has `studyTree`, `allStudiesCheck` and `showNamesCheck`.
    """

    def __init__(self, ui: Any) -> None:
        self._tree, self._all, self._names = ui.studyTree, ui.allStudiesCheck, ui.showNamesCheck
        self._tree.setHeaderLabels([_("Date"), _("Modality"), _("Description"), _("Name")])
        self._tree.setColumnHidden(_NAME, True)
        self._tree.setSortingEnabled(False)
        for column, width in ((_DATE, 110), (_MODALITY, 70), (_DESCRIPTION, 140)):
            self._tree.setColumnWidth(column, width)
        self._rows: list[Any] = []  # held, since some versions of PythonQt delete an item that nobody holds
        self._waiting: Iterator[tuple[str, str]] = iter(())
        self._database: DicomDatabase | None = None
        self._current = ""
        self._pace = Pace(self._add_next, self._sort)
        self._all.connect("toggled(bool)", self._check_all)
        self._names.connect("toggled(bool)", self._show_names)

    def fill(self, database: DicomDatabase | None, current: str) -> None:
        """Read the list anew.

        Args:
            database: of the studies.
            current: the study that is checked at first.
        """
        self._tree.clear()
        self._rows = []
        self._tree.setSortingEnabled(False)
        self._database, self._current = database, current
        self._waiting = _studies(database)
        self._pace.start()

    def stop(self) -> None:
        """Read no further."""
        self._pace.stop()

    def count(self) -> int:
        """How many studies there are."""
        return len(self._rows)

    def checked(self) -> list[str]:
        """The studies that are chosen."""
        return [item.data(_DATE, qt.Qt.UserRole) for item in self._rows if item.checkState(_DATE) == qt.Qt.Checked]

    def files(self) -> StudyFiles:
        """The files of the chosen studies."""
        found = StudyFiles()
        for study in self.checked():
            date, description = _date(self._database, study), self._database.descriptionForStudy(study)
            for series in self._database.seriesForStudy(study):
                about = self._database.fieldForSeries("SeriesDescription", series) or description
                modality = self._database.fieldForSeries("Modality", series)
                name = " ".join(part for part in (date, modality, about) if part) or series
                found.add(series, name, self._database.filesForSeries(series))
        return found

    def _add_next(self) -> bool:
        patient, study = next(self._waiting, ("", ""))
        if not study:
            return False
        database = self._database
        kinds = {database.fieldForSeries("Modality", series) for series in database.seriesForStudy(study)}
        item = qt.QTreeWidgetItem(self._tree)
        self._rows.append(item)
        item.setText(_DATE, _date(database, study))
        item.setText(_MODALITY, ", ".join(sorted(kind for kind in kinds if kind)))
        item.setText(_DESCRIPTION, database.descriptionForStudy(study))
        item.setData(_DATE, qt.Qt.UserRole, study)
        item.setData(_NAME, qt.Qt.UserRole, patient)
        is_chosen = self._all.checked or study == self._current
        item.setCheckState(_DATE, qt.Qt.Checked if is_chosen else qt.Qt.Unchecked)
        if self._names.checked:
            item.setText(_NAME, database.nameForPatient(patient))
        return True

    def _sort(self) -> None:
        self._tree.setSortingEnabled(True)
        self._tree.sortByColumn(_DATE, qt.Qt.DescendingOrder)

    def _check_all(self, checked: bool) -> None:
        for item in self._rows:
            item.setCheckState(_DATE, qt.Qt.Checked if checked else qt.Qt.Unchecked)

    def _show_names(self, shown: bool) -> None:
        self._tree.setColumnHidden(_NAME, not shown)
        for item in self._rows:
            patient = item.data(_NAME, qt.Qt.UserRole)
            item.setText(_NAME, self._database.nameForPatient(patient) if shown else "")


def _studies(database: DicomDatabase | None) -> Iterator[tuple[str, str]]:
    """Patient and study of all studies."""
    for patient in database.patients() if database is not None else ():
        for study in database.studiesForPatient(patient):
            yield patient, study


def _date(database: DicomDatabase, study: str) -> str:
    text = database.fieldForStudy("StudyDate", study)
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if len(text) == 8 and text.isdigit() else text
