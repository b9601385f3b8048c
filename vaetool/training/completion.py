"""Completion of a model file at the end of training, with facts about the model."""

from __future__ import annotations

from pathlib import Path

import torch

from vaetool.nn.base import Batch
from vaetool.store import weights
from vaetool.training.config import Recipe
from vaetool.training.preparation import Images


def complete_file(
    path: Path, output: Path, images: Images, held_out: Batch, recipe: Recipe, generator: torch.Generator
) -> list[str]:
    """Complete the model in a file (see `Model.complete`) and write it to `output` with the findings.

    Returns the findings in words. Raises WeightsError, FileError.
    """
    model = weights.load(path, device=str(generator.device))
    words, values = model.complete(images, held_out, recipe.corruption, generator)
    weights.save(output, model, weights.read_header(path).training | values)
    return words
