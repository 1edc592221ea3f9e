"""One volume being classified in the background, here or on the server. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from SKDClassifierLib.Models import ModelEntry
    from SKDClassifierLib.Protocols import Services
    from SKDClassifierLib.scene.Logic import Answer
    from SKDClassifierLib.scene.ResultNodes import StoredResult


def may_start(services: Services, parent: Any) -> bool:
    """Whether all that classifying needs is there, and the user agrees to where images go; asks where need be."""
    return services.server.consent(parent) if services.server.remote else services.installer.ensure_light(parent)


class Classification:
    """A volume, a model, and what becomes of them. After :meth:`cancel` nothing is called any more.

    Args:
        services: what the module has.
        node: the volume.
        entry: the model.
        on_progress: told how many slices of how many are read; 0 of 0 where that is not known.
        on_done: given the result, which is in the scene.
        on_error: given why there is none.
        heat: whether to make the heat map.

    Raises:
        SKDError: the volume cannot be used.
    """

    def __init__(
        self,
        services: Services,
        node: Any,
        entry: ModelEntry,
        on_progress: Callable[[int, int], None],
        on_done: Callable[[StoredResult], None],
        on_error: Callable[[Exception], None],
        heat: bool = True,
    ) -> None:
        self._services, self._on_done, self._on_error = services, on_done, on_error
        if services.server.remote:
            work = services.logic.remote_task(node, entry.id, services.server)
        else:
            work = services.logic.task(node, entry.path, heat)
        self._task = services.background(work, on_progress, self._answered, on_error, lambda: None)

    def start(self) -> None:
        """Begin."""
        self._task.start()

    def cancel(self) -> None:
        """Give up: the thread ends at its next slice, or when the server has answered."""
        self._task.abandon()

    def _answered(self, answer: Answer) -> None:
        try:
            stored = self._services.logic.show(answer)
        except Exception as error:
            self._on_error(error)
            return
        self._on_done(stored)
