"""The command `monai-skd`: what it understands, and how it ends.

Exit codes: 0 done; 1 `classify` could not answer every input, `pacs run --once` left a study to be tried again, the
reader of standard output has gone, or a defect of this program (with --debug: its traceback); 2 something the user can
mend, also files that `check-data` cannot use; 3 `check-data` found a leak; 130 interrupted; 143 ended by SIGTERM, in
the same order.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import NoReturn, get_args

from MonaiSKD import __version__, commands, events
from MonaiSKD.choices import HeatmapFormat, Modality, PacsAction, Precision
from MonaiSKD.ending import Terminated, ending_in_order
from MonaiSKD.errors import SKDError

INTERRUPTED, TERMINATED = 130, 143
_MODALITIES = get_args(Modality)
# How a stream may treat what its encoding lacks without an error; surrogateescape is for names of files alone.
_LENIENT = ("backslashreplace", "ignore", "namereplace", "replace", "xmlcharrefreplace")


def run() -> NoReturn:
    """The whole process: the command, and its end."""
    code = main()
    if code in (INTERRUPTED, TERMINATED):
        # Threads of the libraries may still be in the middle of something, or wait for a lock that the interrupted main
        # thread has kept. Python's own end would then be an abort, the signal itself, or no end at all.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # the reader has gone, or it is closed
                stream.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    _open_streams()
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("highdicom").setLevel(logging.WARNING)  # it reports every module that it copies
    heard = getattr(options, "events", False)
    telling = events.telling(options.command.__name__.replace("_", "-")) if heard else nullcontext()
    with ending_in_order(), telling:
        return _run(options)


def _open_streams() -> None:
    """Let a closed standard stream (`>&-`) lead nowhere, and what an encoding lacks be written as an escape.

    A closed one is none, and the next file opened would take its number. Names of files and classes may hold anything.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, errors="backslashreplace"))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors not in _LENIENT:
            stream.reconfigure(errors="backslashreplace")


def _run(options: argparse.Namespace) -> int:
    try:
        code = int(options.command(options) or 0)
        events.emit("end", code=code)
        print(end="", flush=True)  # here, where it is expected that the reader has gone; not when Python ends
        return code
    except KeyboardInterrupt as stopped:
        goes_on = (
            "; the same command goes on from the last epoch"
            if options.command in (commands.train, commands.demo)
            else ""
        )
        return _failed(f"interrupted{goes_on}", TERMINATED if isinstance(stopped, Terminated) else INTERRUPTED)
    except BrokenPipeError:  # the reader of standard output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return commands.UNANSWERED
    except Exception as error:
        if options.debug:
            raise
        known = mendable(error)
        if known is not None:
            return _failed(str(known), known.exit_code, thing=known.thing, cause=known.cause, remedy=known.remedy)
        while isinstance(error.__cause__, Exception):  # MONAI wraps what happens in its configurations
            error = error.__cause__
        return _failed(f"internal error ({type(error).__name__}: {error}). Run again with --debug and report it.", 1)


