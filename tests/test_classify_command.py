"""`monai-skd classify` and `export` as their users meet them: exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import jsonschema
import pytest
from known_images import png, radiograph
from tinymodel import write_tiny_model

import MonaiSKD.bundle
from MonaiSKD.cli import main
from MonaiSKD.errors import SKDError
from MonaiSKD.reporting import schema
from MonaiSKD.runtime import Classifier

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture
def classify(model, capsys):
    """Run the command in this process; its exit code, standard output and standard error."""

    def classify(*arguments: object, model: object = model) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["classify", str(model), *map(str, arguments)])
        return code, *capsys.readouterr()

    return classify


def child(*arguments: object, environ: dict[str, str] | None = None, **streams) -> subprocess.Popen:
    command = [sys.executable, "-m", "MonaiSKD", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8", **streams}
    # Where output is not buffered it cannot be lost in a buffer: users' output is.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment | (environ or {}), preexec_fn=_listens_to_ctrl_c, **streams
    )


def _listens_to_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def damaged(path: Path) -> Path:
    path.write_bytes(png(path).read_bytes()[:-26])
    return path


def test_everything_answered_is_0_and_text_ends_with_research_only(classify, tmp_path):
    code, out, err = classify(png(tmp_path / "a.png", 204), png(tmp_path / "b.png"))
    assert (code, err) == (0, "")
    assert "bright, 0.80" in out
    assert out.splitlines()[-1] == "Research only, not for clinical use."


def test_one_failure_is_1_and_the_others_are_answered(classify, tmp_path):
    code, out, err = classify("--json", damaged(tmp_path / "a.png"), png(tmp_path / "b.png"), tmp_path / "gone.png")
    rows = [json.loads(line) for line in out.splitlines()]
    for row in rows:
        jsonschema.validate(row, schema(), cls=jsonschema.Draft202012Validator)
    assert (code, err) == (1, "")
    assert ["label" in row for row in rows] == [False, True, False]
    assert rows[2]["error"]["code"] == "not_found"
    assert rows[2]["error"]["message"] == "cannot be read (No such file or directory)"


def test_an_image_that_is_not_typical_is_an_answer(classify, tmp_path):
    code, out, _ = classify(png(tmp_path / "a.png", 255))
    assert code == 0
    assert "NOT RELIABLE" in out


def refused(answer: tuple[int, str, str], words: str) -> None:
    code, out, err = answer
    assert (code, out) == (2, "")
    (sentence,) = err.splitlines()
    assert sentence.startswith("monai-skd: ")
    assert words in sentence


def test_what_the_user_can_mend_is_2_and_one_sentence(classify, tmp_path):
    picture = png(tmp_path / "a.png")
    (tmp_path / "foreign.onnx").write_bytes(b"foreign")
    (tmp_path / "empty").mkdir()
    refused(classify(picture, model=tmp_path / "none.onnx"), "there is no such file, run folder or bundle")
    refused(classify(picture, model=tmp_path / "foreign.onnx"), "is not a model file of this package")
    refused(classify(picture, model=tmp_path / "empty"), "holds no model.onnx")
    refused(classify(tmp_path / "empty"), "there is no image")
    refused(classify(picture, "--provider", "abacus"), "provider 'abacus': it is unknown")
    refused(classify(picture, "--csv", picture / "t.csv"), "cannot be written")


def test_no_output_replaces_what_is_read_or_another_output(classify, tmp_path):
    a, b, model = png(tmp_path / "a.png"), png(tmp_path / "in" / "b.png"), tmp_path / "model.onnx"
    write_tiny_model(model)
    listed, results, folder = tmp_path / "list.txt", tmp_path / "t", tmp_path / "folder"
    listed.write_text(f"{a}\n")
    folder.mkdir()
    (tmp_path / "link.csv").symlink_to(a)
    before = {path: path.read_bytes() for path in (a, b, model, listed)}
    lost = "it is an input or part of the model, and would be lost"
    for options, words in [
        ([a, "--csv", a], f"{a}: {lost}"),
        ([a, tmp_path / "in", "--report", b], f"{b}: {lost}"),
        ([f"@{listed}", "--csv", listed], f"{listed}: {lost}"),
        ([f"@{listed}", "--report", a], f"{a}: {lost}"),
        ([a, "--csv", model], f"{model}: {lost}"),
        ([a, "--csv", tmp_path / "link.csv"], f"link.csv: {lost}"),
        ([a, "--csv", results, "--report", results], "is named for the table and for the page. Name two files."),
        ([a, "--csv", folder], f"{folder}: cannot be written, since it is a folder. Name a file."),
        ([a, "--report", folder], f"{folder}: cannot be written, since it is a folder. Name a file."),
        ([a, "--csv", folder, "--heatmaps", folder], f"{folder}: cannot be written, since it is a folder."),
    ]:
        refused(classify(*options, model=model), words)
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(tmp_path.rglob("*"))) == 7


def test_no_output_replaces_a_file_of_the_run_but_results_may_lie_there(classify, tmp_path):
    run, picture = tmp_path / "run", png(tmp_path / "a.png")
    run.mkdir()
    write_tiny_model(run / "model.onnx")
    for name in ("model.pt", "config.json", "report.html"):
        (run / name).write_text("of the run")
    for option, name in [("--report", "report.html"), ("--csv", "config.json"), ("--csv", "model.onnx")]:
        refused(classify(picture, option, run / name, model=run), "it is an input or part of the model")
    for _ in range(2):
        assert classify(picture, "--csv", run / "t.csv", model=run)[0] == 0
    assert (run / "report.html").read_text() == "of the run"


def test_a_table_that_is_written_through_a_link_leaves_the_link(classify, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "t.csv").symlink_to("real/t.csv")
    for _ in range(2):
        assert classify(png(tmp_path / "a.png"), "--csv", tmp_path / "t.csv")[0] == 0
    assert (tmp_path / "t.csv").is_symlink()
    assert len((tmp_path / "real" / "t.csv").read_text().splitlines()) == 2


def test_a_list_without_a_path_is_named(classify, tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    refused(classify(f"@{tmp_path / 'empty.txt'}"), f"monai-skd: {tmp_path / 'empty.txt'}: lists no path. ")
    assert classify(png(tmp_path / "a.png"), f"@{tmp_path / 'empty.txt'}")[0] == 0


def test_a_bundle_without_a_model_says_how_to_train_one(classify, tmp_path, monkeypatch):
    configs = tmp_path / "knee_classification" / "configs"
    configs.mkdir(parents=True)
    for name in ("train", "metadata"):
        (configs / f"{name}.json").write_text("{}")
    monkeypatch.setattr(MonaiSKD.bundle, "bundles_folder", lambda: tmp_path)
    refused(classify(png(tmp_path / "a.png"), model="knee"), "monai-skd train knee DATA --out RUN")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threads", "0"], "--threads: '0' is no whole number from 1"),
        (["--threads", "x"], "--threads: 'x' is no whole number from 1"),
        (["--heatmap-format", "gif"], "--heatmap-format: invalid choice: 'gif'"),
        (["--colour"], "--colour"),
    ],
)
def test_an_option_that_is_not_understood_is_2(model, tmp_path, options, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["classify", str(model), str(tmp_path), *options])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "usage: monai-skd" in error
    assert words in error


def test_without_a_path_there_is_nothing_to_classify(model, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["classify", str(model)])
    assert stop.value.code == 2
    assert "PATH" in capsys.readouterr().err


def test_every_output_at_once(classify, tmp_path):
    radiograph(tmp_path / "in" / "sub" / "a.dcm", PatientName="Secret^Person")
    png(tmp_path / "in" / "b.png")
    (tmp_path / "in" / "notes.txt").write_text("none")
    out = tmp_path / "out"
    files = ["--csv", out / "t.csv", "--report", out / "p.html", "--sr", out / "sr", "--heatmaps", out / "heat"]
    options = ["--json", "--recursive", "--explain", "--threads", "2", "--provider", "cpu"]
    code, lines, err = classify(tmp_path / "in", *options, *files, "--heatmap-format", "secondary-capture")
    assert code == 0
    rows = [json.loads(line) for line in lines.splitlines()]
    assert sorted(Path(row["heatmap"][0]).suffix for row in rows) == [".dcm", ".png"]
    assert sorted(path.name for path in out.iterdir()) == ["heat", "p.html", "sr", "t.csv"]
    assert len((out / "t.csv").read_text(encoding="utf-8").splitlines()) == 3
    notes = err.splitlines()
    assert notes[0] == "1 file is no image and was left out"
    assert notes[1].startswith(f"DICOM SR: {out / 'sr'}")
    assert notes[2].startswith(f"no DICOM SR for {tmp_path / 'in' / 'b.png'}: ")
    assert "Secret" not in lines + err + (out / "t.csv").read_text() + (out / "p.html").read_text()
    _, lines, _ = classify(tmp_path / "in", "--json", "--recursive", "--identify")
    assert "Secret^Person" in lines


def test_a_defect_is_1_and_shows_its_traceback_only_with_debug(classify, tmp_path, monkeypatch):
    def defect(*_: object, **__: object) -> None:
        try:
            raise ZeroDivisionError("oh")
        except ZeroDivisionError as error:
            raise RuntimeError("in MONAI's words") from error

    monkeypatch.setattr(Classifier, "each", defect)
    code, out, err = classify(png(tmp_path / "a.png"))
    assert (code, out) == (1, "")
    assert "internal error (ZeroDivisionError: oh)" in err
    assert "Traceback" not in err
    with pytest.raises(RuntimeError, match="in MONAI's words"):
        classify(tmp_path / "a.png", "--debug")


def test_interrupted_the_sentence_is_not_about_training(classify, tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Classifier, "each", interrupted)
    assert classify(png(tmp_path / "a.png")) == (130, "", "monai-skd: interrupted\n")


def test_a_child_process_writes_json_lines_alone_to_standard_output(model, tmp_path):
    paths = [png(tmp_path / "Röntgen 日本.png"), damaged(tmp_path / "b.png")]
    process = child("classify", model, *paths, "--json", environ={"PYTHONIOENCODING": "ascii"})
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["input"] for row in rows] == [str(path) for path in paths]


def test_what_another_program_wrote_meanwhile_is_not_replaced_and_no_answer_is_lost(model, tmp_path):
    table, page = tmp_path / "t.csv", tmp_path / "p.html"
    outputs = ["--csv", table, "--report", page]
    process = child("classify", model, *[png(tmp_path / "a.png")] * 300, "--json", *outputs, "--threads", 2)
    assert process.stdout.readline()  # the pipe is full before the end, so the child waits
    for file in (table, page):
        file.write_text("theirs")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    said = "was written by another program meanwhile, and is left as it is. The page of this run is"
    assert err == f"monai-skd: {page}: {said} {tmp_path / 'p.partial.html'}.\n"
    assert (table.read_text(), page.read_text()) == ("theirs", "theirs")
    assert len(Path(f"{table}.partial").read_text().splitlines()) == 301
    assert (tmp_path / "p.partial.html").stat().st_size > 100_000


def test_sigterm_is_143_and_keeps_the_page_and_the_rows(model, tmp_path):
    out = tmp_path / "out"
    outputs = ["--csv", out / "t.csv", "--report", out / "p.html", "--heatmaps", out / "heat"]
    process = child("classify", model, *[png(tmp_path / "a.png")] * 300, "--json", *outputs, "--threads", 2)
    assert process.stdout.readline()
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "monai-skd: interrupted\n")
    assert sorted(path.name for path in out.iterdir()) == ["heat", "p.partial.html", "t.csv.partial"]
    assert "Interrupted." in (out / "p.partial.html").read_text()
    assert 2 <= len((out / "t.csv.partial").read_text().splitlines()) < 301
    assert [path.suffix for path in (out / "heat").iterdir()] == [".png"]
    assert next((out / "heat").iterdir()).name.startswith("a-")


def test_where_standard_output_is_closed_the_other_outputs_are_written(model, tmp_path):
    def closed() -> None:
        for stream in (0, 1, 2):
            os.close(stream)

    command = [sys.executable, "-m", "MonaiSKD", "classify", str(model), str(png(tmp_path / "a.png"))]
    command += ["--csv", str(tmp_path / "t.csv")]
    done = subprocess.run(command, cwd=ROOT, preexec_fn=closed, timeout=60)
    assert done.returncode == 0
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 2


def test_ctrl_c_is_130_and_keeps_the_rows_that_were_written(model, tmp_path):
    table = tmp_path / "t.csv"
    process = child("classify", model, *[png(tmp_path / "a.png")] * 3000, "--json", "--csv", table, "--threads", 2)
    # The pipe is full long before the end, so the child cannot be done.
    assert json.loads(process.stdout.readline())["label"] == "dark"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "monai-skd: interrupted\n"
    assert not table.exists()
    rows = Path(f"{table}.partial").read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("input,label,")
    assert 2 <= len(rows) < 3000
    assert rows[1].startswith(f"{tmp_path / 'a.png'},dark,")


# Ctrl-C as it once came: within the semaphore of ThreadPoolExecutor.submit, whose lock then stays held.
WITHIN_A_LOCK = """
import sys, threading

