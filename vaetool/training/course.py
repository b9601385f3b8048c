"""The images that a run trains on or, if these are noisy themselves, the model's results for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vaetool.errors import UsageError
from vaetool.nn.base import Batch, Model
from vaetool.training.config import Recipe
from vaetool.training.data import store_of
from vaetool.training.preparation import Images

LESSON_CROPS = 64
LESSON_SIZE = 256  # pixels a side, or as large as the smallest image
SCALES = (1.0, 0.6)  # cleaned images lack detail from pixel to pixel, but not at a smaller size


class Course:
    """The images of a run, their corruption, and the batch for measurements.

    Each lesson, if the model has any, changes images and corruption; only the first one changes the batch. `teachers`
    are the weights that each lesson began with, by its number: they determine it.
    """

    def __init__(
        self, model: Model, images: Images, recipe: Recipe, generator: Callable[[str], torch.Generator]
    ) -> None:
        self.lessons, self.begun = model.lessons(recipe.corruption), 0
        self.teachers: dict[int, dict[str, Tensor]] = {}
        if self.lessons and recipe.data.pairs:
            raise UsageError("--pairs or --noisy-only? Pairs of two exposures need no clean images either")
        self.images, self.generator = images, generator
        self.training, self.corruption = images.training, recipe.corruption
        self.size = max(recipe.training.crops)
        self.held_out: Batch = {}
        if not self.lessons:
            clean = images.held_out.centre_crops(self.size)
            self.held_out = model.corrupt(clean, generator("held out"), recipe.corruption)

    def go_on(self, model: Model, fraction: float) -> bool:
        """Begin the next lesson with a model if it is due at a fraction of the run; return whether it is."""
        due = sum(start <= fraction for start in self.lessons)
        if due <= self.begun:  # below: in a run that was resumed with a longer budget
            return False
        self.teachers[due] = {name: values.clone() for name, values in model.state_dict().items()}
        self._begin(due, model)
        return True

    def repeat(self, model: Model, teachers: dict[int, dict[str, Tensor]]) -> None:
        """Repeat the lessons of a resumed run by loading their teachers, in turn, into a model."""
        for number, teacher in sorted(teachers.items()):
            model.load_state_dict(teacher)
            self.teachers[number] = teacher
            self._begin(number, model)

    def _begin(self, number: int, teacher: Model) -> None:
        self.begun = number
        noisy = self.images.training
        size = min(LESSON_SIZE, int(noisy.sizes.min())) // teacher.stride * teacher.stride
        generator = self.generator(f"lesson {number}")
        crops = noisy.random_crops(LESSON_CROPS, size, generator, augment=False, mirror=False)
        clean, self.corruption = teacher.lesson(crops, self.corruption)
        self.training = store_of(clean, SCALES, self.size)
        if not self.held_out:
            images = self.images.held_out.centre_crops(self.size)
            self.held_out = teacher.exam(images, self.corruption, self.generator("held out"))
