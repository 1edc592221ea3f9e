"""The command `select`: a plan in a file."""

import json

import pytest

from MonaiSKD.cli import main


def test_select_writes_a_plan(tmp_path, capsys):
    assert main(["select", "tf_efficientnet_lite2", "tf_efficientnet_lite_xs", "--out", str(tmp_path / "p.json")]) == 0
    assert json.loads((tmp_path / "p.json").read_text())["teacher"] == "tf_efficientnet_lite2"
    assert "conv_stem.weight" in capsys.readouterr().out


def test_there_are_two_complementary_plans(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["select", "tf_efficientnet_lite2", "tf_efficientnet_lite_xs", "--out", "p.json", "--phase", "5"])
    assert stop.value.code == 2
    assert "--phase: invalid choice: 5 (choose from 0, 1)" in capsys.readouterr().err


def test_select_says_why_it_does_not_rank(capsys):
    with pytest.raises(SystemExit):
        main(["select", "--help"])
    assert "not importance: a network's name alone has no weights to rank" in " ".join(capsys.readouterr().out.split())
