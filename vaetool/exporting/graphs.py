"""The graph of each kind of model: tensors in, tensors out, no Python in between.

Every input and output is float32 and holds one picture or code. Where heights and widths are free, they are multiples
of a number: the caller pads pictures of other sizes, and cuts those too large for memory into tiles.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.denoising.dae import DAE
from vaetool.denoising.sigma import limited_by_colours, pool_readings
from vaetool.errors import UsageError
from vaetool.inpainting.drawn_flaws import FLAWS
from vaetool.inpainting.flaws import Flaws
from vaetool.inpainting.mae import MAE
from vaetool.latents.ae import AE
from vaetool.latents.gan import GAN
from vaetool.latents.vae import VAE
from vaetool.nn.backbone import trained_backbone
from vaetool.nn.base import Model
from vaetool.scoring.calibration import calibration_of
from vaetool.scoring.deep import BLOCKS, features_of
from vaetool.scoring.defect import SHARES, Defect
from vaetool.scoring.energies import resized
from vaetool.scoring.features import Features
from vaetool.scoring.heatmaps import PER_DECADE

ALPHA = 0.05
"""Share of good pictures that may score above the threshold."""

LEVELS = 6
"""Levels of the pyramid that fills a hole smoothly before the network sees it."""

CHECKED = ((2, 3), (3, 2))
"""Heights and widths of the pictures that a graph is checked with, in multiples of `LEAST` pixels or more."""

LEAST = 64


@dataclass(frozen=True)
class Graph:
    """A network without Python, and what its users need to know.

    inputs, outputs: names of tensors; shapes: of the inputs, (1, channels, height, width), with 0 for a free height
    and width, or (1, latent). multiple: divisor of free heights and widths. facts: by name.
    """

    network: nn.Module
    shapes: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    multiple: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> list[tuple[int, int] | None]:
        """Heights and widths to check the graph with; a single None if its inputs have fixed shapes."""
        unit = math.lcm(self.multiple, LEAST)
        return [(rows * unit, columns * unit) for rows, columns in CHECKED] if self.multiple else [None]

    def example(self, size: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return reproducible inputs: pictures of noise around grey, holes, codes."""
        generator = torch.Generator().manual_seed(0)
        found = []
        for name, shape in self.shapes.items():
            shape = (*shape[:2], *(size or shape[2:]))
            x = torch.randn(shape, generator=generator)
            if name == "mask":
                x = (torch.arange(shape[3]) % 48 < 20).float().expand(shape).contiguous()
            found.append(x if name == "code" else x.mul(0.1).add(0.5).clamp(0, 1) if name == "picture" else x)
        return tuple(found)


