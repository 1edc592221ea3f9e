"""The HTTP side: a few read-only answers, with a limit on everything that a client decides.

h11 parses HTTP/1.1; asyncio holds the connections. Of the small servers that were looked at, none limits the time of a
whole request: http.server gives each client a thread for as long as it likes, waitress and uvicorn count from the last
byte, so that one byte now and then keeps a connection for ever.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
import threading
from collections.abc import Mapping

import h11

from MonaiSKD.addresses import is_loopback
from MonaiSKD.pacs.clock import Rate
from MonaiSKD.pacs.log import log
from MonaiSKD.pacs.page import Status
from MonaiSKD.pacs.settings import Login, Page
from MonaiSKD.pacs.tls import server_context
from MonaiSKD.pacs.trouble import not_listening

SECONDS = 5.0  # for a request, from the connection to its last byte, and for the answer
CONNECTIONS = 32
_MOST_REQUEST = 16 * 1024

_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 421: "Misdirected Request", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip

Reply = tuple[int, str, bytes, Mapping[str, str]]


class WebServer:
    """The running server, in a thread of its own.

    Args:
        settings: where it listens, and who may look.
        status: what it shows.
        rate: of requests.

    Raises:
        SKDError: the address cannot be listened on, or the files of TLS are wrong.
    """

    def __init__(self, settings: Page, status: Status, rate: Rate) -> None:
        self._settings, self._status, self._rate = settings, status, rate
        self._open = 0
        self._loop = asyncio.new_event_loop()
        context = server_context(settings.tls)
        starting = asyncio.start_server(
            self._client, settings.address, settings.port, ssl=context, limit=_MOST_REQUEST,
            ssl_handshake_timeout=SECONDS if context else None,
        )  # fmt: skip
        try:
            self._server = self._loop.run_until_complete(starting)
        except OSError as error:
            self._loop.close()
            raise not_listening(settings.address, settings.port, "page", error) from error
        self.port = int(self._server.sockets[0].getsockname()[1])
        # What goes wrong in a connection is that connection's end, and no line in a log.
        self._loop.set_exception_handler(lambda loop, context: None)
        self._thread = threading.Thread(target=self._loop.run_forever, name="status page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and drop what is connected."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        connection, is_head = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_REQUEST), False
        try:
            if self._open > CONNECTIONS:
                reply = _plain(503)
            else:
                try:
                    request = await asyncio.wait_for(_request(connection, reader), SECONDS)
                    is_head = request.method == b"HEAD"
                    reply = await self._reply(request)
                except asyncio.TimeoutError:
                    reply = _plain(408)
                except h11.RemoteProtocolError as error:
                    reply = _plain(error.error_status_hint)
            writer.write(_bytes(connection, is_head, reply))
            await asyncio.wait_for(writer.drain(), SECONDS)
        except (OSError, EOFError, asyncio.TimeoutError, h11.ProtocolError):
            pass  # the client has gone, or does not read
        finally:
            self._open -= 1
            writer.close()

    async def _reply(self, request: h11.Request) -> Reply:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        if not self._rate.take():
            return _plain(429, {"Retry-After": "1"})
        if not self._is_for_us(headers.get("host", "")):
            return _plain(421)
        if not _may(self._settings.login, headers.get("authorization", "")):
            scheme = "Bearer" if self._settings.login and self._settings.login.token else "Basic"
            return _plain(401, {"WWW-Authenticate": f'{scheme} realm="MonaiSKD"'})
        if request.method not in (b"GET", b"HEAD"):
            return _plain(405, {"Allow": "GET, HEAD"})
        path = request.target.partition(b"?")[0]
        try:
            if path == b"/":
                text, policy = await asyncio.to_thread(self._status.html)
                return 200, "text/html; charset=utf-8", text.encode(), {"Content-Security-Policy": policy}
            if path == b"/status.json":
                data = await asyncio.to_thread(self._status.data)
                return 200, "application/json", json.dumps(data).encode(), {}
        except Exception as error:  # such as a queue that cannot be read; what it says may quote it
            log("status page trouble", logging.ERROR, reason=type(error).__name__)
            return _plain(500)
        return _plain(404)

    def _is_for_us(self, host: str) -> bool:
        """Whether a request names this server: else any web page could read ours through a name that it moves here."""
        if not is_loopback(self._settings.address):
            return True
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        return is_loopback(name.strip("[]"))


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request:
    """The request; its body, which no answer needs, is refused."""
    taken = 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            piece = await reader.read(_MOST_REQUEST)
            taken += len(piece)
            if taken > _MOST_REQUEST:
                raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
            connection.receive_data(piece)
            if not piece and connection.trailing_data[0] == b"" and connection.their_state is h11.IDLE:
                raise EOFError
        elif isinstance(event, h11.Request):
            names = {name.lower(): value for name, value in event.headers}
            if b"transfer-encoding" in names or names.get(b"content-length", b"0").strip(b"0"):
                raise h11.RemoteProtocolError("no request has a body here", error_status_hint=413)
            return event
        else:
            raise EOFError


def _may(login: Login | None, given: str) -> bool:
    if login is None:
        return True
    if login.token is not None:
        wanted = f"Bearer {login.token.reveal()}"
    else:
        password = login.password.reveal() if login.password is not None else ""
        wanted = "Basic " + base64.b64encode(f"{login.user}:{password}".encode()).decode()
    return hmac.compare_digest(given.encode(), wanted.encode())


def _plain(status: int, headers: Mapping[str, str] | None = None) -> Reply:
    return status, "text/plain; charset=utf-8", f"{status} {_REASONS.get(status, '')}\n".encode(), headers or {}


def _bytes(connection: h11.Connection, is_head: bool, reply: Reply) -> bytes:
    status, kind, body, more = reply
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Content-Security-Policy": "default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Connection": "close",
        **more,
    }
    events: list[h11.Event] = [
        h11.Response(status_code=status, reason=_REASONS.get(status, ""), headers=list(headers.items()))
    ]
    if not is_head:
        events.append(h11.Data(data=body))
    parts = [connection.send(event) for event in (*events, h11.EndOfMessage())]
    return b"".join(part for part in parts if part)
