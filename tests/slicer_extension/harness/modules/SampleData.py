"""Stand-in for the module SampleData: what is registered, and loading it by its own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer


class SampleDataSource:
    """What SampleDataLogic.registerCustomSampleDataSource was given."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class SampleDataLogic:
    """Knows the sample data of all modules."""

    def __init__(self, logMessage: Callable[[str], None] | None = None) -> None:
        self.logMessage = logMessage or print

    @staticmethod
    def registerCustomSampleDataSource(
        category: str = "Custom",
        sampleName: str | None = None,
        uris: Any = None,
        fileNames: Any = None,
        nodeNames: Any = None,
        customDownloader: Callable[[SampleDataSource], Any] | None = None,
        thumbnailFileName: str | None = None,
        loadFileType: str = "VolumeFile",
        loadFiles: bool | None = None,
        loadFileProperties: dict[str, Any] | None = None,
        checksums: Any = None,
    ) -> None:
        fields = {name: value for name, value in locals().items() if name != "category"}
        sources = _registry().setdefault(category, [])
        sources[:] = [one for one in sources if one.sampleName != sampleName]
        sources.append(SampleDataSource(**fields))

    @staticmethod
    def sourceForSampleName(sampleName: str) -> SampleDataSource | None:
        found = [one for sources in _registry().values() for one in sources if one.sampleName == sampleName]
        return found[0] if found else None

    def downloadFromSource(self, source: SampleDataSource) -> Any:
        if source.customDownloader is None:
            raise NotImplementedError("the test harness downloads nothing")
        return source.customDownloader(source)

    def downloadSamples(self, sampleName: str) -> Any:
        source = self.sourceForSampleName(sampleName)
        if source is None:
            raise KeyError(sampleName)
        return self.downloadFromSource(source)


def downloadSample(sampleName: str) -> Any:
    return SampleDataLogic().downloadSamples(sampleName)


def _registry() -> dict[str, list[SampleDataSource]]:
    """Where Slicer keeps it: slicer.modules.sampleDataSources."""
    if not hasattr(slicer.modules, "sampleDataSources"):
        slicer.modules.sampleDataSources = {}
    return slicer.modules.sampleDataSources
