"""Before the labels: students come closer to the teacher, heads learn nothing, and the averages start from there."""

import torch

from MonaiSKD.distillation import EMATeachers
from MonaiSKD.distillation.features import feature_loss
from MonaiSKD.engines import feature_stage
from MonaiSKD.models import Classifier
from MonaiSKD.models.pair import StudentPair


def network(name: str, seed: int) -> Classifier:
    torch.manual_seed(seed)
    return Classifier(name, 2, 32)


def batches() -> torch.utils.data.DataLoader:
    generator = torch.Generator().manual_seed(0)
    rows = [
        {"image": torch.rand(1, 32, 32, generator=generator), "label": -1, "index": index, "epoch": 0}
        for index in range(16)
    ]
    return torch.utils.data.DataLoader(rows, batch_size=8)


def test_students_learn_features_from_images_without_labels(tmp_path):
    teacher = network("test_vit", 9).requires_grad_(False)
    pair = StudentPair([network("test_vit", 0)], teacher.num_features)
    ema = EMATeachers(pair.students)
    head = pair.students[0].backbone.get_classifier().weight.detach().clone()
    images = torch.rand(8, 1, 32, 32, generator=torch.Generator().manual_seed(1))

    def distance() -> float:
        with torch.no_grad():
            return float(
                feature_loss(pair.eval().members[0](images).tokens, teacher.eval().forward_tokens(images).tokens)
            )

    before = distance()
    stage = feature_stage(
        pair, teacher, batches(), epochs=20, learning_rate=0.003, output_dir=tmp_path,
        device=torch.device("cpu"), weight_decay=0.0, quiet=True,
    )  # fmt: skip
    stage.run()
    assert distance() < 0.8 * before
    assert torch.equal(pair.students[0].backbone.get_classifier().weight, head)
    assert {name for name in stage.means.history[0] if "/" in name} == {"0/features"}
    assert list((tmp_path / "logs" / "features").glob("events.out.tfevents.*"))

    weight = "backbone.patch_embed.proj.weight"
    assert not torch.equal(ema.state_dict()[f"teachers.0.{weight}"], pair.students[0].state_dict()[weight])
    ema.restart(pair.students)
    assert torch.equal(ema.state_dict()[f"teachers.0.{weight}"], pair.students[0].state_dict()[weight])
