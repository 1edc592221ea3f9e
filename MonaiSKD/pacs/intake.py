"""From what arrives to rows of the queue: studies that the PACS names, and studies that were sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from MonaiSKD.pacs.clock import Clock
from MonaiSKD.pacs.dicomweb import Client
from MonaiSKD.pacs.incoming import Incoming, is_uid
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.queue import OPEN, Queue, State
from MonaiSKD.pacs.routing import Route, SeriesFacts, route, why_none
from MonaiSKD.pacs.settings import Poll
from MonaiSKD.pacs.trouble import Later

# A number of instances that no study has.
_NEVER = -(2**31)


class Poller:
    """Asks the PACS for studies, and offers those to the queue that have stopped growing.

    Args:
        settings: what is asked, and when a study counts as complete.
        routes: the rules.
        client: the PACS.
        queue: where rows go.
        clock: measures quiet times, and says which day it is.
    """

    def __init__(self, settings: Poll, routes: Sequence[Route], client: Client, queue: Queue, clock: Clock) -> None:
        self._settings, self._routes = settings, routes
        self._client, self._queue, self._clock = client, queue, clock
        # What a study had when it last changed, and when that was seen.
        self._growing: dict[str, tuple[int, float]] = {}

    def poll(self) -> int:
        """Ask once.

        Returns:
            how many studies are still being watched.

        Raises:
            Later: the PACS does not answer. That it fails for one study keeps no other from being looked at.
        """
        found: dict[str, int] = {}
        for filters in self._filters():
            found.update(self._client.studies(filters))
        self._growing = {study: seen for study, seen in self._growing.items() if study in found}
        for study, instances in found.items():
            if self._queue.seen(study) == instances:
                self._growing.pop(study, None)
            elif not is_uid(study):  # it would become part of addresses and of names of files
                fresh = self._queue.offer(study, instances, {}, "its Study Instance UID is malformed", "Mend it there")
                _say(fresh)
            elif self._is_quiet(study, instances):
                self._look(study, instances)
        return len(self._growing)

    def _look(self, study: str, instances: int) -> None:
        try:
            series = self._client.series(study)
        except Later as problem:
            if not problem.counts:
                raise
            # Listed, and looked at again each time.
            _say(self._queue.offer(study, _NEVER, {}, f"its series cannot be listed: {problem.cause}", problem.remedy))
            return
        offer(self._queue, self._routes, study, instances, series)
        self._growing.pop(study, None)

    def _is_quiet(self, study: str, instances: int) -> bool:
        now = self._clock.monotonic()
        count, since = self._growing.get(study, (None, now))
        if count != instances:
            self._growing[study] = instances, now
            since = now
        return now - since >= self._settings.quiet

    def _filters(self) -> list[Mapping[str, str]]:
        """One query for each modality of the rules."""
        filters = dict(self._settings.query)
        if self._settings.days and "StudyDate" not in filters:
            today = self._clock.now().date()
            first = today - timedelta(days=self._settings.days - 1)
            # A day more, for a PACS in another time zone.
            filters["StudyDate"] = f"{first:%Y%m%d}-{today + timedelta(days=1):%Y%m%d}"
        if self._settings.everything or "ModalitiesInStudy" in filters:
            return [filters]
        modalities = dict.fromkeys(modality for rule in self._routes for modality in rule.modality)
        return [{**filters, "ModalitiesInStudy": modality} for modality in modalities]


class Gatherer:
    """Offers studies to the queue that were sent here, and removes them when they are done with.

    Args:
        quiet: seconds without an object after which a study counts as complete.
        routes: the rules.
        incoming: where objects are.
        queue: where rows go.
    """

    def __init__(self, quiet: float, routes: Sequence[Route], incoming: Incoming, queue: Queue) -> None:
        self._quiet, self._routes, self._incoming, self._queue = quiet, routes, incoming, queue
        self._offered: dict[str, float] = {}

    def gather(self) -> None:
        """Look once."""
        waiting = {row.study for row in self._queue.rows(OPEN)}
        moment = self._incoming.now()
        for study in self._incoming.complete(self._quiet):
            if study not in self._offered or self._incoming.changed_since(study, self._offered[study]):
                series = self._incoming.series(study)
                if series:
                    offer(self._queue, self._routes, study, -self._incoming.count(study), series)
                self._offered[study] = moment
            elif study not in waiting:  # nothing waits for it any more
                self._incoming.remove(study, unless_newer_than=self._offered.pop(study))


def offer(
    queue: Queue, routes: Sequence[Route], study: str, instances: int, series: Sequence[SeriesFacts]
) -> Mapping[str, State]:
    """Route a study and put it into the queue."""
    routed = route(routes, [one for one in series if is_uid(one.uid)])
    fresh = queue.offer(study, instances, routed, why_none(series))
    _say(fresh)
    return fresh


def _say(fresh: Mapping[str, State]) -> None:
    for key, state in fresh.items():
        log(state, study=key)
