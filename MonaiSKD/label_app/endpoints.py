"""The requests that this app answers itself, in MONAI Label's protocol, before MONAI Label would.

Its own `/infer` and `/activelearning` compute while nobody else is answered, and `/infer` takes any path on the server
for an image; its own upload of a model copies whatever comes over the file that is in use; it leaves each upload that
is refused, and each archive, in the folder for temporary files. These answer in threads, take what they can check, and
leave nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, UploadFile
from fastapi.responses import FileResponse, Response, StreamingResponse
from monailabel.config import settings
from monailabel.endpoints.activelearning import sample
from monailabel.endpoints.infer import ResultType
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance
from requests_toolbelt import MultipartEncoder

from MonaiSKD.errors import SKDError
from MonaiSKD.label_app.datastore import FINAL
from MonaiSKD.label_app.served import ServedModel
from MonaiSKD.runtime.models import MODEL_NAME

_SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,2}$")
_MIME = {".png": "image/png", ".gz": "application/gzip"}
# As MONAI Label's own: who may ask, label, and change models (only with its authentication switched on).
_USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
_ADMIN = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))
_ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))


def infer(
    background_tasks: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile | None = File(None),  # noqa: B008
    output: ResultType | None = None,
    user: User = _USER,
) -> Any:
    """Classify an uploaded file, an image of the datastore, or a session's image."""
    app = app_instance()
    task = app.infer_task(model)
    wishes = _wishes(params)
    if output == ResultType.dicom_seg:
        raise SKDError("output", "cannot be a segmentation: these are classifiers", "Ask for json, image or all")
    if output == ResultType.image and not wishes.get("heatmap"):
        wishes["heatmap"] = "auto"
    folder = tempfile.mkdtemp(prefix="monai-skd-")
    background_tasks.add_task(shutil.rmtree, folder, ignore_errors=True)
    try:
        path, shown = _image(app, Path(folder), image, session_id, file)
        heatmap, found = task({"image": str(path), "shown": shown, "heatmap": wishes.get("heatmap"), "folder": folder})
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # background tasks run after an answer, not after an error
        raise
    if heatmap is None or output == ResultType.json:
        return found
    mime = _MIME[Path(heatmap).suffix]
    if output == ResultType.image:
        return FileResponse(heatmap, media_type=mime, filename=Path(heatmap).name)
    fields = {"params": (None, json.dumps(found), "application/json")}
    parts = MultipartEncoder({**fields, "image": (Path(heatmap).name, Path(heatmap).read_bytes(), mime)})
    return Response(parts.to_string(), media_type=parts.content_type)


def _wishes(params: str) -> dict[str, Any]:
    try:
        wishes = json.loads(params or "{}")
    except (ValueError, RecursionError) as error:
        raise SKDError("params", "is no JSON", 'Send a JSON object, such as {"heatmap": "png"}') from error
    if not isinstance(wishes, dict):
        raise SKDError("params", "is no JSON object", 'Send one, such as {"heatmap": "png"}')
    return wishes


def _image(app: Any, folder: Path, image: str, session_id: str, file: UploadFile | None) -> tuple[Path, str]:
    """Where the image lies, and what it is called in the answer."""
    if file is not None:
        found = _SUFFIX.search(Path(file.filename or "").name)
        path = folder / f"image{found[0].lower() if found else ''}"
        with path.open("wb") as stream:
            shutil.copyfileobj(file.file, stream)
        return path, path.name
    if session_id:
        session = app.sessions().get_session(session_id) if app.sessions() is not None else None
        if not session:
            raise SKDError("session", "there is none of this id", "Start one with PUT /session/", code="not_found")
        return Path(session.image), "image"
    if not image:
        raise SKDError("request", "names no image", "Send a file, an image id or a session", code="invalid")
    return app.datastore().image_path(image), image


