"""Stand-in for `slicer.parameterNodeWrapper`: typed fields, kept in a real vtkMRMLScriptedModuleNode.

Its rules are Slicer's: a field of the wrong type or out of its range is refused, the defaults are written when the node
is wrapped and again when a closed scene has emptied it, and connectGui() joins widgets that have the property
`SlicerParameterName`. Types: str, bool, int, float, Path and nodes.
"""

from __future__ import annotations

import typing
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import vtk

__all__ = ["Choice", "Default", "Maximum", "Minimum", "WithinRange", "isParameterNodeWrapper", "parameterNodeWrapper"]


@dataclass
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


@dataclass
class Minimum:
    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass
class Maximum:
    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass
class Choice:
    choices: list[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


@dataclass
class Default:
    value: Any


class _Field:
    """One field: its type, its rules, and how it lies in the node."""

    def __init__(self, name: str, hint: Any, cls: type) -> None:
        kind, *notes = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        self.name, self.kind = name, kind
        self.rules = [note for note in notes if hasattr(note, "validate")]
        self.of_node = isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)
        if not self.of_node and kind not in (str, bool, int, float, Path):
            raise TypeError(f"Unable to create serializer for {cls} member {name}: {kind}")
        given = [note.value for note in notes if isinstance(note, Default)]
        self.default = getattr(cls, name, given[0] if given else None if self.of_node else kind())

    def check(self, value: Any) -> None:
        if value is None and not self.of_node:
            raise ValueError("Value must not be None")
        kinds = (int, float) if self.kind is float else self.kind
        if value is not None and not isinstance(value, kinds):
            raise TypeError(f"Value must be of type '{self.kind}', is type '{type(value)}' value '{value}'")
        for rule in self.rules:
            rule.validate(value)

    def write(self, node: Any, value: Any) -> None:
        self.check(value)
        if self.of_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(value))

    def read(self, node: Any) -> Any:
        if not node.HasParameter(self.name):
            self.write(node, self.default)
        if self.of_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def attribute(self) -> property:
        def write(wrapper: Any, value: Any) -> None:
            with slicer.util.NodeModify(wrapper.parameterNode):
                self.write(wrapper.parameterNode, value)

        return property(lambda wrapper: self.read(wrapper.parameterNode), write)


def parameterNodeWrapper(cls: type) -> type:
    """Make a class of annotated fields a wrapper of a parameter node."""
    hints = typing.get_type_hints(cls, include_extras=True)
    cls.allParameters = {name: _Field(name, hint, cls) for name, hint in hints.items()}
    for name, field in cls.allParameters.items():
        setattr(cls, name, field.attribute())
    for name, method in vars(_Methods).items():
        if callable(method):
            setattr(cls, name, method)
    return cls


def isParameterNodeWrapper(one: Any) -> bool:
    return hasattr(one, "allParameters")


class _Methods:
    """What every wrapper has."""

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        if prefix:
            raise NotImplementedError("the test harness has no prefixes")
        self.parameterNode = parameterNode
        self._joined: dict[int, list[Any]] = {}
        for field in self.allParameters.values():
            field.read(parameterNode)
        me = weakref.ref(self)
        modified = vtk.vtkCommand.ModifiedEvent
        tag = parameterNode.AddObserver(modified, lambda *_: _Methods._restore(me()))
        weakref.finalize(self, parameterNode.RemoveObserver, tag)

    def _restore(self: Any) -> None:
        """Write the defaults again after the scene was closed."""
        for field in self.allParameters.values() if self is not None else ():
            field.read(self.parameterNode)

    def default(self, name: str) -> Default:
        return Default(self.allParameters[name].default)

    def dataType(self, name: str) -> Any:
        return self.allParameters[name].kind

    def getValue(self, name: str) -> Any:
        return getattr(self, name)

    def setValue(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, was: int) -> int:
        return self.parameterNode.EndModify(was)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def connectGui(self, gui: Any) -> int:
        """Join the widgets, below a widget or among the attributes of an object, that name a field."""
        import qt

        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else list(vars(gui).values())
        named = {str(one.property("SlicerParameterName") or ""): one for one in widgets}
        return self.connectParametersToGui({name: one for name, one in named.items() if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        from harness.gui_connectors import GuiConnector

        unknown = mapping.keys() - self.allParameters.keys()
        if unknown:
            raise ValueError(f"Cannot find a param with the given name: {', '.join(unknown)}")
        tag = max(self._joined, default=-1) + 1
        self._joined[tag] = [GuiConnector(self, self.allParameters[name], one) for name, one in mapping.items()]
        return tag

    def disconnectGui(self, tag: int) -> None:
        for one in self._joined.pop(tag, ()):
            one.disconnect()
