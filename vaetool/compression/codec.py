"""Learned codec: an autoencoder whose code is rounded, under a learned prior (Ballé, Laparra & Simoncelli 2017).

The training loss is the negative ELBO: with a uniform posterior of width one around each number of the code, the KL to
the prior is the rate, in bits, and the likelihood of the picture is the distortion. One network serves all qualities:
gains scale the code before rounding, and lambda, which weighs distortion, is geometric in quality from 1 to 100.

An untrained codec already works: it is a plain block cosine transform with a fixed prior, and training starts there.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.compression.container import Coded
from vaetool.compression.entropy import tables
from vaetool.compression.entropy.coder import Decoder, Encoder, Tables
from vaetool.compression.entropy.latents import MEAN_BITS, decode_latents, encode_latents, least_hyper_bits
from vaetool.compression.entropy.prior import NORMALISED_LIMIT, PASSES, ExactPrior, Prior, pass_mask, table_index
from vaetool.compression.grid import HYPER_STRIDE, QUALITIES, STRIDE, hyper_positions, positions, reach, tiles, window
from vaetool.compression.growth import graft, is_within
from vaetool.compression.oddities import make_odd
from vaetool.compression.quality import KNOTS, hats, lagrangian, nominal_gain
from vaetool.compression.settings import CodecConfig, CodecObjective, Qualities
from vaetool.compression.similarity import ms_ssim
from vaetool.compression.transforms import Analysis, HyperAnalysis, Synthesis, cosine_basis
from vaetool.errors import ImageError, UsageError
from vaetool.images.conversion import from_unit, require_numbers, to_unit
from vaetool.images.metrics import MS_SSIM_SIDE
from vaetool.images.tiling import pad_to_multiple
from vaetool.nn.base import Batch, Losses, Model, register
from vaetool.nn.memory import give_back
from vaetool.progress import tracked

HYPER_WIDTH = 192

TILE = 64
"""Side of an independently coded tile, in positions of y: 1,024 pixels."""

SMOOTHEST = 10.0
"""Index of the smallest scale, 0.14, at which noise may stand in for rounding: half of the noise is beyond ±¼."""

SIMILARITY = 1300.0
"""Squared error, in 8-bit units, that 1 − MS-SSIM is worth: the ratio of the two lambdas with which codecs trained for
one or the other reach the same rates (Bégaint et al. 2020, CompressAI).
"""

HARD = 30.0
"""Loss, in bits per pixel, at which a picture counts half: noise and the like would otherwise outweigh photographs."""

SPARED = 16  # bytes that a stream may lack: the coder's last words, and zeros at the end

VALIDATED = (10.0, 35.0, 60.0, 85.0)


class Exact(NamedTuple):
    """The objects that coding needs besides the transforms, and the checksum of the weights they were made from."""

    checksum: int
    identity: bytes
    prior: ExactPrior
    tables: Tables


@register("codec")
class Codec(Model):
    """The codec. See the module's docstring."""

    Config = CodecConfig
    Corruption = Qualities
    Objective = CodecObjective
    metric = "elbo"
    config: CodecConfig
    lr_ratios: ClassVar[Mapping[str, float]] = {"prior": 6.0, "hyper_encoder": 6.0}
    """The transforms start close to their optimum, while the prior knows nothing yet."""
    defaults: ClassVar[dict[str, dict[str, Any]]] = {"training": {"crops": (128,)}}

    def __init__(self, config: CodecConfig) -> None:
        super().__init__(config)
        self.encoder = Analysis(config.latent, config.encoder_blocks)
        self.decoder = Synthesis(config.latent, config.decoder_blocks)
        self.hyper_encoder = HyperAnalysis(config.latent, config.hyper, HYPER_WIDTH)
        self.prior = Prior(cosine_basis(STRIDE, config.latent)[1], config.hyper, config.prior_width)
        nominal = np.log(nominal_gain(np.linspace(1, QUALITIES, KNOTS)))[:, None].repeat(config.latent, axis=1)
        self.log_gain = nn.Parameter(torch.as_tensor(nominal, dtype=torch.float32))
        self.log_restore = nn.Parameter(torch.as_tensor(-nominal, dtype=torch.float32))
        self._exact: Exact | None = None

    @property
    def stride(self) -> int:
        """The number that heights and widths must be multiples of."""
        return 64

    def warm_start(self, other: Model) -> bool:
        """Start from the weights of a codec that is not larger, computing the same; return False for other models.

        New blocks add nothing at first, and the old part of the prior ignores the new one.
        """
        if not isinstance(other, Codec) or not is_within(other.config, self.config):
            return False
        state, width = self.state_dict(), other.config.prior_width
        for name, theirs in other.state_dict().items():
            graft(state[name], theirs, name, width, self.config.prior_width - width)
        self.load_state_dict(state)
        return True

    def normaliser(self, quality: Tensor) -> Tensor:
        """Return the divisor of y for the prior's networks, (batch, latent, 1, 1): about its sigma, at least one."""
        sigma = nominal_gain(quality)[:, None] * self.encoder.coarse_spread
        return sigma.clamp_min(1)[:, :, None, None]

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Qualities) -> Batch:
        """Return the images, a random quality for each, and the noise that stands in for rounding in the rate."""
        if corruption.odd:
            clean = make_odd(clean, generator, corruption.odd)
        count, _, height, width = clean.shape
        low, high = corruption.quality_min, corruption.quality_max
        y = torch.rand(
            (count, self.config.latent, height // STRIDE, width // STRIDE), generator=generator, device=clean.device
        )
        low_size = height // self.stride, width // self.stride
        z = torch.rand((count, self.config.hyper, *low_size), generator=generator, device=clean.device)
        quality = low + (high - low) * torch.rand(count, generator=generator, device=clean.device)
        return {"clean": clean, "quality": quality, "y_noise": y - 0.5, "z_noise": z - 0.5}

    def code(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the reconstruction and the bits of y and of z per image, for training: gradients pass rounding."""
        quality = batch["quality"]
        knots = hats(quality)
        scale = self.normaliser(quality)
        y = self.encoder(batch["clean"], knots) * (knots @ self.log_gain).exp()[:, :, None, None]
        z = self.hyper_encoder((y / scale).clamp(-NORMALISED_LIMIT, NORMALISED_LIMIT))
        z_mean, z_index = ((knots @ table)[:, :, None, None] for table in (self.prior.z_mean, self.prior.z_index))
        z_bits = _bits(z - z_mean, batch["z_noise"], table_index(z_index).clamp(0, tables.COUNT - 1))
        features = self.prior.features(_rounded(z - z_mean) + z_mean, knots)
        known = torch.zeros_like(y)
        restored = known
        y_bits = torch.zeros(len(y), device=y.device)
        for number in range(PASSES):
            features, raw = self.prior.step(number, features, known, knots)
            mean, index = raw.chunk(2, dim=1)
            mean, index = mean * scale, table_index(index).clamp(0, tables.COUNT - 1)
            mask = pass_mask(number, y.shape[1:], y.device)
            bits = _bits(y - mean, batch["y_noise"], index)
            y_bits = y_bits + (bits * mask).sum(dim=(1, 2, 3))
            restored = torch.where(mask, _rounded(y - mean) + mean, restored)
            known = (restored / scale).clamp(-NORMALISED_LIMIT, NORMALISED_LIMIT)
        picture = self.decoder(restored * (knots @ self.log_restore).exp()[:, :, None, None], knots)
        return picture, y_bits, z_bits.sum(dim=(1, 2, 3))

    def loss(self, batch: Batch, objective: CodecObjective | None = None, fraction: float = 1.0) -> Losses:
        """Return the negative ELBO: rate + lambda · distortion, in bits per pixel."""
        structure = (objective or CodecObjective()).structure
        picture, y_bits, z_bits = self.code(batch)
        clean = batch["clean"]
        pixels = clean.shape[2] * clean.shape[3]
        mse = (picture - clean).square().mean(dim=(1, 2, 3)) * 255**2
        rate = (y_bits + z_bits) / pixels
        distortion = mse
        if structure:
            if min(clean.shape[2:]) < MS_SSIM_SIDE:
                raise UsageError(f"objective.structure needs training.crops of {MS_SSIM_SIDE} or more")
            distortion = mse + structure * SIMILARITY * (1 - ms_ssim(picture, clean))
        loss = rate + lagrangian(batch["quality"]) * distortion
        heard = loss / (1 + loss.detach() / HARD)
        loss = (heard + (loss - heard).detach()).mean()  # the loss as it is, with weaker gradients from hard images
        return {"loss": loss, "bpp": rate.mean(), "z_bpp": z_bits.mean() / pixels, "mse": mse.mean()}

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the ELBO in bits per pixel, averaged over four qualities, and the bpp and PSNR at each."""
        figures = {}
        elbo = 0.0
        for quality in VALIDATED:
            picture, y_bits, z_bits = self.code({**batch, "quality": torch.full_like(batch["quality"], quality)})
            mse = (picture.clamp(0, 1) - batch["clean"]).square().mean(dim=(1, 2, 3)) * 255**2
            rate = (y_bits + z_bits) / batch["clean"][0, 0].numel()
            elbo -= (rate + lagrangian(torch.tensor(quality)) * mse).mean().item() / len(VALIDATED)
            figures[f"bpp_{quality:g}"] = rate.mean().item()
            figures[f"psnr_{quality:g}"] = (10 * (255**2 / mse).log10()).mean().item()
        return {"elbo": elbo, **figures}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return the images coded at the lowest and at a middle validated quality, and the originals."""
        low, middle = (torch.full_like(batch["quality"], quality) for quality in VALIDATED[:2])
        return [*(self.code({**batch, "quality": quality})[0] for quality in (low, middle)), batch["clean"]]

    @property
    def identity(self) -> bytes:
        """Eight bytes that identify these weights: the start of the SHA-256 of all tensors, in order of their names.

        Raises WeightsError for weights whose results could differ between machines, with which nothing may be coded.
        """
        return self.exact().identity

    def exact(self) -> Exact:
        """Return what coding needs of the current weights, made anew only when one of them has changed.

        Changes are detected by a checksum of the values, which takes milliseconds, since fused optimizers, for example,
        leave no other trace. Raises WeightsError, see `identity`.
        """
        state = sorted(self.state_dict().items())
        place = torch.device("cpu") if self.device.type == "mps" else self.device  # MPS has no float64
        checksum = 0
        for _, tensor in state:
            checksum = zlib.crc32(_values(tensor), checksum)
        if self._exact is None or (self._exact.checksum, self._exact.prior.device) != (checksum, place):
            prior = ExactPrior(self.prior, place)
            digest = hashlib.sha256()
            for name, tensor in state:
                digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(_values(tensor))
            self._exact = Exact(checksum, digest.digest()[:8], prior, Tables(self.prior.counts))
        return self._exact

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made on demand, so that a copy makes its own."""
        return self.__dict__ | {"_exact": None}

    @torch.inference_mode()
    def encode_pixels(self, pixels: np.ndarray, quality: int) -> tuple[Coded, dict[str, float]]:
        """Encode pixels, (height, width, 1 or 3) of any type, at quality 1 to 100; also return the bits of y and z.

        Each tile has a stream of its own, so that memory does not grow with the picture.
        """
        exact = self.exact()
        knots = hats(torch.tensor([float(quality)], device=self.device))
        gain = (knots @ self.log_gain).exp()[:, :, None, None]
        scale = self.normaliser(torch.tensor([float(quality)], device=self.device))
        streams, checksum, bits, z_bits = [], 0, 0.0, 0.0
        for rows, columns in tracked(tiles(pixels.shape[0], pixels.shape[1], TILE), "coding"):
            (top, left), part = window(rows, columns, reach(self.config.encoder_blocks), STRIDE)
            y = self.encoder(self._prepared(pixels[part]), knots) * gain
            y = y[:, :, top:, left:][:, :, : rows.stop - rows.start, : columns.stop - columns.start]
            require_numbers(y)
            below, beside = -y.shape[2] % HYPER_STRIDE, -y.shape[3] % HYPER_STRIDE
            normalised = (y / scale).clamp(-NORMALISED_LIMIT, NORMALISED_LIMIT)
            z = self.hyper_encoder(F.pad(normalised, (0, beside, 0, below)))
            coder = Encoder(exact.tables, checksum)
            place = exact.prior.device
            z_bits += encode_latents(exact.prior, z[0].to(place), y[0].to(place), quality, coder)
            streams.append(coder.finish())
            checksum, bits = coder.checksum, bits + coder.bits
        coded = Coded(exact.identity, quality, TILE, checksum, round(z_bits), tuple(streams))
        return coded, {"z_bits": z_bits, "y_bits": bits - z_bits}

    @torch.inference_mode()
    def decode_pixels(
        self,
        coded: Coded,
        height: int,
        width: int,
        channels: int = 3,
        dtype: Any = np.uint8,
        lost: Collection[int] = (),
        reduction: int = 1,
    ) -> np.ndarray:
        """Return the pixels that were coded, (height, width, channels) of the given type.

        lost: numbers of tiles without a stream; their pixels, and some just beyond, are meaningless.
        reduction: 2, 4 or 8 gives a draft that is so many times smaller, its sides rounded up: see `Synthesis.forward`.
        Raises ImageError for streams that these weights did not make.
        """
        exact = self.exact()
        if coded.model != exact.identity:
            raise ImageError(f"was made with other weights ({coded.model.hex()})")
        y = np.zeros((self.config.latent, positions(height), positions(width)), np.int16)
        checksum = 0
        streams = list(enumerate(zip(tiles(height, width, coded.tile), coded.streams, strict=True)))
        whole = [part for number, part in streams if number not in lost]
        _check_lengths(whole, coded.quality, exact)
        for (rows, columns), stream in tracked(whole, "decoding"):
            decoder = Decoder(exact.tables, stream, checksum)
            size = rows.stop - rows.start, columns.stop - columns.start
            y[:, rows, columns] = decode_latents(exact.prior, coded.quality, *size, decoder).cpu().numpy()
            checksum = decoder.checksum
        if checksum != coded.checksum and not lost:
            raise ImageError("damaged: its streams decode to different numbers from those encoded")
        pixels = np.empty((-(-height // reduction), -(-width // reduction), channels), dtype)
        return self._synthesised(y, coded.quality, pixels, reduction)

    def _synthesised(self, y: np.ndarray, quality: int, pixels: np.ndarray, reduction: int = 1) -> np.ndarray:
        """Fill `pixels`, (height, width, channels), with the picture of y in sixteenths, tile by tile."""
        height, width, channels = pixels.shape
        side = STRIDE // reduction
        knots = hats(torch.tensor([float(quality)], device=self.device))
        restore = (knots @ self.log_restore).exp()[:, :, None, None] / 2**MEAN_BITS
        for rows, columns in tracked(tiles(height * reduction, width * reduction, TILE), "painting"):
            (top, left), part = window(rows, columns, reach(self.config.decoder_blocks + 1))
            picture = self._painted(y[(slice(None), *part)], restore, knots, reduction)[top * side :, left * side :]
            kept = pixels[rows.start * side : rows.stop * side, columns.start * side : columns.stop * side]
            picture = picture[: kept.shape[0], : kept.shape[1]]
            if channels == 1:
                picture = picture.mean(dim=2, keepdim=True)
            kept[:] = from_unit(picture.clamp(0, 1).cpu().numpy(), pixels.dtype)
            del picture
            give_back()
        return pixels

    def _painted(self, y: np.ndarray, restore: Tensor, knots: Tensor, reduction: int) -> Tensor:
        latents = torch.from_numpy(y).to(self.device)[None].float() * restore
        picture = self.decoder(latents, knots, reduction)[0].permute(1, 2, 0)
        require_numbers(picture)
        return picture

    def _prepared(self, pixels: np.ndarray) -> Tensor:
        """Return pixels as input for the encoder: (1, 3, height, width) in 0..1, mirrored to multiples of 16."""
        values = pad_to_multiple(to_unit(pixels).astype(np.float32, copy=False), STRIDE)
        return torch.from_numpy(values).to(self.device).permute(2, 0, 1)[None].expand(-1, 3, -1, -1)


def _check_lengths(streams: Iterable[tuple[tuple[slice, slice], bytes]], quality: int, exact: Exact) -> None:
    """Raise ImageError for streams that cannot hold their tiles, before minutes are spent on a tiny file."""
    least = least_hyper_bits(exact.prior, quality, exact.tables) / 8
    for sides, stream in streams:
        if len(stream) + SPARED < least * math.prod(hyper_positions(side.stop - side.start) for side in sides):
            raise ImageError("damaged: its streams are too short for a picture of its size")


def _values(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().numpy().data


def _bits(distance: Tensor, noise: Tensor, index: Tensor) -> Tensor:
    """Return the bits of rounded numbers at a distance from their means, with gradients in two parts.

    Scales learn from the rounded numbers, which are the ones coded. Rounding has no gradient, so numbers and means
    learn from noise in its place (Ballé et al. 2017), under scales that are not too small for noise.
    """
    coded = tables.interval_bits(distance.detach().round(), index)
    noisy = tables.interval_bits(distance + noise, index.detach().clamp_min(SMOOTHEST))
    return coded + (noisy - noisy.detach())


def _rounded(x: Tensor) -> Tensor:
    """Round numbers, passing the gradient straight through."""
    return x + (x.round() - x).detach()
