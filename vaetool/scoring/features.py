"""Defects by deep features: a linear VAE for every place of a picture, fitted to good pictures in seconds.

Features come from a network trained on a million photographs, at three scales (`vaetool.scoring.deep`). Normal features
of a place are a Gaussian, given a code of the whole picture (`vaetool.scoring.places`). The distance from it at the
finer scales shows where something is unusual, and its largest values at the coarser ones are the score. Pictures are
squeezed into a square.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from vaetool.errors import UsageError
from vaetool.images.conversion import squeezed, to_tensor, unpack
from vaetool.nn.backbone import STRIDE
from vaetool.nn.base import Batch, Facts, Framing, ImageStore, TrainingImages, register, stacked
from vaetool.nn.sections import NotNegative, Section
from vaetool.scoring.calibration import Calibration, calibration_of
from vaetool.scoring.deep import BATCH, GLANCE_WIDTH, SCALES, WIDTHS, DeepFeatures, extract, extract_all
from vaetool.scoring.doubts import FEW
from vaetool.scoring.drawn import Defects, add_defects
from vaetool.scoring.energies import LEARNT, PARTS, Energy, components, resized
from vaetool.scoring.examples import Copy, Examples, different_ones, extract_copies, usual_copies
from vaetool.scoring.foreign import foreign, names_in_folds
from vaetool.scoring.heatmaps import SCALE, STEPS, levels, log_p
from vaetool.scoring.labelled import learn
from vaetool.scoring.measurement import measure, take_good
from vaetool.scoring.places import Code, Places, fit_code, fit_places, packed, share_of_place, units, units_at, unpacked
from vaetool.scoring.scorer import Scorer
from vaetool.scoring.whole import Whole, fit_whole

MIN_SHARE = 0.02
"""Share of the variance of features, a quarter away from each edge, from which on places are considered different."""

MIN_FOR_FOLDS = 3
"""Minimum number of good pictures for p-values: fits to fewer could not judge the others."""

FOLDS = 10
"""Number of folds of the good pictures, each scored by a fit to the others (Barber et al. 2021)."""

ALPHA = 0.05  # level at which the share of bad pictures found is reported

SPARSE = 37
"""One in this many points of good pictures' heatmaps serves for the distribution of energies."""


@dataclass(frozen=True)
class FeaturesConfig(Section, name="model"):
    """The shape of a model of features."""

    channels: Literal[3] = 3
    size: Annotated[int, Meta(ge=64, le=1024, multiple_of=STRIDE)] = 256  # pixels a side that pictures are squeezed to
    places: Literal["auto", "differ", "alike"] = "auto"  # whether normal features depend on the place; auto: measured
    copies: tuple[Copy, ...] | Literal["auto"] = "auto"  # kinds of copies that also count as good; auto: measured
    units: Annotated[int, Meta(ge=0, le=1024)] = 0  # of the code of a picture; set by the fit
    bad: NotNegative = 0  # pictures known to be bad that the weights of the components were learnt from
    calibration: NotNegative = 0  # good images that p-values of scores are based on; 0: none yet
    statistics: tuple[str, ...] = ()  # names of the components known of each


