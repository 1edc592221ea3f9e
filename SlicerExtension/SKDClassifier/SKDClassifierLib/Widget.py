"""The panel of the module: gives the tabs their services and keeps them in step with the scene."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from SKDClassifierLib import Package
from SKDClassifierLib.classify.ClassifyTab import ClassifyTab
from SKDClassifierLib.jobs.Jobs import BackgroundTask, ChildJob
from SKDClassifierLib.Models import Catalogue
from SKDClassifierLib.place.Install import Installer
from SKDClassifierLib.place.Place import Place
from SKDClassifierLib.place.PlaceTab import PlaceTab
from SKDClassifierLib.Protocols import Services
from SKDClassifierLib.train.TrainTab import TrainTab

if TYPE_CHECKING:
    from SKDClassifierLib.Protocols import Logic

UI = Path(__file__).parents[1] / "Resources" / "UI" / "SKDClassifier.ui"


class Panel:
    """All that the user sees of the module.

    Args:
        logic: classifies.
        settings: `qt.QSettings`.
        models_folder: where the user's own models lie.
        get_parameter_node: gives the wrapped parameter node of the present scene, made where there is none.
        installer: gets packages; the real one where not given.

    Example:
        panel = Panel(logic, slicer.app.userSettings(), folder, logic.getParameterNode)
        layout.addWidget(panel.widget)
    """

    def __init__(
        self,
        logic: Logic,
        settings: Any,
        models_folder: str | Path,
        get_parameter_node: Callable[[], Any],
        installer: Any = None,
    ) -> None:
        Package.make_importable()
        self._get_parameter_node = get_parameter_node
        self.widget = slicer.util.loadUI(str(UI))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        place = Place(settings)
        self.services = Services(
            logic=logic,
            catalogue=Catalogue(models_folder),
            installer=installer if installer is not None else Installer(settings),
            server=place,
            settings=settings,
            background=BackgroundTask,
            child=ChildJob,
            show_error=show_error,
            use_model=self._use_model,
        )
        self.classify_tab = ClassifyTab(self.services)
        self.train_tab = TrainTab(self.services)
        self.place_tab = PlaceTab(self.services, place)
        self._tabs = (self.classify_tab, self.train_tab, self.place_tab)
        for page, tab in zip((self.ui.classifyPage, self.ui.trainPage, self.ui.placePage), self._tabs, strict=True):
            page.layout().addWidget(tab.widget)
        self.ui.tabs.connect("currentChanged(int)", self._fit)
        self._fit(self.ui.tabs.currentIndex)

    def enter(self) -> None:
        """The module was opened, or a scene was loaded: show what is there now."""
        self.services.parameter_node = self._get_parameter_node()
        for tab in self._tabs:
            tab.refresh()

    def scene_closing(self) -> None:
        """Every node is about to go."""
        for tab in self._tabs:
            tab.scene_closing()
        self.services.parameter_node = None

    def cleanup(self) -> None:
        """The module goes, with all that it runs."""
        self.ui.tabs.disconnect("currentChanged(int)", self._fit)
        for tab in self._tabs:
            tab.cleanup()
        self.services.parameter_node = None

    def _fit(self, current: int) -> None:
        """Show one tab and hide the others' content, so that the panel is as high as the tab, not as the highest."""
        for index, tab in enumerate(self._tabs):
            tab.widget.setVisible(index == current)

    def _use_model(self, model: str) -> None:
        self.ui.tabs.setCurrentIndex(0)
        self.classify_tab.choose_model(model)


def show_error(error: Exception) -> None:
    """Tell the user what went wrong: a problem that can be mended in its own words, anything else as a defect."""
    from MonaiSKD.errors import SKDError

    if isinstance(error, SKDError):
        slicer.util.errorDisplay(str(error), windowTitle="SKD Classifier")
        return
    trace = "".join(traceback.format_exception(error))
    logging.error("SKDClassifier: %s", trace)
    text = _("This is a defect of the module: {error}. It is described in the log; please report it.")
    slicer.util.errorDisplay(text.format(error=error), windowTitle="SKD Classifier", detailedText=trace)
