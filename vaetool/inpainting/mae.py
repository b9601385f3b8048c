"""Masked autoencoder: a picture with holes in, their contents out (Pathak et al. 2016; He et al. 2022).

A U-shaped network at half resolution sees the picture with its holes filled smoothly, and a mask of them; at the
bottom, dilated blocks see far (Iizuka et al. 2017). Its output is added to the smooth filling, only inside the holes.
Given a coarse version of a hole's contents, marked as such, it sharpens that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.denoising.dae import DAE
from vaetool.errors import ImageError
from vaetool.images.conversion import from_unit, network_input, unpack, unpack_mask
from vaetool.images.filling import fill_from, halved
from vaetool.images.metrics import mean_psnr
from vaetool.images.ranges import white
from vaetool.images.tiling import Tile
from vaetool.inpainting.filling import push_pull
from vaetool.inpainting.grain import add_grain
from vaetool.inpainting.holes import CONTEXT, batches, bounds, deep_part, dilate_hole, windows, with_surroundings
from vaetool.inpainting.masks import Masks, draw_masks
from vaetool.inpainting.texture import add_texture, repaint
from vaetool.inpainting.uncertainty import fill_in_orientations
from vaetool.nn.base import Batch, Losses, Model, register
from vaetool.nn.blocks import UNet
from vaetool.nn.sections import Positive, Section, Some
from vaetool.progress import tracked

UNKNOWN, COARSE = 1.0, 0.5
"""Marks of the pixels of a hole: unknown, or known as a coarse version."""

COARSE_CONTEXT = (32, 32)  # pixels that are seen around a coarse version, at least and at most

VERY_DEEP = 56  # pixels from known ones: a deeper hole is not left to the network

MASK_STD = 0.01
FIRST_CHANGE = 0.1
"""Initial spread of the weights for the mask, and factor on the output, in a network that starts as a denoiser."""

NOISE_FLOOR = (2 / 255) ** 2  # smaller errors are invisible, and not worth more training

Image = TypeVar("Image")


@dataclass(frozen=True)
class MAEConfig(Section, name="model"):
    """The architecture of a masked autoencoder."""

    channels: Literal[1, 3] = 3
    widths: Some[Positive] = (32, 64, 128, 192)  # per level; each halves the resolution
    blocks: Positive = 2  # residual blocks per level, each way
    dilations: Some[Positive] = (1, 1, 2, 4, 8, 4)  # of the blocks at the bottom


@dataclass(frozen=True)
class MAEObjective(Section, name="objective"):
    """Objective of training for filled holes."""

    # Errors are of means over squares this many pixels a side; above 1, detail is an adversary's.
    low_pass: Annotated[int, Meta(ge=1, le=32)] = 1


@register("mae")
class MAE(Model):
    """The masked autoencoder. See the module's docstring."""

    Config = MAEConfig
    Corruption = Masks
    Objective = MAEObjective
    metric = "psnr"
    meets_adversary = True
    defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "training": {"batch": 14, "crops": (128, 160, 224), "lr": 6e-4, "weight_decay": 0.01, "clip": 0.25}
    }
    config: MAEConfig

    def __init__(self, config: MAEConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.unet = UNet(4 * (channels + 1), 4 * channels, config.widths, config.blocks, dilations=config.dilations)
        for parameter in self.unet.tail.parameters():
            nn.init.zeros_(parameter)  # so that it begins as the smooth filling

    @property
    def stride(self) -> int:
        """The number that heights and widths must be multiples of."""
        return 2 * self.unet.stride

    @property
    def last_layer(self) -> Tensor:
        """The weights of the layer that makes pictures."""
        return self.unet.tail.weight

    def fill(self, filled: Tensor, mask: Tensor) -> Tensor:
        """Return pictures with their holes filled.

        filled: (batch, channels, height, width) in 0..1, holes filled smoothly, or with a coarse version. mask: (batch,
        1, ...), `UNKNOWN` or `COARSE` in holes, else 0. Heights and widths are multiples of `stride`. Outside the holes
        nothing changes.
        """
        inside = (mask > 0).to(filled.dtype)
        seen = torch.cat([filled, mask], dim=1)
        added = F.pixel_shuffle(self.unet(F.pixel_unshuffle(seen, 2)), 2)
        return filled + added * inside

    def warm_start(self, other: Model) -> bool:
        """Copy the layers of a denoiser that fit; return whether there were any.

        Biases are set to zero, and the noise that the denoiser would remove is scaled down to a small change.
        """
        if not isinstance(other, DAE) or other.config.channels != self.config.channels:
            return False
        ours, theirs = self.unet.state_dict(), other.unet.state_dict()
        head = theirs["head.weight"][:, : 4 * self.config.channels]  # without the input for sigma
        generator = torch.Generator().manual_seed(0)
        mask = MASK_STD * torch.randn((len(head), 4, *head.shape[2:]), generator=generator)
        theirs |= {"head.weight": torch.cat([head, mask], dim=1), "tail.weight": -FIRST_CHANGE * theirs["tail.weight"]}
        fitting = {name: values for name, values in theirs.items() if name in ours and values.shape == ours[name].shape}
        biases = {name: torch.zeros_like(values) for name, values in ours.items() if name.endswith(".bias")}
        if fitting:
            self.unet.load_state_dict(biases | fitting, strict=False)
        return bool(fitting)

    @classmethod
    def smallest_crop(cls, corruption: Masks) -> int:
        """Return the minimum side of crops in which one of the square patches is visible."""
        return corruption.patch + 1

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Masks) -> Batch:
        """Return clean pictures, the same with holes filled smoothly or coarsely, and the masks."""
        count, _, height, width = clean.shape
        hole = draw_masks(generator, count, height, width, corruption)
        known, halves = torch.rand((2, count, 1, 1, 1), generator=generator, device=clean.device)
        coarse = torch.where(halves < 0.5, _blurred(clean, 2), _blurred(clean, 4))
        refined = known < corruption.refined
        filled = torch.where(refined & (hole > 0), coarse, push_pull(clean, hole))
        return {
            "clean": clean,
            "filled": filled,
            "mask": torch.where(refined, COARSE, UNKNOWN) * hole,
        }

    def loss(self, batch: Batch, objective: MAEObjective | None = None, fraction: float = 1.0) -> Losses:
        """Return minus the mean PSNR in the holes, in nepers, so that every picture counts the same, easy or hard."""
        return self.loss_and_fakes(batch, objective, fraction)[0]

    def loss_and_fakes(
        self, batch: Batch, objective: MAEObjective | None = None, fraction: float = 1.0
    ) -> tuple[Losses, Tensor]:
        """Return the loss, and the filled pictures."""
        low_pass = (objective or MAEObjective()).low_pass
        pictures = self.fill(batch["filled"], batch["mask"])
        error = pictures - batch["clean"]
        inside = (batch["mask"] > 0).to(error.dtype)
        if low_pass > 1:
            around = 4 * (low_pass // 2,)  # not padded by avg_pool2d: see `local_mean`
            error, inside = (F.avg_pool2d(F.pad(x, around), low_pass, 1) for x in (error, inside))
        mse = _mean_square(error, inside)
        return {"loss": 0.5 * (mse + NOISE_FLOOR).log().mean(), "mse": mse.mean()}, pictures

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the mean PSNR in the holes in dB, and the energy of gradients there, relative to the true pictures."""
        pictures = self.fill(batch["filled"], batch["mask"]).clamp(0, 1)
        inside = (batch["mask"] > 0).to(pictures.dtype)
        errors = _mean_square(pictures - batch["clean"], inside)
        ours, theirs = (_gradient_energy(x, inside) for x in (pictures, batch["clean"]))
        return {"psnr": mean_psnr(errors.detach().cpu().numpy()), "energy": (ours / theirs).item()}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return the pictures with holes, filled, and original."""
        pictures = self.fill(batch["filled"], batch["mask"])
        return [batch["clean"] * (batch["mask"] == 0), pictures.clamp(0, 1), batch["clean"]]

    def inpaint(self, image: Image, mask: Any, *, dilate: int = 0, texture: bool = True) -> Image:
        """Fill the holes of a picture; return it as the same kind of image (see `vaetool.images.conversion.unpack`).

        mask: marks the holes, see `vaetool.images.conversion.unpack_mask`. dilate: everything within this many pixels
        of them is filled as well. texture: wide holes get texture from elsewhere in the picture, where the network
        alone would leave a blur, and all holes get the picture's grain. Nothing else changes, and the former contents
        of the holes are not used.
        Raises ImageError for a mask of another size or of the whole picture, and for colours in a model of grey
        pictures; UsageError for other types and shapes.
        """
        hole = dilate_hole(unpack_mask(mask), dilate)
        pixels, repack = unpack(image, hole)
        return repack(self.inpaint_pixels(pixels, hole, texture)[0])

    @torch.inference_mode()
    def inpaint_pixels(
        self, pixels: np.ndarray, hole: np.ndarray, texture: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels, filled where `hole`, (height, width) bool, is true, and the network's uncertainty at each.

        pixels: (height, width, channels) of any type. texture: see `inpaint`. The second result is (height, width),
        see `vaetool.inpainting.uncertainty`; 0 in thin holes, where it is not measured.
        Raises ImageError if the hole is everywhere.
        """
        if hole.all():
            raise ImageError("is covered by the hole entirely: nothing is left to fill it from")
        filled = pixels.copy()
        filled[hole] = 0
        spare = 16 - int(white(filled)).bit_length() if filled.dtype == np.uint16 else 0
        if spare:  # 12 bits in 16 are filled as the same picture of 16 bits, not as a dark one
            filled <<= spare
        spread = np.zeros(hole.shape, np.float32)
        self._fill_holes(filled, hole, spread, texture)
        if texture:
            add_texture(filled, hole)
            add_grain(filled, hole)
        if spare:
            half = 1 << spare - 1
            filled = filled.clip(max=np.iinfo(filled.dtype).max - half) + half >> spare
        return filled, spread

    def _fill_holes(
        self, pixels: np.ndarray, hole: np.ndarray, spread: np.ndarray, texture: bool, halvings: int = 0
    ) -> None:
        """Fill in place: shallow holes first, then the deep ones, from a version of half the size.

        spread: set to that of filled pixels. texture: repaint very deep holes. halvings: how often the picture was
        halved.
        """
        deep = deep_part(hole)
        self._fill_windows(pixels, hole, hole & ~deep, UNKNOWN, spread)
        box = bounds(deep)
        if box is None:
            if texture:
                repaint(pixels, deep_part(hole, VERY_DEEP >> halvings))
            return
        part = with_surroundings(box, hole.shape)
        region, deep = pixels[part], deep[part]
        top = np.iinfo(pixels.dtype).max if np.issubdtype(pixels.dtype, np.integer) else 1
        coarse, known = halved(region, ~deep)
        coarse /= top
        coarse_spread = np.zeros((*known.shape, 1), np.float32)
        self._fill_holes(coarse, ~known, coarse_spread[..., 0], texture, halvings + 1)
        coarse *= top
        fill_from(coarse, region, ~deep)
        self._fill_windows(region, deep, deep, COARSE, spread[part])
        fill_from(coarse_spread, spread[part][..., None], ~deep)

    def _fill_windows(
        self, pixels: np.ndarray, hole: np.ndarray, wanted: np.ndarray, mark: float, spread: np.ndarray
    ) -> None:
        """Fill the `wanted` part of a hole in place, window by window; each treats the pixels filled before as known.

        mark: `UNKNOWN` or `COARSE`, for the whole hole. spread: set for wide holes that are entirely unknown, which are
        filled in several orientations.
        """
        hole, wide = hole.copy(), deep_part(wanted, 0) if mark == UNKNOWN else np.zeros_like(hole)
        parts = windows(wanted, self.stride, CONTEXT if mark == UNKNOWN else COARSE_CONTEXT)
        for batch in tracked(batches(parts), "filling"):
            x = self._input(pixels, batch, self.config.channels)
            inside = self._input(hole[..., None], batch, 1)
            filled = push_pull(x, inside) if mark == UNKNOWN else x
            low, high = filled.amin((1, 2, 3), True).clamp_max(0), filled.amax((1, 2, 3), True).clamp_min(1)
            if any(wide[part.kept()].any() for part in batch):
                results, spreads = fill_in_orientations(self.fill, filled, mark * inside)
            else:
                results, spreads = self.fill(filled, mark * inside), torch.zeros_like(inside)
            results = results.clamp(low, high)  # floats may be beyond 0..1
            if pixels.shape[2] == 1:
                results = results.mean(dim=1, keepdim=True)
            for part, result, differing in zip(batch, results, spreads, strict=True):
                values = result.permute(1, 2, 0)[part.middle()].cpu().numpy()
                chosen = wanted[part.kept()] & hole[part.kept()]
                pixels[part.kept()][chosen] = from_unit(values[chosen], pixels.dtype)
                spread[part.kept()][chosen] = differing[0][part.middle()].cpu().numpy()[chosen]
                hole[part.kept()] &= ~chosen

    def _input(self, pixels: np.ndarray, batch: list[Tile], channels: int) -> Tensor:
        """Return windows of one size as input for the network, (batch, channels, height, width)."""
        return torch.cat([network_input(pixels[part.window()], channels, self.stride, self.device) for part in batch])


def _blurred(x: Tensor, factor: int) -> Tensor:
    """Blur pictures by shrinking them by `factor` and enlarging them again."""
    small = F.avg_pool2d(x, factor, ceil_mode=True)
    return F.interpolate(small, x.shape[2:], mode="bilinear", align_corners=False)


def _mean_square(error: Tensor, inside: Tensor) -> Tensor:
    """Return the mean squared error of each picture over its hole, outside of which there is no error."""
    return error.square().sum(dim=(1, 2, 3)) / (inside.sum(dim=(1, 2, 3)) * error.shape[1])


def _gradient_energy(x: Tensor, inside: Tensor) -> Tensor:
    """Return the sum of the squared differences of neighbours inside the hole."""
    rows = (x.diff(dim=2).square() * inside[:, :, 1:]).sum()
    columns = (x.diff(dim=3).square() * inside[:, :, :, 1:]).sum()
    return rows + columns