@register("features")
class Features(Scorer):
    """The model. See the module's docstring."""

    Config = FeaturesConfig
    Corruption = Defects
    metric = "auroc"
    closed_form = True
    framing = Framing.SQUEEZED
    has_maps = can_learn = True
    methods = ("all", *PARTS)
    default_method = "all"
    defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "corruption": {"clean": 0.0},
        "data": {"held_out": 0.03},
    }
    config: FeaturesConfig
    whole_mean: Tensor
    whole_whitening: Tensor
    code_mean: Tensor
    code_directions: Tensor
    good_levels: Tensor
    learnt_weights: Tensor

    def __init__(self, config: FeaturesConfig) -> None:
        super().__init__(config)
        self.register_buffer("good_levels", torch.zeros(STEPS))
        self.register_buffer("whole_mean", torch.zeros(WIDTHS[-1]))
        self.register_buffer("whole_whitening", torch.zeros(WIDTHS[-1], WIDTHS[-1]))
        self.register_buffer("code_mean", torch.zeros(GLANCE_WIDTH))
        if config.units:
            self.register_buffer("code_directions", torch.zeros(GLANCE_WIDTH, config.units))
        for number, (width, scale) in enumerate(zip(WIDTHS, SCALES, strict=True)):
            places = (config.size // scale) ** 2
            matrices, triangle = 1 if config.places == "alike" else places, width * (width + 1) // 2
            self.register_buffer(f"spread_{number}", torch.ones(width))
            self.register_buffer(f"mean_{number}", torch.zeros(places, width))
            if config.units:
                rows = units_at(number, config.units)
                self.register_buffer(f"slope_{number}", torch.zeros(rows, places, width, dtype=torch.float16))
            self.register_buffer(f"whitening_{number}", torch.zeros(matrices, triangle, dtype=torch.float16))
        self._ready: dict[tuple[int, torch.device], Places] = {}
        if config.bad:
            self._keep_weights(torch.zeros(len(PARTS) + 1), config.bad)

    def _keep_whole(self, whole: Whole) -> None:
        self.register_buffer("whole_mean", whole.mean.to(self.device))
        self.register_buffer("whole_whitening", whole.whitening.to(self.device))

    def _keep_code(self, code: Code) -> None:
        self.register_buffer("code_mean", code.mean)
        self._keep("code_directions", code.directions)

    def _keep(self, name: str, values: Tensor) -> None:
        """Store values as a buffer unless empty, since model files hold no empty tensors."""
        if hasattr(self, name):
            delattr(self, name)
        if values.numel():
            self.register_buffer(name, values)

    def _code(self) -> Code:
        none = torch.zeros(len(self.code_mean), 0, device=self.code_mean.device)
        return Code(self.code_mean, self.code_directions if self.config.units else none)

    def _keep_places(self, number: int, places: Places, spread: Tensor) -> None:
        """Store the Gaussians of a scale, and the divisor of its features.

        Matrices, most of a model's file, are stored in half precision, as lower triangles.
        """
        self.register_buffer(f"spread_{number}", spread)
        self.register_buffer(f"mean_{number}", places.mean)
        self._keep(f"slope_{number}", places.slope.half())
        self.register_buffer(f"whitening_{number}", packed(places.whitening).half())
        self._ready.clear()

    def _places(self, number: int) -> Places:
        """Return the Gaussians of a scale, ready for use."""
        mean, whitening = (getattr(self, f"{name}_{number}") for name in ("mean", "whitening"))
        slope = getattr(self, f"slope_{number}", torch.zeros(0, *mean.shape, device=mean.device))
        key = number, mean.device
        if key not in self._ready:
            self._ready[key] = Places(mean, slope.float(), unpacked(whitening.float(), mean.shape[1]))
        return self._ready[key]

    def fit(self, images: ImageStore) -> str:
        """Fit the model to good pictures and calibrate it with them, in folds; return the findings in words."""
        different, left_out = different_ones(images)
        images = images.part(different)
        pictures = extract_all(images, self.config.size)
        side = self.config.size // SCALES[1]
        inside = slice(side // 4, side - side // 4)  # places at the edge are recognisable by their features
        share = share_of_place(pictures.scales[1].unflatten(1, (side, side))[:, inside, inside].flatten(1, 2))
        if self.config.places == "auto":
            self.config = dataclasses.replace(self.config, places="alike" if share < MIN_SHARE else "differ")
        kinds = self.config.copies
        if kinds == "auto":
            kinds = self._usual_copies(pictures, images)
            self.config = dataclasses.replace(self.config, copies=kinds)
        copies = tuple(extract_copies(images, self.config.size, kind) for kind in kinds)
        good = Examples(pictures, copies)
        if len(good) >= MIN_FOR_FOLDS:
            self._calibrate(self._energies_in_folds(good))
        self._fit(good)
        where = "is the same everywhere" if self.config.places == "alike" else "depends on the place"
        words = f"fitted to {len(good)} pictures{left_out}"
        if copies:
            words += f" and to copies that look as usual as they do ({', '.join(kinds)})"
        return f"{words}: what is usual {where} ({share:.0%} of the variance of features is due to the place)"

    def _usual_copies(self, pictures: DeepFeatures, images: ImageStore) -> tuple[Copy, ...]:
        """Return the kinds of copies that count as good."""

        def scores(good: DeepFeatures, tested: DeepFeatures) -> np.ndarray:
            self._fit(Examples(good, ()))
            return components(self.energy_of(tested.to(self.device)))["all"].cpu().numpy()

        return usual_copies(pictures, images, self.config.size, scores)

    def _fit(self, good: Examples) -> None:
        alike = self.config.places == "alike"
        self.config = dataclasses.replace(self.config, units=0 if alike else units(len(good)))
        examples = good.joined()
        self._keep_whole(fit_whole(examples.glance))
        code = fit_code(examples.glance, self.config.units)
        self._keep_code(Code(*(part.to(self.device) for part in code)))
        codes = code(examples.glance)
        for number, scale in enumerate(examples.scales):
            variance = scale.square().mean(dim=(0, 1)) - scale.mean(dim=(0, 1)).square()  # far faster than `var`
            spread = variance.clamp_min(1e-12).sqrt()
            used = codes[:, : units_at(number, self.config.units)]
            fitted = fit_places(scale / spread, used, len(good), alike)
            self._keep_places(number, Places(*(part.to(self.device) for part in fitted)), spread.to(self.device))

    def _energies_in_folds(self, good: Examples) -> Energy:
        """Return the energies of good pictures, each by a fit to the other folds."""
        folds = torch.arange(len(good)) % FOLDS
        parts = []
        for fold in folds.unique():
            self._fit(good.part(folds != fold))
            parts.append(self.energy_of(good.pictures.part(folds == fold).to(self.device)))
        return Energy(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Defects) -> Batch:
        """Return good pictures, the same with drawn defects, and masks of these."""
        return add_defects(clean, generator, corruption)._asdict()

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the area under the ROC curve of good pictures against the same with drawn defects."""
        from sklearn.metrics import roc_auc_score

        values = [
            torch.cat([components(self._energy(x))["all"] for x in batch[name].split(BATCH)]).cpu().numpy()
            for name in ("clean", "defective")
        ]
        truth = np.repeat([0, 1], [len(part) for part in values])
        return {"auroc": float(roc_auc_score(truth, np.concatenate(values)))}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return good pictures, the same with a defect, and the maps of what was found."""
        heat = self._maps(self._energy(batch["defective"]))[:, None]
        return [batch["clean"], batch["defective"], (heat / SCALE).expand_as(batch["clean"])]

    def prepare(self, image: Any) -> Tensor:
        """Prepare an image of any kind (see `vaetool.images.conversion.unpack`): (3, size, size)."""
        pixels = squeezed(unpack(image)[0], self.config.size, self.config.channels)
        return to_tensor(pixels)

    def prepare_all(self, images: Iterable[Any]) -> Iterator[Tensor]:
        """Yield images of any kind in batches, on the model's device."""
        return (x.to(self.device) for x in stacked(map(self.prepare, images), BATCH))

    def calibrate(self, images: Iterable[Any]) -> None:
        """Learn the scores and the heat of good pictures; see `vaetool.scoring.detection.calibrate`."""
        parts = [self._energy(x) for x in self.prepare_all(take_good(images))]
        self._calibrate(Energy(*(torch.cat(each) for each in zip(*parts, strict=True))))

    def _calibrate(self, good: Energy) -> None:
        self._forget_bad()
        heat = resized(good.heat, self.config.size).flatten()[::SPARSE].cpu().numpy()
        self.good_levels = torch.from_numpy(levels(heat)).to(self.good_levels)
        found = components(good)
        table = torch.stack(list(found.values()), dim=1).double().cpu().numpy()
        self.keep_calibration(Calibration(tuple(found), table))

    def complete(self, images: TrainingImages, held_out: Batch, corruption: Any, generator: torch.Generator) -> Facts:
        """Calibrate with the images kept for that purpose; without any, the fit has already calibrated with its own."""
        facts = super().complete(images, held_out, corruption, generator)
        if images.unseen:
            return facts
        count = len(images.training)
        if (calibration := self.calibration) is None:
            found = f"p-values need {MIN_FOR_FOLDS} pictures that look different: these {count} are fewer, or copies"
            return Facts([f"not calibrated: {found}"], facts.values)
        words = f"calibrated with the {self.config.calibration} images it was fitted to, each by a fit to others"
        if self.config.calibration < FEW:
            words += f"; with so few, p-values are rough, and none is below 1/{self.config.calibration + 1}"
        doubt = foreign(calibration, names_in_folds(images.training, FOLDS))
        values = {"calibrated_in_folds": min(self.config.calibration, FOLDS), "doubt": doubt}
        return Facts([words, *filter(None, [doubt])], facts.values | values)

    def forget(self) -> None:
        """Drop the statistics of good images, and of bad ones."""
        super().forget()
        self.good_levels.zero_()
        self._forget_bad()

    def _forget_bad(self) -> None:
        if self.config.bad:
            self.config = dataclasses.replace(self.config, bad=0)
            del self.learnt_weights, self.methods, self.default_method

    def learn(self, bad: Iterable[Any]) -> str:
        """Learn the weights of the components from pictures known to be bad; return the outcome in words.

        This becomes the method of scoring. Each good picture's own score uses weights learnt without it, so that
        p-values stay valid for pictures that the model has not seen.
        Raises UsageError for a model without calibration, or if there are no bad pictures.
        """
        _, calibration = calibration_of(self, "all")
        batches = list(measure(self, bad, ""))
        if not batches:
            raise UsageError("there are no bad pictures to learn from")
        found = np.concatenate([np.stack([batch[name] for name in PARTS], axis=1) for batch in batches])
        learnt = learn(np.log(calibration.columns(PARTS)), np.log(found), list(PARTS.values()))
        self.keep_calibration(calibration.extended(LEARNT, learnt.good))
        numbers = torch.tensor([*learnt.weighing.weights, learnt.weighing.offset], dtype=torch.float32)
        self._keep_weights(numbers.to(self.device), len(found))
        caught = np.mean(calibration_of(self, LEARNT)[1].p_values(learnt.bad, LEARNT) <= ALPHA)
        return f"{learnt.words(PARTS)}; each scored without itself, {caught:.0%} of them have p ≤ {ALPHA}"

    def _keep_weights(self, numbers: Tensor, bad: int) -> None:
        self.config = dataclasses.replace(self.config, bad=bad)
        self.register_buffer("learnt_weights", numbers)
        self.methods, self.default_method = (*type(self).methods, LEARNT), LEARNT

    def components(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the components of each picture, `PARTS`, and those derived from them."""
        return self.components_of(self._energy(x))

    def maps(self, x: Tensor) -> Tensor:
        """Return −log10 of each point's p-value among those of good pictures, (batch, size, size), 0 to 4."""
        return self._maps(self._energy(x))

    def components_and_maps(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return both, of one pass through the network."""
        energy = self._energy(x)
        return self.components_of(energy), self._maps(energy)

    def components_of(self, energy: Energy) -> dict[str, Tensor]:
        """Return the components of pictures from their energy."""
        found = components(energy)
        if self.config.bad:
            logarithms = torch.stack([found[name] for name in PARTS], dim=1).log()
            found[LEARNT] = logarithms @ self.learnt_weights[:-1] + self.learnt_weights[-1]
        return found

    def _maps(self, energy: Energy) -> Tensor:
        heat = log_p(resized(energy.heat, self.config.size).cpu().numpy(), self.good_levels.cpu().numpy())
        return torch.from_numpy(heat).to(energy.heat.device)

    def _energy(self, x: Tensor) -> Energy:
        return self.energy_of(extract(x))

    def energy_of(self, found: DeepFeatures) -> Energy:
        """Return the energy of pictures from their features."""
        code = self._code()(found.glance)
        energies = []
        for number, (features, scale) in enumerate(zip(found.scales, SCALES, strict=True)):
            places = self._places(number)
            spread = getattr(self, f"spread_{number}")
            energy = places.energy(features / spread, code[:, : len(places.slope)])
            energies.append(energy.unflatten(1, (self.config.size // scale, -1)))
        fine, middle, coarse = energies
        score = middle + resized(coarse, middle.shape[1])
        # A defect changes the features of all places a little; relative to that, its own place stands out.
        ordered = score.flatten(1).sort(dim=1).values
        usual = ordered[:, (ordered.shape[1] - 1) // 2].clamp_min(1e-9).sqrt()  # the median, which ONNX does not have
        heat = (fine + resized(middle, fine.shape[1])) / usual[:, None, None]
        return Energy(score, heat, Whole(self.whole_mean, self.whole_whitening).energy(found.glance))
