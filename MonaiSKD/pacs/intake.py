"""From what arrives to rows of the queue: studies that the PACS names, and studies that were sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from MonaiSKD.errors import SKDError
from MonaiSKD.pacs.clock import Clock
from MonaiSKD.pacs.dicomweb import Client
from MonaiSKD.pacs.incoming import Incoming, is_uid
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.queue import Queue, State, key_of
from MonaiSKD.pacs.routing import Route, SeriesFacts, route, why_none
from MonaiSKD.pacs.settings import Poll
from MonaiSKD.pacs.trouble import Later

# A number of instances that no study has.
_NEVER = -(2**31)
# A PACS that fails for so many studies one after the other fails for all.
_TROUBLES = 3


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
        # When the PACS failed for a study.
        self._failed: dict[str, float] = {}

    def poll(self) -> int:
        """Ask once.

        Returns:
            how many studies are still being watched.

        Raises:
            Later: the PACS does not answer. That it fails for some studies keeps no other from being looked at.
        """
        found: dict[str, int] = {}
        for filters in self._filters():
            found.update(self._client.studies(filters))
        self._growing = {study: seen for study, seen in self._growing.items() if study in found}
        self._failed = {study: when for study, when in self._failed.items() if study in found}
        troubles = 0
        for study in sorted(found, key=lambda study: self._failed.get(study, float("-inf"))):
            instances = found[study]
            if self._queue.seen(study) == instances:
                self._growing.pop(study, None)
            elif not is_uid(study):  # it would become part of addresses and of names of files
                fresh = self._queue.offer(study, instances, {}, "its Study Instance UID is malformed", "Mend it there")
                _say(fresh)
            elif self._is_quiet(study, instances):
                problem = self._look(study, instances)
                troubles = troubles + 1 if problem is not None and not problem.counts else 0
                if problem is not None and troubles == _TROUBLES:
                    raise problem
        return len(self._growing)

    def _look(self, study: str, instances: int) -> Later | None:
        try:
            series = self._client.series(study)
        except Later as problem:
            # Listed, and looked at again each time, after those that wait for the first time.
            self._failed[study] = self._clock.monotonic()
            _say(self._queue.offer(study, _NEVER, {}, f"its series cannot be listed: {problem.cause}", problem.remedy))
            return problem
        offer(self._queue, self._routes, study, instances, series)
        self._growing.pop(study, None)
        self._failed.pop(study, None)
        return None

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
        waiting = {study for _, study in self._queue.waiting()}
        moment = self._incoming.now()
        for study in self._incoming.complete(self._quiet):
            if study not in self._offered or self._incoming.changed_since(study, self._offered[study]):
                self._offer(study)
                self._offered[study] = moment
            elif study not in waiting:  # nothing waits for it any more
                self._incoming.remove(study, unless_newer_than=self._offered.pop(study))

    def _offer(self, study: str) -> None:
        instances = -self._incoming.count(study)
        try:
            series = self._incoming.series(study)
        except SKDError as error:  # one that cannot be read keeps no other from being offered
            _say(self._queue.offer(study, instances, {}, f"its images cannot be read: {error.cause}", error.remedy))
            return
        if series:
            # What lay here when the service started is not new: it may be what ended the service.
            offer(self._queue, self._routes, study, instances, series, anew=self._incoming.came(study))


def offer(
    queue: Queue, routes: Sequence[Route], study: str, instances: int, series: Sequence[SeriesFacts], anew: bool = False
) -> None:
    """Route a study and put it into the queue, see :meth:`Queue.offer`."""
    routed = routed_series(routes, series)
    _say(queue.offer(study, instances, routed, why_none(series), anew=anew))
    for row in (queue.row(key_of(study, model)) for model in routed if anew):
        if row is not None and row.state == "answered":
            log("ignored", study=row.key, reason="it is answered already")


def routed_series(routes: Sequence[Route], series: Sequence[SeriesFacts]) -> Mapping[str, list[SeriesFacts]]:
    """The series for each model; what has no proper UID is for none, since UIDs become parts of addresses and names."""
    return route(routes, [one for one in series if is_uid(one.uid)])


def _say(fresh: Mapping[str, State]) -> None:
    for key, state in fresh.items():
        log(state, study=key)
