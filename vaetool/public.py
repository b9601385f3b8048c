"""The public functions: each does what the command of its name does, with the same defaults.

Images are of any kind (`vaetool.images.conversion.unpack`): paths, Pillow images, arrays, tensors; what comes back is
of the same kind, a Pillow image for a path. A model is a name, a path, or one that `vaetool.load` gave: that saves
loading it for every image.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    import numpy as np

    from vaetool.compression.codec import Codec
    from vaetool.denoising.dae import DAE
    from vaetool.images import Picture
    from vaetool.images.comparison import Comparison
    from vaetool.inpainting.flaws import Flaws
    from vaetool.inpainting.mae import MAE
    from vaetool.inpainting.task import Box
    from vaetool.latents.ae import AE
    from vaetool.latents.explore import Exploration
    from vaetool.latents.gan import GAN
    from vaetool.latents.mmvae import MMVAE
    from vaetool.latents.translate import Translation
    from vaetool.latents.vae import VAE
    from vaetool.nn.base import Model
    from vaetool.nn.precision import Precision
    from vaetool.scoring.defect import Defect
    from vaetool.scoring.detection import Score
    from vaetool.scoring.features import Features

    Name = str | os.PathLike[str]
    AnyModel = Name | Model
    Kinds = str | tuple[str, ...] | None


@overload
def load(
    name: Literal["photo-denoise", "photo-denoise-gaussian"],
    *,
    device: str = ...,
    precision: Precision = ...,
    kind: None = ...,
) -> DAE: ...
@overload
def load(
    name: Literal["photo-codec", "photo-codec-0"], *, device: str = ..., precision: Precision = ..., kind: None = ...
) -> Codec: ...
@overload
def load(name: Literal["photo-inpaint"], *, device: str = ..., precision: Precision = ..., kind: None = ...) -> MAE: ...
@overload
def load(name: Literal["scan-flaws"], *, device: str = ..., precision: Precision = ..., kind: None = ...) -> Flaws: ...
@overload
def load(
    name: Literal["digits", "faces", "fashion", "smiles"],
    *,
    device: str = ...,
    precision: Precision = ...,
    kind: None = ...,
) -> VAE: ...
@overload
def load(
    name: Literal["digits-gan", "fashion-gan"], *, device: str = ..., precision: Precision = ..., kind: None = ...
) -> GAN: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["dae"]) -> DAE: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["codec"]) -> Codec: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["mae"]) -> MAE: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["ae"]) -> AE: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["vae"]) -> VAE: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["gan"]) -> GAN: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["mmvae"]) -> MMVAE: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["flaws"]) -> Flaws: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["defect"]) -> Defect: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Literal["features"]) -> Features: ...
@overload
def load(name: Name, *, device: str = ..., precision: Precision = ..., kind: Kinds = ...) -> Any: ...
def load(name: Name, *, device: str = "auto", precision: Precision = "auto", kind: Kinds = None) -> Any:
    """Load a model by name or path: what `vaetool.store.weights.load` does, with types that an editor knows.

    precision: see `vaetool.nn.precision.set_precision`. kind: refuse models of any other kind. Raises
    ModelNotFoundError, WrongKindError, DeviceError, WeightsError.
    """
    from vaetool.store import weights

    return weights.load(name, device=device, precision=precision, kind=kind)


def denoise(
    image: Any,
    *,
    model: AnyModel = "photo-denoise",
    sigma: float | None = None,
    strength: float = 1.0,
    grain: float = 0.0,
    colour_noise: float = 0.0,
    tile: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
) -> Any:
    """Return an image without its noise, as the same kind of image.

    The parameters are those of `vaetool.denoising.cleaning.Cleaning`. Raises UsageError, ImageError.
    """
    return _model(model, ("dae",), device, precision).denoise(
        image, sigma, strength, grain=grain, colour_noise=colour_noise, tile=tile
    )


def inpaint(
    image: Any,
    mask: Any = None,
    *,
    model: AnyModel = "photo-inpaint",
    box: Box | Sequence[Box] = (),
    alpha: bool = False,
    color: str | Sequence[str] | None = None,
    fuzz: int = 48,
    auto: Sequence[str] = (),
    finder: AnyModel = "scan-flaws",
    invert_mask: bool = False,
    grow_to_edges: bool = False,
    dilate: int = 0,
    texture: bool = True,
    device: str = "auto",
    precision: Precision = "auto",
) -> Any:
    """Return an image with its holes filled, as the same kind of image.

    mask: an image of any kind that is white in the holes; or instead of it, or besides, `box`, `alpha`, `color` and
    `auto`: see `vaetool.inpainting.task.Holes`. An array or tensor has no transparency and, if it is of floats, no
    colours by name. texture: wide holes get texture from elsewhere in the picture. Raises UsageError, ImageError.
    """
    from vaetool.inpainting.task import with_hole

    ways: dict[str, Any] = {"box": box, "alpha": alpha, "color": color, "fuzz": fuzz, "auto": auto}
    extent: dict[str, Any] = {"invert_mask": invert_mask, "grow_to_edges": grow_to_edges, "dilate": dilate}
    image, hole = with_hole(image, mask, **ways, **extent, device=device, finder=finder)
    return _model(model, ("mae",), device, precision).inpaint(image, hole, texture=texture)


def sample(
    count: int = 64,
    *,
    model: AnyModel = "fashion-gan",
    temperature: float = 1.0,
    prior: str = "auto",
    latents: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
) -> np.ndarray:
    """Return new pictures, (count, size, size, channels) uint8; those of pairs side by side, (count, size, width, ...).

    The parameters are those of `vaetool.latents.sample.draw`. Raises UsageError, FileError.
    """
    from vaetool.latents import sample as sampling
    from vaetool.store.kinds import kinds_with_modalities, kinds_with_pictures

    generator = _model(model, kinds_with_pictures() + kinds_with_modalities(), device)
    return sampling.sample(generator, count, temperature=temperature, prior=prior, latents=latents, seed=seed)


def morph(
    images: Sequence[Any] = (),
    *,
    seeds: Sequence[int] = (),
    model: AnyModel = "faces",
    frames: int = 24,
    path: str = "slerp",
    loop: bool = False,
    direction: str | Path | None = None,
    against: str | Path | None = None,
    alpha: tuple[float, float] = (-1.0, 2.0),
    crop: Sequence[tuple[int, int, int, int] | None] = (),
    size: int | None = None,
    device: str = "auto",
) -> np.ndarray:
    """Return the frames from image to image, or of one along a direction: (frames, height, width, channels) uint8.

    See `vaetool.latents.morph`: `morph`, and with a `direction`, `find_direction` and `change_portrait`, of one image.
    seeds: morph between new pictures instead, those of `sample(1, seed=...)`. crop: for each image the part to take,
    (left, top, width, height), or None for a face in it or its middle square; see `vaetool.latents.portraits`.
    size: pixels of a frame's longer side, instead of 256, or the model's if that is larger, or the photo's with a
    direction. Raises UsageError, ImageError.
    """
    from vaetool.latents.morph import make_morph
    from vaetool.store.kinds import kinds_with_pictures

    return make_morph(
        _model(model, kinds_with_pictures(), device),
        images,
        seeds=seeds,
        direction=direction,
        against=against,
        alpha=alpha,
        frames=frames,
        path=path,
        loop=loop,
        crop=crop,
        size=size,
    ).frames


def translate(
    image: Any,
    *,
    model: AnyModel,
    to: str | None = None,
    source: str | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Translation:
    """Return an image in another modality, as a picture or a label, with the uncertainty.

    model: a multimodal VAE. to, source: names of modalities; each may be left out if it is the only one possible. See
    `vaetool.latents.translate`. Raises UsageError, ImageError.
    """
    from vaetool.latents.translate import translate_picture
    from vaetool.store.kinds import kinds_with_modalities

    translator = _model(model, kinds_with_modalities(), device)
    return translate_picture(translator, image, to=to, source=source, seed=seed)


def latent(
    model: AnyModel,
    data: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    format: str = "csv",  # noqa: A002 - as on the command line
    tsne: bool = False,
    html: bool = False,
    root: str | Path = ".",
    force: bool = False,
    device: str = "auto",
    warn: Callable[[str], None] = lambda message: None,
) -> Exploration:
    """Write the codes of pictures, and plots of the space they lie in, into a folder.

    The parameters are those of `vaetool.latents.explore.explore`. Raises UsageError, TrainingError.
    """
    from vaetool.latents.explore import explore
    from vaetool.store.kinds import kinds_with_codes

    autoencoder = _model(model, kinds_with_codes(), device)
    return explore(autoencoder, data, output, root=root, format=format, tsne=tsne, html=html, force=force, warn=warn)


def score(
    images: Iterable[Any],
    *,
    model: AnyModel | None = None,
    good: str | Path | None = None,
    bad: str | Path | None = None,
    by: str | None = None,
    alpha: float | None = None,
    maps: bool = False,
    device: str = "auto",
) -> list[Score]:
    """Score how unusual images are: a score, a p-value, a verdict and the components of each, in order.

    model: one that was trained on good images, or an mmvae, trained on pairs: each of the images is then a sequence of
    what belongs together, pictures and a label, in the order of its modalities. Or good: a folder or zip file of good
    images, to which a model of features is fitted, and kept until they change. bad: a folder or zip file of pictures
    known to be bad, from which a copy of the model learns how to weigh the parts of its score; to keep what it learnt,
    call `vaetool.scoring.detection.learn`. With `vaetool.scoring.detection.score` scores come one by one, for any
    number of images. Raises UsageError.
    """
    from vaetool.errors import UsageError
    from vaetool.scoring import detection
    from vaetool.store.kinds import kinds_with_modalities, kinds_with_scores

    if (model is None) == (good is None):
        raise UsageError("what is good? Give either good images or a model that was trained on them")
    if good is not None:
        from vaetool.training.cache import fitted

        model = fitted("features", good, device=device, say=lambda message: None)
    assert model is not None
    scorer = _model(model, kinds_with_scores() + kinds_with_modalities(), device)
    if bad is not None:
        scorer = copy.deepcopy(scorer)  # the caller's model stays as it is
        detection.learn(scorer, bad, warnings.warn)
    return list(detection.score(scorer, images, by=by, alpha=alpha, maps=maps))


def compare(image: Any, reference: Any) -> Comparison:
    """Compare an image with its reference, on all pages: PSNR, SSIM, MS-SSIM, the largest difference.

    Both are images of any kind, a Pillow image being the frame that it is at, or paths, of .vae files, too.
    How they are brought together: `vaetool.images.comparison`. Raises UsageError, ImageError.
    """
    from vaetool.images.comparison import Pair

    return Pair(_as_picture(image), _as_picture(reference)).compare()


def _as_picture(image: Any) -> Picture:
    if isinstance(image, str | os.PathLike):
        from vaetool.compression.decode import open_picture

        return open_picture(image)
    from vaetool.images.conversion import as_picture

    return as_picture(image, exact=True)


def _model(model: AnyModel, kinds: tuple[str, ...], device: str, precision: Precision = "float32") -> Any:
    """Return a model of one of some kinds; raise WrongKindError if it is of another."""
    from vaetool.store.weights import as_model

    return as_model(model, kind=kinds, device=device, precision=precision)
