"""Nothing leaves this computer: ONNX Runtime's telemetry never starts."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import MonaiSKD

PACKAGE = Path(MonaiSKD.__file__).parent


def test_classifying_leaves_no_trace_of_telemetry(tiny_model, tmp_path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    code = f"""if True:
        import os
        from MonaiSKD import Classifier
        Classifier({str(tiny_model)!r})
        print(os.environ["ORT_DISABLE_TELEMETRY"])"""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert [path for path in tmp_path.rglob("*") if "onnxruntime" in path.name or "Microsoft" in path.name] == []


def test_onnxruntime_is_imported_in_one_place_alone() -> None:
    importing = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "onnxruntime" for name in names):
                importing.add(file.name)
    assert importing == {"quiet_onnxruntime.py"}