def mendable(error: BaseException | None) -> SKDError | None:
    """The problem the user can mend behind an error: MONAI and worker processes wrap what they meet."""
    while error is not None:
        if isinstance(error, SKDError):
            return error
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("MonaiSKD"):
            remedy = "Run: python -m pip install 'monai-skd[train]'"
            return SKDError(error.name, "it is not installed", remedy, code="not_installed")
        if isinstance(error, OSError) and error.errno in (28, 122):
            return SKDError(error.filename or "the disk", "it is full", "Free some space, then run the command again")
        error = error.__cause__ or error.__context__
    return None


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="monai-skd", description="Small, honest medical-image classifiers.")
    parser.add_argument("--version", action="version", version=f"monai-skd {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=text, description=text)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        command.set_defaults(command=function)
        return command

    _add_classify(add("classify", commands.classify, "Classify images, series and folders with a model file."))
    _add_train(add("train", commands.train, "Train a small classifier on labelled images."))
    command = add("export", commands.export, "Write a trained classifier as one self-contained model file.")
    command.add_argument("run", metavar="RUN", help="run folder of a training")
    command.add_argument("--out", metavar="FILE", required=True, help="by convention model.onnx")
    command.add_argument("--precision", default="float16", choices=get_args(Precision), help="of the weights")
    command = add("evaluate", commands.evaluate, "Measure a trained classifier on labelled images.")
    command.add_argument("model", metavar="MODEL", help="run folder, .onnx file, or a bundle's short name")
    command.add_argument("data", metavar="DATA", help="folder, CSV or MONAI datalist")
    text = (
        "default: test. Where DATA gives no splits they are drawn, and measured only if DATA is what the model was "
        "trained on; of other data, give all if the model has never seen them (a bundle's model takes all by itself)"
    )
    command.add_argument("--split", choices=["train", "val", "test", "all"], help=text)
    command.add_argument("--json", metavar="FILE", help="write the metrics there")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    command = add("check-data", commands.check_data, "Count, find unreadable files, duplicates, leaks and shortcuts.")
    command.add_argument("data", metavar="DATA", help="folder, CSV or MONAI datalist")
    text = "how the images are read (default: %(default)s)"
    command.add_argument("--modality", default="chest_xray", choices=_MODALITIES, help=text)
    command.add_argument("--json", metavar="FILE", help="write the report there")
    _add_events(command)
    command = add("select", commands.select, "Write the plan by which a student takes weights of a teacher.")
    command.add_argument("teacher", metavar="TEACHER", help="timm name of the large network")
    command.add_argument("student", metavar="STUDENT", help="timm name of the small network")
    command.add_argument("--out", metavar="FILE", required=True, help="plan (JSON)")
    command.add_argument("--depth", default="first", choices=["first", "uniform", "ends"])
    text = "not importance: a network's name alone has no weights to rank (train can: --set selection#width=importance)"
    command.add_argument(
        "--width", default="uniform", choices=["uniform", "consecutive", "random", "shuffled"], help=text
    )
    command.add_argument("--heads", default="whole", choices=["whole", "interleaved"])
    command.add_argument("--phase", type=int, default=0, choices=[0, 1], help="1: the complementary plan")
    add("bundles", commands.bundles, "List the bundles.")
    command = add("label-app", commands.label_app, "Write the app folder for MONAI Label's server.")
    command.add_argument("--out", metavar="DIR", required=True, help="what `monailabel start_server --app` takes")
    _add_pacs(add("pacs", commands.pacs, "Take studies from a PACS and answer each with a DICOM SR (docs/pacs.md)."))
    command = add("phantoms", commands.phantoms, "Write procedural images to try things with (no medical meaning).")
    command.add_argument("modality", choices=_MODALITIES)
    command.add_argument("out", metavar="DIR")
    command.add_argument("--per-class", metavar="N", type=int, nargs=3, default=(80, 20, 40), help="train, val, test")
    command.add_argument("--size", type=int, default=192)
    command.add_argument("--seed", type=int, default=0)
    command = add("demo", commands.demo, "Train on phantoms from a real teacher, start to end, in a few minutes.")
    command.add_argument("--out", metavar="DIR", default="demo")
    command.add_argument("--modality", default="brain_mri", choices=_MODALITIES)
    return parser


def _add_train(command: argparse.ArgumentParser) -> None:
    command.add_argument("bundle", metavar="BUNDLE", help=f"{', '.join(_MODALITIES)}, or a bundle folder")
    command.add_argument("data", metavar="DATA", help="folder, CSV or MONAI datalist")
    command.add_argument("--out", metavar="DIR", required=True, help="run folder; an interrupted run there goes on")
    command.add_argument(
        "--teacher", metavar="NAME|FILE", help="timm name, weights file of the bundle's teacher, or NAME=FILE"
    )
    command.add_argument("--student", metavar="NAME", help="timm name of the small network")
    command.add_argument("--image-size", type=int, metavar="N", help="side in pixels")
    command.add_argument("--epochs", type=int, metavar="N", help="epochs of stage 1")
    command.add_argument("--seed", type=int, metavar="N")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    command.add_argument("--unlabeled", metavar="DIR", help="further images without labels, none of val or test")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="any entry of train.json")
    _add_events(command)


def _add_pacs(command: argparse.ArgumentParser) -> None:
    text = "run the service; list its queue; retry what was unanswerable"
    command.add_argument("action", metavar="ACTION", choices=get_args(PacsAction), help=text)
    command.add_argument("config", metavar="CONFIG.toml", help="what is asked, of whom, with which model")
    command.add_argument("keys", metavar="KEY", nargs="*", help="of studies, for retry; all without")
    command.add_argument("--once", action="store_true", help="run: take in what there is, try it, and end (for cron)")
    command.add_argument("--json", action="store_true", help="list: one JSON object a line")
    command.add_argument("--identify", action="store_true", help="list: show Study Instance UIDs")


def _add_events(command: argparse.ArgumentParser) -> None:
    text = "for programs: JSON lines on standard output; end when standard input does"
    command.add_argument("--events", action="store_true", help=text)


def _add_classify(command: argparse.ArgumentParser) -> None:
    command.add_argument("model", metavar="MODEL", help="bundle's short name, run folder, or .onnx file")
    text = "DICOM, NIfTI, NRRD, PNG, JPEG, TIFF; folders; or @FILE, a text file (UTF-8) with one path a line"
    command.add_argument("paths", metavar="PATH", nargs="+", help=text)
    command.add_argument("--recursive", action="store_true", help="walk folders below the named ones, too")
    command.add_argument("--gather", action="store_true", help="join DICOM files that are named singly by series")
    command.add_argument("--json", action="store_true", help="one JSON object a line instead of text")
    command.add_argument("--csv", metavar="FILE", help="write a table")
    command.add_argument("--heatmaps", metavar="DIR", help="save where the evidence lies")
    command.add_argument(
        "--heatmap-format",
        default="png",
        choices=get_args(HeatmapFormat),
        help="the latter two are DICOM objects; what is not DICOM gets a PNG",
    )
    command.add_argument("--sr", metavar="DIR", help="write a DICOM SR per study")
    command.add_argument("--report", metavar="FILE.html", help="write a page with pictures")
    command.add_argument("--explain", action="store_true", help="say what was done to each image, and all warnings")
    command.add_argument("--identify", action="store_true", help="write patient names and numbers into the outputs")
    command.add_argument("--threads", type=_positive, metavar="N", help="inputs at once (all processors)")
    command.add_argument("--provider", default="auto", metavar="NAME", help="auto, cpu, cuda, openvino, ...")
    _add_events(command)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _failed(text: str, code: int, **parts: str) -> int:
    events.emit("error", code=code, message=text, **parts)
    print(f"monai-skd: {text}", file=sys.stderr)
    return code
