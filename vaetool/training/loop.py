"""The one training loop, for every kind: corrupt → encode → (sample) → decode → compare.

The random numbers of a step depend on (seed, step) alone, so a run that was killed and resumed, or shared by several
processes, takes the same steps as an ordinary one.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaetool.errors import TrainingError, UsageError
from vaetool.nn.base import Batch, Model
from vaetool.store import weights
from vaetool.store.kinds import kinds_with_codes
from vaetool.training import checkpoints
from vaetool.training.adversarial import Adversary
from vaetool.training.checkpoints import Progress, Result
from vaetool.training.completion import complete_file
from vaetool.training.config import Recipe, TrainingConfig, read_recipe
from vaetool.training.course import Course
from vaetool.training.distributed import Processes, is_first_process, join_processes
from vaetool.training.flags import sections_of
from vaetool.training.interruptions import Interruptions
from vaetool.training.optimizers import follow, learning_rate_factor, make_optimizers
from vaetool.training.prefetch import Prefetcher
from vaetool.training.preparation import batch_size, find_images, new_model, read_images, resolve, take_over
from vaetool.training.randomness import seed_for, seeded
from vaetool.training.report import Reporter
from vaetool.training.words import no_gain

WARNED_FROM = 0.5  # share of a run after which failures are reported at once: before, they may pass


def train(
    kind: str | None = None,
    data: str | Path | Iterable[str | Path] = (),
    *,
    output: str | Path,
    recipe: str | Path | Recipe | None = None,
    preset: str | None = None,
    settings: Iterable[str] = (),
    init: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    root: str | Path = ".",
    device: str = "auto",
    reporter: Reporter | None = None,
    **flags: Any,
) -> Result:
    """Fit a model to images and write it to `output`, saving as it goes.

    kind: such as "vae"; may be left to the recipe. data: folders, zip files, or `torchvision:NAME` (looked up in
    `root`).
    recipe: a recipe, or its file. preset: one of the kind's own recipes, for entries that the given one leaves open.
    flags: entries of the recipe with flags of their own (`vaetool.training.flags`), as on the command line: minutes=60,
    latent=128. settings: more entries, as "section.key=value". It takes half an hour by default. init: start from a
    model's weights, by name or path; a "mae" also from those of a "dae". resume: continue an interrupted run to the
    same `output`, which must have started from the same `init` if that is given; start one if there is none, and do
    nothing if it is finished. force: replace an existing model. reporter: shows and logs progress; nothing by default.

    The averaged weights that were best on held-out images, including those at the start, are kept; with an adversary,
    which makes that figure worse, the last ones. Raises UsageError, TrainingError, WeightsError.
    """
    places = [data] if isinstance(data, (str, Path)) else list(data)
    if not places:
        raise UsageError("which images? Name a folder, a zip file or torchvision:NAME")
    path = checkpoints.check_output(output)
    if reporter is None or not is_first_process():
        reporter = Reporter(files=False)
    with checkpoints.claimed(path) if is_first_process() else nullcontext():
        state = checkpoints.state_path(path)
        goes_on = resume and state.exists()
        first, batch = checkpoints.began_with(state) if goes_on else (init, 0)
        chosen = read_recipe(recipe, kind, settings, preset, first not in (None, ""), **sections_of(flags))
        chosen = chosen.with_batch(batch)  # of the run so far, even if its minutes change
        if resume and (result := checkpoints.finished(path, chosen.kind)) is not None:
            checkpoints.remove_state(path)
            reporter.say(f"{path} is finished, there is nothing to resume: --init trains it further, to another name")
            return result
        if not force and not resume:
            checkpoints.check_new(path)
        checkpoints.check_replaced(path, recipe, init, places)
        smallest = min(batch_size(chosen.training, size) for size in chosen.training.crops)
        with join_processes(weights.resolve_device(device), smallest) as processes:
            run = Run(chosen, places, path, processes, reporter, root)
            run.resume(init) if goes_on else run.begin(init)
            return run.run()


class Run:
    """A training run: its inputs, its state, and its steps."""

    def __init__(
        self,
        recipe: Recipe,
        places: list[str | Path],
        output: Path,
        processes: Processes,
        reporter: Reporter,
        root: str | Path = ".",
    ) -> None:
        self.places = [str(place) for place in places]
        found = find_images(recipe, self.places, root)
        self.recipe = recipe = resolve(recipe, found)
        self.config: TrainingConfig = recipe.training
        self.output, self.best = output, checkpoints.best_path(output)
        self.processes = processes
        self.device = processes.device
        self.reporter = reporter
        self.model: Model = new_model(recipe)
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.images = read_images(found.sources, recipe, self.device, reporter.warn)
        self.course = Course(self.model, self.images, recipe, self._generator)
        self.optimizers = make_optimizers(self.model, self.config)
        self.adversary = Adversary(recipe, self.model, processes) if self.config.adversarial else None
        if self.adversary is not None:
            self.optimizers.append(self.adversary.optimizer)
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.progress = Progress()
        self.gradient_norm, self.has_saved = torch.zeros(()), False

    def begin(self, init: str | Path | None = None) -> None:
        """Start from new weights, or from those of a model; an earlier run to the same output is forgotten."""
        if init is not None:
            take_over(self.model, init)
            self.average.load_state_dict(self.model.state_dict())
            self.progress.init = checkpoints.model_name(init)
        elif self.course.lessons:
            raise UsageError("--noisy-only goes on from a trained denoiser, such as --init photo-denoise")
        if self.processes.is_first:
            checkpoints.remove_state(self.output)

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        tensors = {"weights": self.model.state_dict(), "average": self.average.state_dict()}
        if self.adversary is not None:
            tensors["adversary"] = self.adversary.network.state_dict()
        return tensors | {f"{checkpoints.LESSON}{number}": kept for number, kept in self.course.teachers.items()}

    def _identity(self) -> dict[str, Any]:
        """Return everything that determines the weights, which must not change when a run is resumed."""
        return {**self.recipe.as_dict(), "images": self.images.fingerprint}

    def resume(self, init: str | Path | None = None) -> None:
        """Resume from the saved state; raise UsageError if the run started from another model than a given `init`."""
        path = checkpoints.state_path(self.output)
        self.progress, lessons = checkpoints.load_state(path, self._tensors(), self.optimizers, self._identity())
        if init is not None and checkpoints.model_name(init) != self.progress.init:
            raise UsageError(f"--init {init}: the run to be resumed began with {self.progress.init or 'new weights'}")
        self.course.repeat(copy.deepcopy(self.average), lessons)
        if not self.best.is_file():
            self.progress.best = float("-inf")
        self.progress.validations = int(self._fraction() * self.config.validations)

    def save_state(self) -> None:
        """Save everything that is needed to go on."""
        if self.processes.is_first:
            state = self._tensors(), self.optimizers, self.progress, self._identity()
            checkpoints.save_state(checkpoints.state_path(self.output), *state)
            self.has_saved = self.progress.step > 0

    def run(self) -> Result:
        """Train until the budget is spent; return the model file and its figures."""
        progress, count = self.progress, len(self.images.held_out)
        with self.reporter.open(self.recipe, self.output, self.images.training.sources, progress):
            self._fit() if self.model.closed_form else self._steps()
        if self.processes.is_first:
            codes, held_out = self._generator("codes"), self.course.held_out
            for words in complete_file(self.best, self.output, self.images, held_out, self.recipe, codes):
                self.reporter.say(words)
            for words in filter(None, (self.model.diagnose(progress.figures), no_gain(progress))):
                self.reporter.warn(words)
            self._show()
            checkpoints.remove_state(self.output)  # last: a run that is killed before can be resumed
        return Result(self.output, progress.before, progress.figures, count, progress.step, progress.seconds)

    def _show(self) -> None:
        """Report what the kept weights make of held-out pictures, and their codes."""
        best, held_out = weights.load(self.output, device=str(self.device)), self.images.held_out
        with torch.inference_mode():
            examples = best.example({name: tensor[:6] for name, tensor in self.course.held_out.items()})
        self.reporter.finished(self.model.metric, self.progress, len(held_out), examples, self.model.shown)
        if self.recipe.kind in kinds_with_codes():
            self.reporter.codes(best, list(held_out.centre_crops(self._crop(1))), held_out.labels)

    def _fit(self) -> None:
        """Fit a model of closed form, by one process alone, and measure it."""
        if self.processes.is_first:
            started = time.monotonic()
            self.reporter.say(self.average.fit(self.images.training))
            self.progress.seconds = time.monotonic() - started
        self._validate()

    def _steps(self) -> None:
        wrapped: Callable[[Batch], Any] = self.processes.wrap(self.model)
        if self.config.compile:
            wrapped = torch.compile(wrapped)
        progress = self.progress
        started = time.monotonic() - progress.seconds
        saved = time.monotonic()
        with Interruptions() as interruptions, Prefetcher(self._batch) as batches:
            self.course.go_on(self.average, self._fraction())
            if progress.best == float("-inf"):
                self.save_state()  # first, so that a run killed at any moment can be resumed
                self._validate()
            while True:
                progress.seconds = time.monotonic() - started
                fraction, save, stop = self.processes.agree(
                    self._fraction(),
                    time.monotonic() - saved >= 60 * self.config.save_minutes,
                    interruptions.noted is not None,
                )
                self._check_gradient()
                if self.course.go_on(self.average, fraction):
                    batches.discard()
                if fraction * self.config.validations >= progress.validations + 1:
                    progress.validations = int(fraction * self.config.validations)
                    if self._validate():
                        break
                    save = True
                if fraction >= 1:
                    break
                if save or stop:
                    self.save_state()
                    saved = time.monotonic()
                if stop:
                    self.reporter.interrupted(progress)
                    interruptions.act()
                losses = self._step(wrapped, batches, fraction)
                lr = self.optimizers[0].param_groups[0]["lr"]
                self.reporter.step(progress, fraction, losses, lr, self._crop(fraction))

    def _fraction(self) -> float:
        """Return the spent share of the budget, the largest if there are several budgets."""
        config, progress = self.config, self.progress
        spent = [0.0]
        if config.minutes:
            spent.append(progress.seconds / (60 * config.minutes))
        if config.steps:
            spent.append(progress.step / config.steps)
        if config.epochs:
            spent.append(progress.crops / (config.epochs * self.images.training.sources))
        return min(1.0, max(spent))

    def _crop(self, fraction: float) -> int:
        crops = self.config.crops
        return crops[min(len(crops) - 1, int(fraction * len(crops)))]

    def _generator(self, purpose: str | int) -> torch.Generator:
        """Return a random generator for a single purpose: a step, or the noise on held-out images."""
        return torch.Generator(self.device).manual_seed(seed_for(self.config.seed, purpose))

    def _batch(self, step: int, size: int) -> Batch:
        """Draw this process's share of the batch of a step, with crops of a size."""
        generator = self._generator(step)
        turned = self.model.turned and not self.model.framing.is_whole
        clean = self.course.training.random_crops(
            batch_size(self.config, size), size, generator, augment=turned, mirror=turned or self.recipe.data.mirror
        )
        return self.processes.share(self.model.corrupt(clean, generator, self.course.corruption))

    def _step(self, wrapped: Callable[[Batch], Any], batches: Prefetcher, fraction: float) -> dict[str, Tensor]:
        factor = learning_rate_factor(self.config, self.progress.step, fraction)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
        size = self._crop(fraction)
        share = batches.batch(self.progress.step, size)
        losses = self._backward(wrapped, share, fraction, self.processes.weight(batch_size(self.config, size)))
        self.gradient_norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        follow(self.average, self.model, self.config.ema, self.progress.step)
        self.progress.step += 1
        self.progress.crops += batch_size(self.config, size)
        return {name: value.detach() for name, value in losses.items()}

    def _backward(self, wrapped: Callable[..., Any], share: Batch, fraction: float, weight: float) -> dict[str, Tensor]:
        """Return the losses of this process's share of a batch, leaving their gradients in the weights."""
        adversary = self.adversary if fraction >= self.config.adversarial_from else None
        dropout = seed_for(self.config.seed, f"dropout {self.progress.step} {self.processes.rank}")
        with self.processes.precision(self.config.bf16), seeded(dropout, self.device):
            losses, fakes = wrapped(share, self.recipe.objective, fraction, adversary is not None)
        loss = losses.get("loss")
        if adversary is not None:
            verdict = adversary.verdict(loss, fakes, self.model.last_layer, fraction, weight)
            loss = verdict if loss is None else loss + verdict
            real = share.get("real", share["clean"])
            losses["discriminator"] = adversary.learn(real, fakes, self.progress.step, weight)
            losses.setdefault("loss", loss)
        (loss * weight).backward()
        for parameter in self.model.frozen_parameters(self.recipe.objective, fraction):
            parameter.grad = None  # a gradient of zero would still move it: momentum, decay
        return losses

    def _check_gradient(self) -> None:
        """Raise TrainingError if the last step's gradient is not finite.

        It is checked late, when a GPU has long computed it, but before anything is saved.
        """
        if self.gradient_norm.isfinite():
            return
        # A state that this run did not save is the one it was resumed from, which would end here again.
        advice = "continue with --resume" if self.has_saved else "start again with --force"
        raise TrainingError(
            f"the loss is no longer finite at step {self.progress.step}: {advice} and a lower "
            f"learning rate (--set training.lr={self.config.lr / 3:.2g})"
        )

    def _validate(self) -> bool:
        """Measure the averaged weights on held-out images and keep the best; return whether patience has run out."""
        progress = self.progress
        if self.processes.is_first:
            with torch.inference_mode():
                figures = self.average.validate(self.course.held_out)
            if not self.model.closed_form:
                progress.before = progress.before or figures
            value = figures[self.model.metric] * (-1 if self.model.lower_is_better else 1)
            progress.since_best += 1
            # An adversary makes a figure worse that measures likeness, though pictures become better.
            if value > progress.best or (self.adversary is not None and not self.model.only_adversary):
                progress.best, progress.since_best, progress.figures = value, 0, figures
                self._save_model()
            self.reporter.validation(progress, figures)
            if self._fraction() >= WARNED_FROM:
                self.reporter.doubt(self.model.diagnose(figures))
        progress.best, since_best = self.processes.agree(progress.best, progress.since_best)
        progress.since_best = int(since_best)
        return 0 < self.config.patience <= progress.since_best

    def _save_model(self) -> None:
        about = {
            "recipe": self.recipe.as_dict(),
            "data": [Path(place).name for place in self.places],
            "images": self.images.training.sources,
            "init": self.progress.init,
            "steps": self.progress.step,
            "seconds": round(self.progress.seconds, 1),
            "held_out": self.progress.figures,
            "doubt": self.model.diagnose(self.progress.figures),
        }
        weights.save(self.best, self.average, about)
