import pytest
import torch
from torch import nn

from MonaiSKD.engines import AutocastInferer, resolve_device, resolve_precision
from MonaiSKD.errors import SKDError

CPU = torch.device("cpu")
DEPTHWISE = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))


def test_a_named_format_is_taken_and_an_unknown_one_refused():
    assert resolve_precision("bfloat16", CPU, DEPTHWISE) is torch.bfloat16
    with pytest.raises(SKDError, match="float8"):
        resolve_precision("float8", CPU, DEPTHWISE)


def test_depthwise_convolutions_stay_in_float32_on_cpus():
    assert resolve_precision("auto", CPU, DEPTHWISE) is torch.float32


def test_the_device_cpu_is_always_there():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["foo", "cpu:one"])
def test_a_device_that_pytorch_does_not_know_is_refused(name):
    with pytest.raises(SKDError, match=f"device '{name}'.*auto, cpu or cuda"):
        resolve_device(name)


def test_the_inferer_computes_in_its_format_and_returns_float32():
    seen = []
    network = nn.Linear(3, 2)
    network.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    result = AutocastInferer(torch.bfloat16)(torch.ones(1, 3), network)
    assert seen == [torch.bfloat16]
    assert result.dtype == torch.float32
    assert torch.equal(AutocastInferer()(torch.ones(1, 3), network), network(torch.ones(1, 3)))
