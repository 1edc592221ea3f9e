"""From the TOML file to :class:`Settings`, or to the line that is wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast, get_args

from MonaiSKD.addresses import is_loopback, names_a_host
from MonaiSKD.bundle import list_bundles
from MonaiSKD.choices import HeatMaps
from MonaiSKD.pacs.routing import Choice, Route
from MonaiSKD.pacs.settings import (
    Answer,
    DicomWeb,
    Limits,
    Listen,
    Login,
    Page,
    Peer,
    Poll,
    Secret,
    Settings,
    Tls,
)
from MonaiSKD.pacs.toml_table import Table, read_toml

# PS3.5: up to 16 characters, no backslash and no control character; blanks only within.
_AE = r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?"
_AE_TEXT = "an AE title (1 to 16 characters)"
_YEAR = 366 * 86400


def read_settings(path: str | os.PathLike[str]) -> Settings:
    """Read and check the configuration.

    Args:
        path: the TOML file; relative paths in it are relative to its folder.

    Raises:
        SKDError: the file is absent or wrong; the message says line, key, cause and remedy.
    """
    root = read_toml(Path(path))
    settings = Settings(
        data=_data(root),
        routes=_routes(root),
        answer=_answer(root),
        dicomweb=_dicomweb(root),
        poll=_poll(root),
        listen=_listen(root),
        page=_page(root),
        limits=_limits(root),
        workers=root.integer("workers", Settings.workers, 1, 64),
        retry=_retry(root),
    )
    root.done()
    _check(root, settings)
    return settings


def data_folder(path: str | os.PathLike[str]) -> Path:
    """The folder for queue and images alone: for looking at the queue, no secret need be known and no file be there.

    Raises:
        SKDError: the file is absent or wrong.
    """
    return _data(read_toml(Path(path)))


def _data(root: Table) -> Path:
    named = root.text("data", what="the folder for queue and images, such as /var/lib/monai-skd")
    return (root.file.parent / named).resolve()


def _check(root: Table, settings: Settings) -> None:
    """What no table knows by itself."""
    if settings.poll is None and settings.listen is None:
        root.refuse("", "no study can come in", "Write a table [poll] or [listen], or both")
    if settings.dicomweb is None and settings.poll is not None:
        root.refuse("poll", "needs to know the PACS", "Write a table [dicomweb] with its url")
    if settings.dicomweb is None and settings.answer.peer is None:
        root.refuse("answer", "needs to know the PACS", 'Write a table [dicomweb] with its url, or by = "store"')
    page = settings.page
    if page is not None and not is_loopback(page.address) and page.login is None:
        remedy = "Write user and password (or token) and certificate and key in [page], or leave address out"
        root.refuse("page", f"is open to others at {page.address} without a login", remedy)


def _routes(root: Table) -> tuple[Route, ...]:
    tables = root.tables("route")
    if not tables:
        root.refuse("route", "is missing", "Write at least one [[route]] with model and modality")
    return tuple(map(_route, tables))


def _route(table: Table) -> Route:
    code = ("[A-Z0-9_ ]{1,16}", "a code in capitals")
    description = None
    if "series_description" in table:
        pattern = table.text("series_description", what="a regular expression")
        try:
            description = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            table.refuse("series_description", f"is no regular expression ({error})", "Mend it, or leave it out")
    model = table.text("model")
    path = table.file.parent / model
    # A bundle goes before a folder beside the file that is called as it is, such as one of its images.
    is_path = os.sep in model or (path.exists() and model not in {bundle.name for bundle in list_bundles()})
    made = Route(
        model=model,
        file=str(path.resolve()) if is_path else "",
        modality=table.texts("modality", pattern=code[0], what=code[1]),
        body_part=table.texts(
            "body_part", Route.body_part, "[A-Z0-9_ ]{0,16}", f"{code[1]}, or empty for 'not stated'"
        ),
        description=description,
        series=cast(Choice, table.choice("series", Route.series, get_args(Choice))),
    )
    if not made.modality:
        table.refuse("modality", "is empty, so that no series fits", 'Name at least one, such as ["CT"]')
    table.done()
    return made


def _dicomweb(root: Table) -> DicomWeb | None:
    table = root.table("dicomweb")
    if table is None:
        return None
    what = "an address such as https://pacs.example.org/dicom-web"
    if re.search("[@?#]", table.text("url", what=what)):  # it may hold a password, which no message quotes
        remedy = "Write the address alone; a login goes into the keys user and password, or token"
        table.refuse("url", "holds more than an address", remedy)
    url = table.text("url", pattern=r"https?://\S+", what=what)
    if not names_a_host(url):
        table.refuse("url", "names no host, or no possible port", f"Write {what}")
    made = DicomWeb(
        url=url.rstrip("/"),
        login=_login(table),
        tls=_tls(table) or DicomWeb.tls,
        timeout=table.number("timeout", DicomWeb.timeout, 1, 600),
        per_second=table.number("requests_per_second", DicomWeb.per_second, 0.1, 10000),
    )
    table.done()
    return made


def _poll(root: Table) -> Poll | None:
    table = root.table("poll")
    if table is None:
        return None
    made = Poll(
        every=table.number("every", Poll.every, 0.1, 86400),
        quiet=table.number("quiet", Poll.quiet, 0, 86400),
        days=table.integer("days", Poll.days, 0, 36500),
        everything=table.flag("everything", Poll.everything),
        query=table.mapping("query"),
    )
    table.done()
    return made


def _listen(root: Table) -> Listen | None:
    table = root.table("listen")
    if table is None:
        return None
    made = Listen(
        allow=table.texts("allow", pattern=_AE, what=_AE_TEXT),
        address=table.text("address", Listen.address),
        port=table.integer("port", Listen.port, 0, 65535),
        ae_title=table.text("ae_title", Listen.ae_title, _AE, _AE_TEXT),
        quiet=table.number("quiet", Listen.quiet, 0, 86400),
        associations=table.integer("associations", Listen.associations, 1, 256),
        timeout=table.number("timeout", Listen.timeout, 1, 600),
        per_second=table.number("objects_per_second", Listen.per_second, 0.1, 100000),
        tls=_server_tls(table),
    )
    if not made.allow:
        table.refuse("allow", "is empty, so that nobody may send", 'Name the senders, such as ["PACS"]')
    table.done()
    return made


def _answer(root: Table) -> Answer:
    table = root.table("answer")
    if table is None:
        return Answer()
    by = table.choice("by", "stow", ("stow", "store"))
    maps = table.choice("heat_maps", Answer.heat_maps, get_args(HeatMaps))
    peer = None
    if by == "store":
        peer = Peer(
            host=table.text("host"),
            port=table.integer("port", least=1, most=65535),
            ae_title=table.text("ae_title", pattern=_AE, what=_AE_TEXT),
            calling=table.text("calling", Peer.calling, _AE, _AE_TEXT),
            timeout=table.number("timeout", Peer.timeout, 1, 600),
            tls=(_tls(table) or Tls()) if table.flag("tls", False) else None,
        )
    table.done()
    return Answer(peer, cast(HeatMaps, maps))


def _page(root: Table) -> Page | None:
    table = root.table("page")
    if table is None:
        return Page()
    if not table.flag("show", True):
        return None
    made = Page(
        address=table.text("address", Page.address),
        port=table.integer("port", Page.port, 0, 65535),
        login=_login(table),
        tls=_server_tls(table),
        identify=table.flag("identify", Page.identify),
        per_second=table.number("requests_per_second", Page.per_second, 0.1, 10000),
    )
    table.done()
    return made


def _limits(root: Table) -> Limits:
    table = root.table("limits")
    if table is None:
        return Limits()
    made = Limits(
        object_bytes=table.integer("object_bytes", Limits.object_bytes, 2**10),
        study_bytes=table.integer("study_bytes", Limits.study_bytes, 2**10),
        study_images=table.integer("study_images", Limits.study_images, 1),
        study_seconds=table.number("study_seconds", Limits.study_seconds, 1, _YEAR),
        free_bytes=table.integer("free_bytes", Limits.free_bytes),
        attempts=table.integer("attempts", Limits.attempts, 1),
    )
    table.done()
    return made


def _retry(root: Table) -> tuple[float, float]:
    table = root.table("retry")
    if table is None:
        return Settings.retry
    first, most = Settings.retry
    made = table.number("first", first, 0.01, 86400), table.number("most", most, 0.01, 86400)
    table.done()
    return made


def _tls(table: Table) -> Tls | None:
    made = Tls(table.file_path("certificate"), table.file_path("key"), table.file_path("ca"))
    if (made.certificate is None) != (made.key is None):
        table.refuse("certificate" if made.certificate else "key", "stands alone", "Write both certificate and key")
    return None if made == Tls() else made


def _server_tls(table: Table) -> Tls | None:
    made = _tls(table)
    if made is not None and made.certificate is None:
        table.refuse("ca", "needs a certificate of this server", "Write certificate and key, too")
    return made


def _login(table: Table) -> Login | None:
    user, password, token = table.text("user", ""), _secret(table, "password"), _secret(table, "token")
    if bool(user) != (password is not None) or (user and token):
        table.refuse("user" if user else "password", "is half a login", "Write user and password, or token alone")
    return Login(user, password, token) if user or token else None


def _secret(table: Table, key: str) -> Secret | None:
    if key in table and not isinstance(table._data[key], dict):
        remedy = f'Write {key} = {{ env = "NAME" }} or {key} = {{ file = "/run/secrets/NAME" }}'
        table.refuse(key, "stands in the file itself", remedy)
    inner = table.table(key)
    if inner is None:
        return None
    if "env" in inner:
        name = inner.text("env")
        value = os.environ.get(name, "")
        if not value:
            inner.refuse("env", f"names {name}, which is not set in the environment", "Set it, or give a file")
    else:
        file = inner.file_path("file") or inner.refuse("file", "is missing", 'Write env = "NAME" or file = "PATH"')
        try:
            value = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            inner.refuse("file", f"cannot be read ({type(error).__name__})", "Check its permissions")
        if not value:
            inner.refuse("file", "names a file that holds nothing", "Write the secret into it")
    inner.done()
    if re.search(r"[\x00-\x1f\x7f]", value):  # no header can carry it
        table.refuse(key, "holds a line break or a control character", "Write the secret alone, on one line")
    return Secret(value)
