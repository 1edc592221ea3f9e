"""What makes PySide6 behave as PythonQt: properties as attributes, signals by signature, no misspelt attribute."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from threading import get_ident, main_thread
from typing import Any

from PySide6.QtCore import SIGNAL, Property, QMetaObject, QObject
from PySide6.QtWidgets import QWidget
from shiboken6 import Object

_MAIN = main_thread().ident
# Signals that Qt 6 has and Qt 5, which Slicer 5.10 and 5.12 have, does not.
_NEW = {"checkStateChanged"}
# Classes that PySide6 makes of a pathlib.Path, and PythonQt only of a text.
_PATHS = ("QFile", "QFileInfo", "QDir", "QIcon", "QPixmap", "QImage")
_connect, _disconnect = QObject.connect, QObject.disconnect


def install(names: dict[str, Any]) -> None:
    """Change all Qt classes among `names`; once a process."""
    if sys.version_info < (3, 12):
        _keep_constants()
    classes = {one for one in names.values() if isinstance(one, type) and issubclass(one, QObject)}
    for one in sorted(classes, key=lambda one: len(one.__mro__)):
        _properties(one)
        if "__getattribute__" in one.__dict__:
            _connections(one)
        if "__setattr__" in one.__dict__:
            one.__setattr__ = _set_known
    for name in _PATHS:
        _texts_only(names[name])
    _plain_settings(names["QSettings"])
    QObject.name = property(lambda self: self.property("objectName"), lambda self, text: self.setObjectName(text))
    QObject.className = lambda self: self.metaObject().className()


def connect(sender: QObject, signal: str, *receiver: Any) -> bool:
    """Connect a signal, named by its C++ signature, with a callable (or with an object and the signature of its slot).

    Raises:
        ValueError: `sender` has no such signal.
    """
    return _both(_connect, sender, signal, receiver)


def disconnect(sender: QObject, signal: str, *receiver: Any) -> bool:
    """Undo :func:`connect`."""
    return _both(_disconnect, sender, signal, receiver)


def _connections(kind: type) -> None:
    """Put connect() and disconnect() on a class; PySide6 has its own built into how it looks up attributes."""
    lookup = kind.__getattribute__
    own = {"connect": connect, "disconnect": disconnect}

    def look_up(self: QObject, name: str) -> Any:
        if get_ident() != _MAIN and issubclass(type(self), QWidget):  # isinstance would look up __class__ here
            raise RuntimeError(f"{type(self).__name__}.{name}: widgets belong to the main thread")
        return partial(own[name], self) if name in own else lookup(self, name)

    kind.__getattribute__ = look_up


def _both(action: Callable[..., Any], sender: QObject, signal: str, receiver: tuple) -> bool:
    if isinstance(signal, QObject):  # PySide6 itself connects so, for QTimer.singleShot
        return action(signal, *receiver)
    stand_in = getattr(sender, "mrml_signals", {}).get(_normal(signal))
    if len(receiver) == 2:
        receiver = (getattr(receiver[0], receiver[1].partition("(")[0]),)
    if not callable(receiver[0]):
        raise TypeError(f"{signal}: cannot be connected with {receiver[0]!r}, which cannot be called")
    if stand_in is not None:
        bound = getattr(sender, stand_in)
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # False tells that it was not connected
            return bool((bound.connect if action is _connect else bound.disconnect)(receiver[0]))
    kind = sender.metaObject()
    name = signal.partition("(")[0]
    if kind.indexOfSignal(_normal(signal)) < 0 or name in _NEW:
        methods = [kind.method(index) for index in range(kind.methodCount())]
        alike = [bytes(one.methodSignature()).decode() for one in methods if bytes(one.name()).decode() == name]
        alike += [one for one in getattr(sender, "mrml_signals", {}) if one.startswith(f"{name}(")]
        hint = f"; there is {', '.join(alike)}" if alike else ""
        raise ValueError(f"{kind.className()} has no signal {signal!r}{hint}")
    return bool(action(sender, SIGNAL(signal), receiver[0]))


def _normal(signature: str) -> str:
    return bytes(QMetaObject.normalizedSignature(signature).data()).decode()


def _properties(kind: type) -> None:
    """Put an attribute on the class for each of its Qt properties, also where it only overrides the getter."""
    meta = kind.staticMetaObject
    for index in range(meta.propertyCount()):
        name = meta.property(index).name()
        if index >= meta.propertyOffset() or name in kind.__dict__:
            setattr(kind, name, Attribute(kind, name, meta.property(index).isWritable()))


class Attribute:
    """A Qt property as an attribute of the objects; on the class the name keeps what it was (QTimer.singleShot)."""

    def __init__(self, kind: type, name: str, writable: bool = True) -> None:
        self.name, self.writable = name, writable
        self.of_class = getattr(kind, name, None)
        self.getter = _method(kind, name)
        self.setter = _method(kind, f"set{name[0].upper()}{name[1:]}")

    def __get__(self, instance: QObject | None, kind: type) -> Any:
        if instance is None:
            return self.of_class
        return self.getter(instance) if self.getter is not None else instance.property(self.name)

    def __set__(self, instance: QObject, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"Property {self.name!r} of {type(instance).__name__} is not writable")
        if self.setter is not None:
            self.setter(instance, value)
        elif not instance.setProperty(self.name, value):
            raise ValueError(f"Property {self.name!r} of {type(instance).__name__} does not take {value!r}")


def _method(kind: type, name: str) -> Callable[..., Any] | None:
    """Qt's own method, which knows types better than the property does; static ones are left out."""
    found = getattr(kind, name, None)
    return found if type(found).__name__ == "method_descriptor" else None


