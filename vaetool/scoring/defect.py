"""Defect finder: learns from good pictures alone to locate defects.

One network, trained on good pictures with drawn defects (`vaetool.scoring.drawn`), has two outputs at half resolution:
the picture without the defect, as from a denoising autoencoder, and a mask of the defect. In the spirit of Zavrtanik
et al. 2021 (DRAEM), with one network instead of two. It is fully convolutional: pictures keep their shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from msgspec import Meta
from torch import Tensor
from torch.nn import functional as F

from vaetool.images.conversion import shrunk, to_tensor, unpack
from vaetool.nn.base import Batch, Framing, Losses, register
from vaetool.nn.blocks import UNet
from vaetool.nn.filters import local_mean
from vaetool.nn.sections import NotNegative, Positive, Section, Some
from vaetool.scoring.calibration import Calibration
from vaetool.scoring.drawn import Defects, add_defects
from vaetool.scoring.heatmaps import STEPS, levels, log_p
from vaetool.scoring.measurement import take_good
from vaetool.scoring.scorer import Scorer

BATCH_PIXELS = 16 * 256**2
"""Number of pixels processed at once."""

RECONSTRUCTION = 3.0
OVERLAP = 0.5
"""Weights in the loss, relative to the mean cross-entropy of the mask, of the mean absolute error of the restored
picture and of the missed share of each defect, which counts the same for small and large ones.
"""

GROUND = 31
"""Side, in pixels, of the squares over which light is assumed to be even."""

PLACES = 12
"""Rows and columns of places: normal values at the edge of a picture may be unusual in its middle."""

FOLDS = 5
"""Number of folds of the good images, each scored by the normal values in the others."""

SPARSE = 7
"""One in this many pixels of good pictures serves for the distribution of logits."""

SHARES = {"small": 0.001, "medium": 0.01, "large": 0.1}
"""Components: the mean of this share of the standardised logits, the largest ones."""


@dataclass(frozen=True)
class DefectConfig(Section, name="model"):
    """The shape of a defect finder."""

    channels: Literal[0, 1, 3] = 1  # 0, in a recipe: as many as the pictures need
    size: Annotated[int, Meta(ge=32, le=4096)] = 256  # pixels on the longer side: larger pictures are shrunk to it
    widths: Some[Positive] = (16, 32, 64, 96, 96)  # per level; each halves the resolution
    blocks: Positive = 1  # residual blocks per level, each way
    calibration: NotNegative = 0  # good images that p-values of scores are based on; 0: none yet
    statistics: tuple[str, ...] = ()  # names of the components known of each


@register("defect")
class Defect(Scorer):
    """The defect finder. See the module's docstring."""

    Config = DefectConfig
    Corruption = Defects
    metric = "auroc"
    framing = Framing.SHRUNK
    has_maps = True
    turned = False
    methods = tuple(SHARES)
    default_method = "small"
    defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "model": {"channels": 0},
        "data": {"held_out": 0.05, "calibration": 0.2, "mirror": True},
        "training": {"batch": 8, "crops": (128, 128, 192), "lr": 2e-3, "warmup_steps": 100, "weight_decay": 0.01},
    }
    config: DefectConfig
    place_mean: Tensor
    place_spread: Tensor
    good_levels: Tensor

    def __init__(self, config: DefectConfig) -> None:
        super().__init__(config)
        self.unet = UNet(8 * config.channels, 4 * config.channels + 4, config.widths, config.blocks)
        self.register_buffer("place_mean", torch.zeros(1, 1, PLACES, PLACES))
        self.register_buffer("place_spread", torch.ones(1, 1, PLACES, PLACES))
        self.register_buffer("good_levels", torch.zeros(STEPS))

    @property
    def stride(self) -> int:
        """The number to multiples of which heights and widths are padded."""
        return 2 * self.unet.stride

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Defects) -> Batch:
        """Return good pictures, the same with defects, and masks of these."""
        return add_defects(clean, generator, corruption)._asdict()

    def examine(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures without their defects, and the logit of a defect at every pixel.

        x: (batch, channels, height, width) in 0..1, of any size. Returns (batch, channels, ...) and (batch, 1, ...).
        """
        height, width = x.shape[2:]
        rows, columns = (_mirrored(length, self.stride, x.device) for length in (height, width))
        answers = self.answers(x[:, :, rows[:, None], columns])[:, :, :height, :width]
        return x - answers[:, :-1], answers[:, -1:]

    def answers(self, x: Tensor) -> Tensor:
        """Return the difference from pictures without defects, and the logit of a defect: (batch, channels + 1, ...).

        x: as for `examine`, of sizes that are multiples of `stride`.
        """
        return F.pixel_shuffle(self.unet(F.pixel_unshuffle(_view(x), 2)), 2)

    def loss(self, batch: Batch, objective: Any = None, fraction: float = 1.0) -> Losses:
        """Return the loss and its parts.

        The parts are the cross-entropy of the mask, the missed share of each defect, and the absolute error of the
        picture.
        """
        restored, logits = self.examine(batch["defective"])
        entropy = F.binary_cross_entropy_with_logits(logits, batch["mask"])
        missed = _missed(logits.sigmoid(), batch["mask"])
        error = (restored - batch["clean"]).abs().mean()
        loss = entropy + OVERLAP * missed + RECONSTRUCTION * error
        return {"loss": loss, "entropy": entropy, "missed": missed, "l1": error}

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the area under the ROC curve of pixels of drawn defects against others."""
        return {"auroc": _auroc(self.examine(batch["defective"])[1], batch["mask"])}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return pictures with a defect, without it, and the map of where it was found."""
        restored, logits = self.examine(batch["defective"])
        return [batch["defective"], restored, logits.sigmoid().expand_as(restored)]

    def prepare(self, image: Any) -> Tensor:
        """Prepare an image of any kind (see `vaetool.images.conversion.unpack`): (channels, height, width)."""
        pixels = shrunk(unpack(image)[0], self.config.size, self.config.channels)
        return to_tensor(pixels)

    def prepare_all(self, images: Iterable[Any]) -> Iterator[Tensor]:
        """Yield images of any kind in batches of consecutive images of the same size, on the model's device."""
        batch: list[Tensor] = []
        for x in map(self.prepare, images):
            if batch and (x.shape != batch[0].shape or (len(batch) + 1) * x[0].numel() > BATCH_PIXELS):
                yield torch.stack(batch).to(self.device)
                batch = []
            batch.append(x)
        if batch:
            yield torch.stack(batch).to(self.device)

    def calibrate(self, images: Iterable[Any]) -> None:
        """Learn the normal values of each place, then good pictures' scores; see `vaetool.scoring.detection.calibrate`.

        Each fold is scored by the normal values of the others, since new pictures have no part in them either.
        """
        good = take_good(images)
        places = torch.cat([self._by_place(x) for x in self.prepare_all(good)])
        fold = torch.arange(len(good), device=self.device) % FOLDS
        scores, pixels = [], []
        for number in range(FOLDS):
            self._keep_places(places[fold != number])
            for x in self.prepare_all(good[number::FOLDS]):
                values = self._standardised(x)
                scores.append(_largest(values).cpu())
                pixels.append(values.flatten()[::SPARSE].cpu())
        self._keep_places(places)
        self.good_levels = torch.from_numpy(levels(torch.cat(pixels).numpy())).to(self.good_levels)
        self.keep_calibration(Calibration(tuple(SHARES), torch.cat(scores).double().numpy()))

    def forget(self) -> None:
        """Drop the statistics of good images, which depend on weights that further training changes."""
        super().forget()
        self.place_mean.zero_()
        self.place_spread.fill_(1)
        self.good_levels.zero_()

    def components(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the means of the largest standardised logits of each picture: `SHARES`."""
        return _components(self._standardised(x))

    def maps(self, x: Tensor) -> Tensor:
        """Return −log10 of each pixel's p-value among those of good pictures, (batch, height, width), 0 to 4."""
        return self._maps(self._standardised(x))

    def components_and_maps(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return components and maps from one pass through the network."""
        values = self._standardised(x)
        return _components(values), self._maps(values)

    def _maps(self, values: Tensor) -> Tensor:
        return torch.from_numpy(log_p(values[:, 0].cpu().numpy(), self.good_levels.cpu().numpy())).to(values.device)

    @torch.inference_mode()
    def _standardised(self, x: Tensor) -> Tensor:
        return self.standardised(self.examine(x)[1])

    def standardised(self, logits: Tensor) -> Tensor:
        """Standardise the logit of each pixel by the normal values of its place, (batch, 1, height, width)."""
        mean, spread = (
            F.interpolate(place, logits.shape[2:], mode="bilinear", align_corners=False)
            for place in (self.place_mean, self.place_spread)
        )
        return (logits - mean) / spread

    @torch.inference_mode()
    def _by_place(self, x: Tensor) -> Tensor:
        """Return the means of logits and of their squares in each place of each picture, (batch, 2, PLACES, PLACES)."""
        logits = self.examine(x)[1]
        return torch.cat([F.adaptive_avg_pool2d(values, PLACES) for values in (logits, logits.square())], dim=1)

    def _keep_places(self, by_place: Tensor) -> None:
        mean, square = by_place.mean(dim=0, keepdim=True).split(1, dim=1)
        self.place_mean, self.place_spread = mean, (square - mean.square()).clamp_min(1e-4).sqrt()


def _mirrored(length: int, stride: int, device: torch.device) -> Tensor:
    """Return the indices of rows or columns, mirrored at the end up to a multiple of `stride`.

    Repeating the last one would make smooth streaks, which look like some defects.
    """
    place = torch.arange(length + -length % stride, device=device) % (2 * length)
    return torch.minimum(place, 2 * length - 1 - place)


def _view(x: Tensor) -> Tensor:
    """Return the network's input: pictures, and their contrast to the surroundings, in units of the spread there."""
    ground = local_mean(x, GROUND)
    spread = (local_mean(x.square(), GROUND) - ground.square()).clamp_min(0).sqrt()
    return torch.cat([4 * (x - 0.4), (x - ground) / (spread + 0.02)], dim=1)


def _components(values: Tensor) -> dict[str, Tensor]:
    return dict(zip(SHARES, _largest(values).unbind(dim=1), strict=True))


def _largest(values: Tensor) -> Tensor:
    """Return the means of the largest values of each picture, (batch, SHARES)."""
    ordered = values.flatten(1).sort(dim=1, descending=True).values
    counts = [max(1, round(share * ordered.shape[1])) for share in SHARES.values()]
    return torch.stack([ordered[:, :count].mean(dim=1) for count in counts], dim=1)


def _missed(probability: Tensor, mask: Tensor) -> Tensor:
    """Return one minus the Dice overlap of each picture with a defect, as the mean over all pictures."""
    both, either = (x.sum(dim=(1, 2, 3)) for x in (probability * mask, probability + mask))
    return ((1 - 2 * both / (either + 1)) * mask.amax(dim=(1, 2, 3))).mean()


def _auroc(logits: Tensor, mask: Tensor) -> float:
    """Return the area under the ROC curve of pixels of defects by logits; 0.5 if there is only one kind of pixels."""
    from sklearn.metrics import roc_auc_score

    truth = mask.flatten().cpu().numpy() > 0
    if truth.all() or not truth.any():
        return 0.5
    return float(roc_auc_score(truth, logits.flatten().float().cpu().numpy()))
