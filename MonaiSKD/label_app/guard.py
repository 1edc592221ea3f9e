"""What stands before MONAI Label's endpoints: a client's mistake gets an HTTP status of its own, not 500.

MONAI Label turns an unknown model, a malformed `params` and a missing image into internal errors, quotes requests in
its log, and takes names apart that lead out of its folders.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from MonaiSKD.addresses import is_loopback
from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.answers import status_of

_LOG = logging.getLogger(__name__)
_SESSION = re.compile(r"[0-9a-f-]{36}")
# First part of the path -> which names the next part may be, of MonaiSKDApp.names().
_NAMED = {
    "infer": "models",
    "train": "trainers",
    "scoring": "scoring",
    "activelearning": "strategies",
    "model": "models",
}
# Endpoints for other kinds of data, which reach for files or servers that a request names.
_CLOSED = ("proxy", "ohif", "wsi")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Names = Callable[[str], set[str]]


class _TooLarge(Exception):
    """More bytes came than a request may have."""


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        names: "models", "trainers", "scoring" or "strategies" -> the names there are now.
        largest: bytes of a request.
        origins: web sites whose pages may ask, such as "http://viewer:3000".
    """

    def __init__(self, app: Any, names: Names, largest: int, origins: Collection[str] = ()) -> None:
        self.app, self.names, self.largest, self.origins = app, names, largest, origins
        self._sites = {origin.partition("//")[2] for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let MONAI Label answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, received, refused = False, 0, False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.largest:
                refused = True
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            if refused and not started:  # FastAPI makes a mistake in the body of it
                raise _TooLarge
            started = True
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, counted, noted)
                return
            status, detail = refusal
        except Exception as error:
            if started:  # half an answer is out; the connection breaks
                raise
            status, detail = _explained(error, self.largest)
        _LOG.warning("%s /%s: %d", scope["method"], _place(scope["path"]), status)
        await _respond(send, status, detail)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Why a request is not even looked at."""
        headers = dict(scope["headers"])
        # MONAI Label answers the pages of every web site that a browser here has open.
        origin = headers.get(b"origin", b"").decode("latin-1")
        own = headers.get(b"host", b"").decode("latin-1")
        # A page may move a name of its own here, and is then of the same origin as this server.
        listens = (scope.get("server") or ("",))[0]
        if own and is_loopback(listens) and not is_loopback(_name(own)) and own not in self._sites:
            return 421, "this server is asked by a name that is not its own (--conf origins)"
        if origin and origin.partition("//")[2] != own and origin not in self.origins:
            return 403, "pages of this web site may not ask (--conf origins)"
        parts = scope["path"].strip("/").split("/")
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
        if parts[0] in _CLOSED or parts[:2] == ["infer", "wsi"] or parts[:2] == ["infer", "wsi_v2"]:
            return 404, "not offered by this app"
        if parts[:2] == ["batch", "infer"]:
            parts = parts[1:]
        named = parts[2:] if parts[:2] == ["model", "info"] else parts[1:]
        if parts[0] in _NAMED and named and named[0]:
            kind = _NAMED[parts[0]]
            if "/".join(named) not in (known := self.names(kind)):
                return 404, f"there is none of this name among the {kind}: {', '.join(sorted(known))}"
        session = query.get("session_id") or (parts[1] if parts[0] == "session" and len(parts) > 1 else "")
        if session and not _SESSION.fullmatch(session):
            return 404, "there is no such session"
        if parts[0] == "session" and query.get("uncompress", "").lower() not in ("", "false", "0", "off", "no"):
            return 400, "archives are not unpacked; send the files themselves"
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.largest:
            return _explained(_TooLarge(), self.largest)
        return None


def _name(host: str) -> str:
    """The name or address in a Host header, without the port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _explained(error: BaseException, largest: int) -> tuple[int, str]:
    """The status and the words for what went wrong."""
    for one in _chain(error):
        if isinstance(one, SKDError):
            return status_of(one), str(one)
        if isinstance(one, _TooLarge):
            return 413, f"a request may have {largest} bytes"
        if isinstance(one, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
            return 400, "a part of the request is no JSON"
        if isinstance(one, OSError) and one.errno == errno.ENOSPC:
            return 507, "the server's disk is full"
        if isinstance(one, OSError) and one.errno == errno.ENAMETOOLONG:
            return 400, "a name is too long"
        if isinstance(one, ValueError) and "null byte" in str(one):
            return 400, "a name holds a zero byte"
        if type(one).__name__ in ("ImageNotFoundException", "LabelNotFoundException"):
            return 404, "there is no such image or label"
        if type(one).__name__ == "MONAILabelException":
            return 400, "MONAI Label refuses the request"
        if isinstance(one, (TypeError, AttributeError)) and _raised_by_an_endpoint(one):
            return 400, "a part of the request is JSON of another kind than it should be"
    # Where, not what: the words of an error may quote a file name or a request.
    place = "".join(traceback.format_tb(error.__traceback__)[-4:])
    _LOG.error("internal error (%s)\n%s", type(error).__name__, place)
    return 500, f"internal error ({type(error).__name__})"


def _raised_by_an_endpoint(error: BaseException) -> bool:
    """Whether it was MONAI Label's own handling of what the client sent, and nothing deeper."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).parts[-3:-1] == ("monailabel", "endpoints")


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = error.exceptions[0] if hasattr(error, "exceptions") else None
        error = inner or error.__cause__ or error.__context__
    return found


def _place(path: str) -> str:
    """Which endpoint was asked: the first part alone, for the rest may name an image."""
    first = path.strip("/").split("/")[0]
    return first if re.fullmatch(r"[a-z]{1,20}", first) else "?"


async def _respond(send: Send, status: int, detail: str) -> None:
    body = json.dumps({"detail": detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