class Denoiser(nn.Module):
    """A denoiser that estimates the noise itself, at every place."""

    def __init__(self, model: DAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the clean picture, and the map of sigma, in 0..1: see `DAE.noise_map`."""
        model, window = self.model, self.model.config.pooling
        weighted, trust, evidence, colour = model.estimator.readings(picture).unbind()
        sigma = pool_readings(weighted, trust, window)
        if not model.config.uniform:
            is_grey = (picture == picture[:, :1]).all()
            sigma = torch.where(is_grey, sigma, limited_by_colours(sigma, colour, window))
        sigma = model.pool_if_uniform(sigma, evidence)
        return model.restore(picture, sigma), sigma


class Inpainter(nn.Module):
    """A masked autoencoder that fills holes smoothly before the network sees them, as `push_pull` does.

    A square of 2^`LEVELS` pixels a side, aligned to multiples of that, gets the picture's mean if it is all hole.
    """

    def __init__(self, model: MAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """Return the picture with what mask, (1, 1, height, width), marks with 1 filled; the rest is unchanged."""
        known = 1 - mask
        return self.model.fill(_filled(picture * known, known, LEVELS), mask).clamp(0, 1)


def _filled(x: Tensor, known: Tensor, levels: int) -> Tensor:
    """Fill what is not known of x, which is zero there."""
    if not levels:
        mean = x.sum(dim=(2, 3), keepdim=True) / known.sum(dim=(2, 3), keepdim=True).clamp_min(1)
        return x + mean * (1 - known)
    share, coarse = F.avg_pool2d(known, 2), F.avg_pool2d(x, 2)
    found = (share > 0).to(x.dtype)
    coarse = _filled(coarse / share.clamp_min(1e-6) * found, found, levels - 1)
    size = (2 * coarse.shape[2], 2 * coarse.shape[3])
    return x + F.interpolate(coarse, size, mode="bilinear", align_corners=False) * (1 - known)


class FlawFinder(nn.Module):
    """A finder of flaws."""

    def __init__(self, model: Flaws) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> Tensor:
        """Return the probability of each of `FLAWS` at each pixel, in 0..1: (1, len(FLAWS), height, width)."""
        return self.model.find(picture).sigmoid()


class Heat(nn.Module):
    """Conversion of values to −log10 of their p-values, as `log_p` does, by quantiles over good pictures."""

    start: Tensor
    step: Tensor

    def __init__(self, levels: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", levels[:-1].clone())
        self.register_buffer("step", levels.diff().clamp_min(1e-12))

    def forward(self, values: Tensor) -> Tensor:
        """Return a map, from 0 to 4, of the shape of values."""
        steps = (values[..., None] - self.start) / self.step
        return steps.clamp(0, 1).sum(dim=-1) / PER_DECADE


class DefectFinder(nn.Module):
    """A defect finder with its default score."""

    def __init__(self, model: Defect) -> None:
        super().__init__()
        self.model = model
        self.share = SHARES[model.default_method]
        self.heat = Heat(model.good_levels)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score, (1,), and −log10 of each pixel's p-value, (1, height, width), 0 to 4."""
        values = self.model.standardised(self.model.answers(picture)[:, -1:])
        ordered = values.flatten(1).sort(dim=1, descending=True).values
        number = torch.arange(ordered.shape[1]) + 1
        count = (self.share * number[-1]).round().clamp_min(1)
        return (ordered * (number <= count)).sum(dim=1) / count, self.heat(values[:, 0])


class FeatureScorer(nn.Module):
    """A model of features with its backbone."""

    def __init__(self, model: Features) -> None:
        super().__init__()
        self.model = model
        self.backbone = trained_backbone(BLOCKS, model.device)
        self.heat = Heat(model.good_levels)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return the score, (1,), and −log10 of each pixel's p-value, (1, size, size), 0 to 4."""
        energy = self.model.energy_of(features_of(self.backbone(picture)))
        score = self.model.components_of(energy)[self.model.default_method]
        return score, self.heat(resized(energy.heat, self.model.config.size))


class Encoder(nn.Module):
    """The encoder of an ae or a vae."""

    def __init__(self, model: AE | VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the code, (1, latent), or for a vae the mean of the posterior and the logarithm of its variance."""
        if isinstance(self.model, AE):
            return self.model.embed(picture)
        posterior = self.model.posterior(picture)
        return posterior.mean, posterior.log_var


class Decoder(nn.Module):
    """The decoder of a generative model."""

    def __init__(self, model: AE | VAE | GAN) -> None:
        super().__init__()
        self.model = model

    def forward(self, code: Tensor) -> Tensor:
        """Return the picture of a code, in 0..1."""
        return self.model.render(code)


def graph_of(model: Model, part: str | None) -> Graph:
    """Return the graph of a model on the CPU; part: "encoder" or "decoder", for the kinds that have both.

    Raises UsageError for a kind without a graph, for a model of scores without calibration, and for another part.
    """
    if isinstance(model, AE | VAE | GAN):
        return _of_codes(model, part)
    if part is not None:
        raise UsageError(f"a {model.kind} is exported whole: leave out the part")
    if isinstance(model, DAE):
        return _of_pictures(Denoiser(model), model.config.channels, ("clean", "sigma"), model.stride)
    if isinstance(model, MAE):
        graph = Inpainter(model), model.config.channels, ("filled",), math.lcm(model.stride, 2**LEVELS)
        return _of_pictures(*graph, mask=True)
    if isinstance(model, Flaws):
        return _of_pictures(FlawFinder(model), 3, ("probabilities",), model.stride, {"flaws": json.dumps(FLAWS)})
    if isinstance(model, Defect):
        facts = {"longest_side": str(model.config.size), **_verdicts(model)}
        return _of_pictures(DefectFinder(model), model.config.channels, ("score", "heatmap"), model.stride, facts)
    if isinstance(model, Features):
        shapes = {"picture": (1, 3, model.config.size, model.config.size)}
        facts = {"framing": "squeezed into a square", **_verdicts(model)}
        return Graph(FeatureScorer(model), shapes, ("score", "heatmap"), facts=facts)
    raise UsageError(f"a {model.kind} cannot be exported: its entropy coder processes symbols one after the other")


def _of_pictures(
    network: nn.Module,
    channels: int,
    outputs: tuple[str, ...],
    multiple: int,
    facts: Mapping[str, str] | None = None,
    *,
    mask: bool = False,
) -> Graph:
    """Return the graph of a network for pictures of any size."""
    shapes = {"picture": (1, channels, 0, 0)} | ({"mask": (1, 1, 0, 0)} if mask else {})
    return Graph(network, shapes, outputs, multiple, {"padding": "mirrored at the bottom and right", **(facts or {})})


def _of_codes(model: AE | VAE | GAN, part: str | None) -> Graph:
    """Return the graph of an encoder or a decoder."""
    if part is None and not isinstance(model, GAN):
        raise UsageError(f"which part of the {model.kind}, encoder or decoder? Each becomes a file")
    if part == "encoder" and isinstance(model, GAN):
        raise UsageError("a gan has no encoder: codes of pictures are searched for")
    config = model.config
    if part == "encoder" and not isinstance(model, GAN):
        shapes = {"picture": (1, config.channels, config.size, config.size)}
        outputs = ("code",) if isinstance(model, AE) else ("code", "log_var")
        return Graph(Encoder(model), shapes, outputs, facts={"part": "encoder", "framing": "the middle square"})
    if part not in {"decoder", None}:
        raise UsageError(f"part must be encoder or decoder, not {part!r}")
    return Graph(Decoder(model), {"code": (1, config.latent)}, ("picture",), facts={"part": "decoder"})


def _verdicts(model: Defect | Features) -> dict[str, str]:
    """Return the facts that turn a score into a verdict: the threshold, and the scores of good pictures, for p-values.

    Raises UsageError for a model without calibration.
    """
    by, calibration = calibration_of(model, None)
    facts = {"method": by, "calibration": json.dumps(calibration.held_out_scores(by).tolist())}
    threshold = calibration.threshold(ALPHA, by)
    if math.isfinite(threshold):
        facts |= {"alpha": str(ALPHA), "threshold": repr(threshold)}
    return facts