def add_image(
    image: str = "",
    params: str = Form("{}"),
    file: UploadFile = File(...),  # noqa: B008
    user: User = _ANNOTATOR,
) -> Any:
    """Take an image into the datastore."""
    info = _wishes(params)
    if user.username:
        info["user"] = user.username
    store = app_instance().datastore()
    own, suffix = store.name_and_suffix(Path(file.filename or "").name)
    with tempfile.TemporaryDirectory(prefix="monai-skd-") as folder:
        return {"image": store.add_image(image or own, _saved(file, folder, f"image{suffix}"), info)}


def save_label(
    image: str,
    params: str = Form("{}"),
    tag: str = "",
    label: UploadFile = File(...),  # noqa: B008
    user: User = _ANNOTATOR,
) -> Any:
    """Keep a reader's label."""
    info, app = _wishes(params), app_instance()
    with tempfile.TemporaryDirectory(prefix="monai-skd-") as folder:
        kept = app.datastore().save_label(image, _saved(label, folder, "label.json"), tag or FINAL, info)
    return {**(app.on_save_label(image, kept) or {}), "image": image, "label": kept}


def _saved(file: UploadFile, folder: str, name: str) -> str:
    path = Path(folder) / name
    with path.open("wb") as stream:
        shutil.copyfileobj(file.file, stream)
    return str(path)


def archive(limit_cases: int | None = None, user: User = _ANNOTATOR) -> Any:
    """The labelled images with their labels, as a ZIP."""
    path = Path(app_instance().datastore().get_dataset_archive(limit_cases))
    stream = path.open("rb")
    path.unlink()  # so that it is gone when the answer is, or is broken off

    def pieces() -> Iterator[bytes]:
        with stream:
            while piece := stream.read(1 << 20):
                yield piece

    size = os.fstat(stream.fileno()).st_size
    headers = {"Content-Length": str(size), "Content-Disposition": 'attachment; filename="dataset.zip"'}
    return StreamingResponse(pieces(), media_type="application/zip", headers=headers)


def next_sample(strategy: str, params: dict[str, Any] | None = None, user: User = _USER) -> Any:
    """What to label next."""
    return sample(strategy, params, user.username)


def upload(model: str, file: UploadFile | None = File(None), version: str = "", user: User = _ADMIN) -> Any:  # noqa: B008
    """Let an uploaded model file answer from now on, or one of the versions that the server has."""
    served: ServedModel = app_instance().infer_task(model).model
    if file is None:
        return {"current": served.choose(version).id}
    folder = served.new_folder()
    try:
        with (folder / MODEL_NAME).open("wb") as stream:
            shutil.copyfileobj(file.file, stream)
        return {"current": served.adopt(folder, {"origin": "upload"}, same_classes=True).id}
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, SKDError):  # the path on the server is no one's business
            raise SKDError("model file", error.cause.replace(str(folder), ""), error.remedy, "model") from error
        raise


def withdraw(model: str, user: User = _ADMIN) -> Any:
    """Let the version that answered before the current one answer again; nothing is deleted."""
    served: ServedModel = app_instance().infer_task(model).model
    return {"current": served.withdraw().id}


def router() -> APIRouter:
    """The requests as FastAPI takes them."""
    ours = APIRouter(tags=["MonaiSKD"])
    ours.add_api_route("/infer/{model}", infer, methods=["POST"])
    ours.add_api_route("/datastore/", add_image, methods=["PUT"], include_in_schema=False)
    ours.add_api_route("/datastore/image", add_image, methods=["PUT"])
    ours.add_api_route("/datastore/label", save_label, methods=["PUT"])
    ours.add_api_route("/datastore/dataset", archive, methods=["GET"])
    ours.add_api_route("/activelearning/{strategy}", next_sample, methods=["POST"])
    ours.add_api_route("/model/{model}", upload, methods=["PUT"])
    ours.add_api_route("/model/{model}", withdraw, methods=["DELETE"])
    return ours