def _set_known(self: QObject, name: str, value: Any) -> None:
    """PythonQt refuses to set what a Qt object does not have; only classes derived in Python may have more."""
    kind = type(self)
    found = next((one.__dict__[name] for one in kind.__mro__ if name in one.__dict__), None)
    if isinstance(found, Property):
        if not self.setProperty(name, value):
            raise ValueError(f"Property {name!r} of {kind.__name__} does not take {value!r}")
        return
    if isinstance(value, QObject) and value.name == name:
        return  # PySide6's loader of .ui files puts all children on the window
    ours = kind.__module__.startswith(("PySide6.", "harness."))
    if ours and not name.startswith("_") and not hasattr(found, "__set__"):
        raise AttributeError(f"{kind.__name__!r} has no property {name!r} that could be set")
    Object.__setattr__(self, name, value)


def _texts_only(kind: type) -> None:
    make = kind.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        if any(isinstance(one, PurePath) for one in args):
            raise TypeError(f"{kind.__name__} takes no pathlib.Path in PythonQt: {args}")
        make(self, *args, **options)

    kind.__init__ = init


def _plain_settings(kind: type) -> None:
    """PySide6 pickles what QSettings cannot hold, and converts to a type; PythonQt does neither."""
    put, get = kind.setValue, kind.value

    def set_value(self: QObject, key: str, value: Any) -> None:
        parts = value if isinstance(value, (list, tuple)) else [value]
        if not all(one is None or type(one) in (str, bool, int, float, bytes) for one in parts):
            raise TypeError(f"QSettings cannot hold {value!r}")
        put(self, key, value)

    def value(self: QObject, key: str, default: Any = None) -> Any:
        return get(self, key, default)

    kind.setValue, kind.value = set_value, value


def _keep_constants() -> None:
    """PySide6 6.12 takes None, True and False for objects that cannot die, as they are since Python 3.12.

    Before it each call costs one of their references, until Python ends with "deallocating None".
    """
    for one in (None, True, False):
        ctypes.c_ssize_t.from_address(id(one)).value += 1 << 40
