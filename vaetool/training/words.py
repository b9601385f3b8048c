"""Formatting of the figures of a training run."""

from __future__ import annotations

from collections.abc import Mapping

from vaetool.training.checkpoints import Progress

UNITS = {"psnr": "dB", "sigma_error": "of 255"}
FORMATS = {"psnr": ".2f", "sigma_error": ".2f", "loss": ".4g", "lr": ".1e", "images_per_second": ".0f"}
NAMES = {"images_per_second": "images/s"}


def clock(seconds: float) -> str:
    """Format a duration as mm:ss, or h:mm:ss from an hour on.

    >>> clock(83), clock(7505)
    ('1:23', '2:05:05')
    """
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def figure(name: str, value: float) -> str:
    """Format one figure with its name and unit.

    >>> figure("psnr", 27.314)
    'psnr 27.31 dB'
    """
    unit = f" {UNITS[name]}" if name in UNITS else ""
    return f"{NAMES.get(name, name)} {value:{FORMATS.get(name, '.5g')}}{unit}"


def no_gain(progress: Progress) -> str | None:
    """Return a message if the best weights of a run are its initial ones, else None."""
    if progress.figures != progress.before:
        return None
    if not progress.step:
        return "there was no time for a single step, so nothing was learnt: give more --minutes"
    return "no weights were better on held-out images than the initial ones, which are written"


def sentence(row: Mapping[str, float]) -> str:
    """Format a row of the log as one line.

    >>> sentence({"step": 10, "seconds": 61.0, "loss": 0.05, "minutes_left": 1.5})
    'step 10 at 1:01  loss 0.05  1:30 left'
    """
    words = [f"step {row['step']:.0f} at {clock(row['seconds'])}"]
    words += [figure(name, value) for name, value in row.items() if name not in HIDDEN]
    if "minutes_left" in row:
        words.append(f"{clock(60 * row['minutes_left'])} left")
    return "  ".join(words)


HIDDEN = {"step", "seconds", "minutes_left"}


def change(name: str, before: float | None, after: float, images: int) -> str:
    """Describe the change of the figure of merit by a run; before: None for a model fitted in closed form.

    >>> change("psnr", 27.314, 30.02, 14)
    'psnr 27.31 → 30.02 dB on 14 held-out images'
    """
    start = "" if before is None else f"{figure(name, before).split()[1]} → "
    rest = figure(name, after).partition(" ")[2]
    return f"{name} {start}{rest} on {images} held-out image{'s' if images != 1 else ''}"
