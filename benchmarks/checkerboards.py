"""What `--upsample` does to pictures: three decoders that differ only in that, untrained and briefly trained.

    python benchmarks/checkerboards.py [--steps 300] [-o docs/checkerboards.png]

The pictures are synthetic: shaded discs anywhere on a shaded background, so that on average no pixel of a period of
eight is brighter than another. Any deviation in decoded pictures is the decoder's own pattern; it is printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from vaetool.latents.ae import AE, AEConfig, InputNoise
from vaetool.latents.trunk import Upsampling

SIZE = 64
PERIOD = 8  # three doublings
EDGE = 16  # pixels at the border that are left out of the measurement: padding shows there
PART = slice(20, 44)  # shown enlarged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/checkerboards.png"))
    arguments = parser.parse_args()
    unseen = draw_discs(256, torch.Generator().manual_seed(1))
    codes = torch.randn((1, 16), generator=torch.Generator().manual_seed(2))
    columns = {"drawn": [None, unseen[0], unseen[0, :, PART, PART]]}
    print("upsample   pattern untrained / trained (8-bit levels)   PSNR (dB)")
    for upsample in get_args(Upsampling):
        model = autoencoder(upsample)
        with torch.no_grad():
            untrained = model.eval().decoder(codes)[0]
            before = pattern(model.decoder(model.embed(unseen)))
        train(model.train(), arguments.steps)
        with torch.no_grad():
            back = model.eval().render(model.embed(unseen))
            psnr = model.validate({"clean": unseen})["psnr"]
        print(f"{upsample:10} {before:15.2f} / {pattern(back):.2f} {psnr:30.1f}", flush=True)
        columns[upsample] = [stretched(untrained), back[0], back[0, :, PART, PART]]
    plot(columns, arguments.output)


def draw_discs(count: int, generator: torch.Generator) -> Tensor:
    """Pictures with three soft discs each, (count, 1, 64, 64) in 0..1."""
    rows, columns = torch.meshgrid(torch.arange(SIZE) / SIZE, torch.arange(SIZE) / SIZE, indexing="ij")
    draws = torch.rand((count, 4, 6), generator=generator)[..., None, None]
    slope = draws[:, 0, 0] * (rows - 0.5) + draws[:, 0, 1] * (columns - 0.5)
    picture = 0.3 + 0.4 * draws[:, 0, 2] + 0.4 * slope
    for disc in draws[:, 1:].unbind(dim=1):
        distance = ((rows - disc[:, 0]).square() + (columns - disc[:, 1]).square()).sqrt()
        inside = torch.sigmoid((0.1 + 0.15 * disc[:, 2] - distance) * 60)
        picture = torch.lerp(picture, disc[:, 3] + 0.3 * (columns - disc[:, 1]), inside)
    return picture.clamp(0, 1)[:, None]


def autoencoder(upsample: str) -> AE:
    torch.manual_seed(0)
    widths = {"widths": (16, 32, 64), "blocks": (0, 0, 0), "decoder_widths": (32, 16, 16)}
    return AE(AEConfig(channels=1, size=SIZE, latent=16, norm="none", upsample=upsample, **widths))


def train(model: AE, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(model.corrupt(draw_discs(32, generator), generator, InputNoise()))["loss"].backward()
        optimizer.step()


def pattern(pictures: Tensor) -> float:
    """Standard deviation of the mean pixels at the places of a period."""
    inner = 255 * pictures[:, 0, EDGE:-EDGE, EDGE:-EDGE].mean(dim=0)
    periods = (SIZE - 2 * EDGE) // PERIOD
    return inner.view(periods, PERIOD, periods, PERIOD).mean(dim=(0, 2)).std().item()


def stretched(picture: Tensor) -> Tensor:
    low, high = picture.quantile(0.01), picture.quantile(0.99)
    return ((picture - low) / (high - low)).clamp(0, 1)


def plot(columns: dict[str, list[Tensor | None]], path: Path) -> None:
    figure = Figure(figsize=(8.4, 6.4), dpi=100, layout="constrained")
    axes = figure.subplots(3, len(columns))
    names = ("untrained", "trained briefly", "part of it")
    for column, (name, pictures) in enumerate(columns.items()):
        axes[0, column].set_title(name, fontsize=11)
        for row, picture in enumerate(pictures):
            place = axes[row, column]
            place.set_xticks([])
            place.set_yticks([])
            if picture is None:
                place.set_frame_on(False)
                continue
            top = 1 if row < 2 else float(pictures[2].max())
            low = 0 if row < 2 else float(pictures[2].min())
            place.imshow(picture[0].numpy(), cmap="gray", vmin=low, vmax=top, interpolation="nearest")
    for row, name in enumerate(names):
        axes[row, 0].set_ylabel(name, fontsize=10)
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    main()
