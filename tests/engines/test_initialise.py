"""Selected weights see the input that they were trained on; students can do what a training will ask of them."""

import pytest
import timm
import torch

from MonaiSKD.engines.initialise import initialise_students
from MonaiSKD.errors import SKDError
from MonaiSKD.models import Teacher

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def students(initialisation):
    module = timm.create_model("tf_efficientnet_lite2")
    teacher = Teacher(module, "tf_efficientnet_lite2", "made up", "none", MEAN, STD)
    # Its normalisation, by timm's configuration, is ImageNet's.
    made = initialise_students(teacher, "efficientnet_lite0", 2, 32, count=1, initialisation=initialisation)
    return made.pair.students[0]


def test_a_student_with_the_teachers_weights_has_its_normalisation_too():
    white = students("selection").prepare(torch.ones(1, 1, 32, 32))
    assert torch.allclose(white, torch.ones(1, 3, 32, 32))


def test_a_student_without_them_keeps_its_own():
    own = timm.get_pretrained_cfg("efficientnet_lite0").mean
    assert own != MEAN
    assert torch.allclose(students("random").mean.flatten(), torch.tensor(own))


@pytest.mark.parametrize("name", ["pit_ti_224", "mixer_s32_224", "levit_128s"])
def test_a_student_without_heat_maps_is_refused_before_the_training(name):
    teacher = Teacher(timm.create_model("test_vit"), "test_vit", "made up", "none", MEAN, STD)
    with pytest.raises(SKDError, match=f"^student '{name}': .*heat maps"):
        initialise_students(teacher, name, 2, 224, count=1, initialisation="random", features=False)


def test_trying_a_student_leaves_it_in_training_mode_and_its_statistics_alone():
    student = students("random")
    assert all(module.training for module in student.modules())
    assert student.backbone.bn1.running_mean.abs().max() == 0
