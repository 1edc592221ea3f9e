"""The module `ctk`: widgets with the names, properties and signals of the real ones."""

from harness.ctk_widgets import (  # noqa: F401
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkComboBox,
    ctkDoubleSpinBox,
    ctkMessageBox,
    ctkPathLineEdit,
    ctkSearchBox,
    ctkSliderWidget,
    ctkWidgetsUtils,
)
