"""Asking a MONAI Label server that the user named. No Qt.

No image is sent before :meth:`LabelServer.infer` is called; who calls it has asked the user.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from SKDClassifierLib import Package

if TYPE_CHECKING:
    from MonaiSKD.errors import SKDError
    from MonaiSKD.runtime import Failure, Result

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 300.0
# An answer is text; what is larger is not taken into memory.
_LARGEST_ANSWER = 64 * 2**20
# The key of our answer among MONAI Label's; see docs/label_contract.md.
ANSWER_KEY = "monai_skd"

State = Literal["ready", "no_models", "refused", "timeout", "other_service", "failed", "bad_url"]


@dataclass(frozen=True)
class Connection:
    """What a test of the connection found.

    Args:
        state: which of the outcomes it is.
        text: what to tell the user.
        models: name -> classes, of the models that classify.
    """

    state: State
    text: str
    models: Mapping[str, tuple[str, ...]]


class LabelServer:
    """A MONAI Label server.

    Args:
        url: as the user typed it, http or https.

    Raises:
        SKDError: it is no address of a server.

    Example:
        server = LabelServer("http://127.0.0.1:8000")
        print(server.test().text)
    """

    def __init__(self, url: str) -> None:
        Package.make_importable()
        refusal = _error(url, "is no address of a server", "Write it like http://127.0.0.1:8000", "invalid")
        try:
            parts = urlsplit(url.strip())
            port = parts.port
            (parts.hostname or "").encode("idna")  # as looking it up does
            parts.path.encode("ascii")  # as asking for it does
        except ValueError as error:  # UnicodeError is one, too
            raise refusal from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise refusal
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, port
        self._path = parts.path.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether it is this computer, so that nothing leaves it."""
        try:
            return ipaddress.ip_address(self._host).is_loopback
        except ValueError:  # a name, and who answers to it is not known: 127.pacs.example.org is anybody's
            return self._host == "localhost"

    def test(self) -> Connection:
        """Ask the server what it is; sends no image."""
        from MonaiSKD.errors import SKDError

        try:
            status, body = self._request("GET", "/info/", timeout=CONNECT_SECONDS)
        except SKDError as error:
            state: State = "timeout" if "in time" in error.cause else "refused"
            return Connection(state, str(error), {})
        if status != 200:
            return Connection("other_service", f"{self.url} answers, but is no MONAI Label server (HTTP {status}).", {})
        try:
            info = json.loads(body)
            models = {
                str(name): tuple(_labels(model.get("labels")))
                for name, model in info["models"].items()
                if model.get("type") == "classification"
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            return Connection("other_service", f"{self.url} answers, but is no MONAI Label server.", {})
        if not models:
            return Connection("no_models", f"{self.url} is a MONAI Label server without a model that classifies.", {})
        return Connection("ready", f"{self.url} is ready: {', '.join(models)}.", models)

    def infer(self, model: str, file: str | Path) -> Result | Failure:
        """Send an image and get its classification.

        The file goes under a neutral name; what stands in its header goes with it.

        Args:
            model: one of the server's.
            file: DICOM, NIfTI, NRRD, PNG.

        Raises:
            SKDError: the server is gone, refuses, or answers nothing that can be understood.
        """
        path = Path(file)
        suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix.lower()
        boundary = uuid.uuid4().hex
        try:
            content = path.read_bytes()
        except OSError as error:
            cause = f"cannot be read ({error.strerror or error})"
            raise _error(path.name, cause, "Classify the image again", "not_found") from error
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="params"\r\n\r\n{{}}\r\n'
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="image{suffix}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        target = f"/infer/{quote(model, safe='')}?output=json"
        status, answer = self._request("POST", target, body, headers, ANSWER_SECONDS)
        if status == 404:
            raise _error(self.url, f"has no model {model!r}", "Test the connection, then choose one of its models")
        if status != 200:
            raise _error(self.url, f"could not classify the image (HTTP {status})", "Look into the server's log")
        return _outcome(answer, model, self.url)

    def _request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = ANSWER_SECONDS,
    ) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
            connection.sock.settimeout(timeout)
            connection.request(method, self._path + target, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read(_LARGEST_ANSWER + 1)
            if len(content) > _LARGEST_ANSWER:
                raise _error(self.url, "answers with more than a result can be", "Check the address")
            if response.length:  # read(n) does not raise for what is missing
                raise http.client.IncompleteRead(content, response.length)
            return response.status, content
        except TimeoutError as error:
            raise _error(self.url, "does not answer in time", "Check the address, or try again later") from error
        except http.client.IncompleteRead as error:
            raise _error(self.url, "broke off in the middle of its answer", "Look into the server's log") from error
        except http.client.HTTPException as error:
            raise _error(self.url, "answers, but not in HTTP", "Check the address and the port") from error
        except OSError as error:
            cause = f"cannot be reached ({error.strerror or error})"
            raise _error(self.url, cause, "Start the server, or check the address and the port") from error
        finally:
            connection.close()


def _outcome(answer: bytes, model: str, url: str) -> Result | Failure:
    """Our line among the answer's, or what a stock MONAI Label classifier says."""
    from MonaiSKD.reporting import from_json

    try:
        data = json.loads(answer)
        data = data.get("params", data) if isinstance(data, dict) else {}
        if ANSWER_KEY in data:
            return from_json(data[ANSWER_KEY])
        return _stock(data["prediction"], model)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _error(url, "answers with something that is no classification", "Choose another model") from error


def _stock(prediction: Any, model: str) -> Result:
    """The answer of a classifier that is not ours: `[{"label": ..., "score": ...}, ...]`.

    It tells neither thresholds nor atypicality. No class counts as decided, and the image as atypical is not known, so
    it is not called typical.
    """
    from MonaiSKD.runtime import ModelIdentity, Result

    scores = {str(one["label"]): float(one["score"]) for one in prediction}
    if not scores or not all(0 <= score <= 1 for score in scores.values()):
        raise ValueError("no probabilities")
    return Result(
        input="image",
        label=max(scores, key=lambda name: scores[name]),
        probabilities=scores,
        thresholds=dict.fromkeys(scores, float("inf")),
        atypicality=float("inf"),
        atypicality_threshold=1.0,
        model=ModelIdentity(model, "", ""),
        milliseconds=0.0,
        warnings=("The server tells no thresholds, and not whether the image is one that its model was made for.",),
    )


def _labels(labels: Any) -> list[str]:
    """Class names, that servers give as a list or as name -> number."""
    return [str(name) for name in labels] if isinstance(labels, (list, dict)) else []


def _error(thing: str, cause: str, remedy: str, code: str = "invalid") -> SKDError:
    from MonaiSKD.errors import SKDError

    return SKDError(re.sub(r"//[^/@]*@", "//", thing), cause, remedy, code)  # type: ignore[arg-type]
