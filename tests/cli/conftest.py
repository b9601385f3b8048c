"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finder(tmp_path_factory, digit_folders) -> Path:
    """A model that finds places, of random weights: it knows nothing, but has maps."""
    import torch

    from vaetool.scoring import detection
    from vaetool.scoring.defect import Defect, DefectConfig
    from vaetool.scoring.heatmaps import levels
    from vaetool.store import weights

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Defect(DefectConfig(channels=1, size=32, widths=(4, 8)))
    images = sorted(digit_folders.rglob("*.png"))
    logits = torch.cat([model.examine(model.prepare(path)[None])[1].detach() for path in images[:20]])
    model.good_levels.copy_(torch.from_numpy(levels(logits.numpy())))
    detection.calibrate(model.eval(), images)
    path = tmp_path_factory.mktemp("finders") / "finder.safetensors"
    weights.save(path, model, {"data": []})
    return path
