"""Stand-in for `slicer.i18n`: nothing is translated."""

from __future__ import annotations


def getContext(sourceFile: str) -> str:
    return sourceFile


def translate(context: str | None, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"only a text can be translated, not {text!r}")
    return text


def tr(text: str) -> str:
    return translate(None, text)