class Interrupted(threading.Semaphore):
    asked = 0

    def acquire(self, *arguments, **options):
        Interrupted.asked += 1
        if Interrupted.asked == 2:
            self._cond.acquire()
            print("held", file=sys.stderr)
            raise KeyboardInterrupt
        return super().acquire(*arguments, **options)

threading.Semaphore = Interrupted
from MonaiSKD.cli import run
run()
"""


def test_ctrl_c_within_a_lock_of_the_thread_pool_ends_the_command(model, tmp_path):
    paths = [str(png(tmp_path / "a.png"))] * 20
    command = [sys.executable, "-c", WITHIN_A_LOCK, "classify", str(model), *paths, "--threads", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "held\nmonai-skd: interrupted\n")


def test_when_the_reader_has_gone_nothing_is_said(model, tmp_path):
    process = child("classify", model, *[png(tmp_path / "a.png")] * 2000)
    assert process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (1, "")


def test_when_the_reader_has_gone_before_a_short_answer_nothing_is_said(model, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    process = child("classify", model, png(tmp_path / "a.png"), stdout=writer)
    os.close(writer)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 1


@pytest.fixture
def export(monkeypatch):
    """Stands for the function that writes model files, which tests/export tests; what it was asked."""
    asked = []

    def export(run: str, out: str, precision: str) -> Path:
        asked.append((run, out, precision))
        if run == "none":
            raise SKDError(run, "is no run folder", "Train one")
        Path(out).write_bytes(bytes(1_240_000))
        return Path(out)

    module = types.ModuleType("MonaiSKD.export.run")
    module.export = export
    monkeypatch.setitem(sys.modules, "MonaiSKD.export.run", module)
    return asked


def test_export_says_what_it_wrote_and_how_large_it_is(export, tmp_path, capsys):
    out = tmp_path / "model.onnx"
    assert main(["export", "runs/first", "--out", str(out)]) == 0
    assert main(["export", "runs/first", "--out", str(out), "--precision", "int8"]) == 0
    assert export == [("runs/first", str(out), precision) for precision in ("float16", "int8")]
    assert capsys.readouterr().out == f"{out}: 1.2 MB\n" * 2


def test_export_of_what_is_no_run_is_2_and_one_sentence(export, tmp_path, capsys):
    assert main(["export", "none", "--out", str(tmp_path / "model.onnx")]) == 2
    assert capsys.readouterr() == ("", "monai-skd: none: is no run folder. Train one.\n")


@pytest.mark.parametrize("options", [[], ["--out", "m.onnx", "--precision", "int4"]])
def test_export_needs_a_file_and_a_known_precision(export, options, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["export", "runs/first", *options])
    assert stop.value.code == 2
    assert "usage: monai-skd export" in capsys.readouterr().err
    assert export == []
