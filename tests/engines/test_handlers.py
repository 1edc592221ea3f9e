"""What a stage tells of its epochs is of those epochs."""

import io
import json
import logging

import pytest
import torch
from monai.engines import SupervisedEvaluator

from MonaiSKD import events
from MonaiSKD.engines import ValidationScore, supervised_stage
from MonaiSKD.models import Classifier


def batches() -> torch.utils.data.DataLoader:
    generator = torch.Generator().manual_seed(0)
    rows = [{"image": torch.rand(1, 32, 32, generator=generator), "label": index % 2} for index in range(8)]
    return torch.utils.data.DataLoader(rows, batch_size=4)


@pytest.fixture
def stage(tmp_path):
    torch.manual_seed(0)
    network = Classifier("test_vit", 2, 32)
    evaluator = SupervisedEvaluator(
        torch.device("cpu"), batches(), network, key_val_metric={"val_auc": ValidationScore("auc")}, decollate=False
    )
    return lambda **options: supervised_stage(
        "finetune", network, batches(), evaluator, torch.ones(2), 4, 0.001, tmp_path, torch.device("cpu"), **options
    )


def test_an_epoch_without_a_validation_has_no_score(stage, monkeypatch, caplog):
    told = io.StringIO()
    monkeypatch.setattr(events, "_stream", told)
    with caplog.at_level(logging.INFO, "MonaiSKD"):
        finetune = stage(interval=2, initial=True)
        finetune.run()
    assert [row["epoch"] for row in finetune.best.history] == [0, 1, 3, 4]
    lines = [record.getMessage() for record in caplog.records if record.name == "MonaiSKD"]
    assert ["validation AUC" in line for line in lines] == [True, False, True, True]
    epochs = [event for event in map(json.loads, told.getvalue().splitlines()) if event["event"] == "epoch"]
    scores = {row["epoch"]: [row["val_auc"]] for row in finetune.best.history if row["epoch"] > 0}
    assert {event["epoch"]: event["val_auc"] for event in epochs if "val_auc" in event} == scores
    assert len(epochs) == 4


def test_a_supervised_stage_clips_at_the_norm_it_is_given(stage, monkeypatch):
    norms = []
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: norms.append(norm))
    stage(max_grad_norm=0.5).run()
    assert set(norms) == {0.5}
