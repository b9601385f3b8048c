"""Multimodal variational autoencoder: several pictures of the same thing, or a picture and its label, with one code.

The code has units shared by all modalities, and private ones for each modality of pictures, for what it alone shows.
The posterior of shared units is the product of the prior and those of the modalities that are seen (Wu & Goodman 2018,
section 2.2). In training each subset of the modalities is seen in turn and all are predicted from it, so the posterior
is a mixture of such products (Sutter, Daunhawer & Vogt 2021, section 4). Private units of unseen modalities are 0, the
mean of their prior, so anything that predicts another modality has to be shared (in the spirit of Palumbo, Daunhawer &
Vogt 2023, section 3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vaetool.images.conversion import to_tensor
from vaetool.images.sources import Source
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.mmvae_config import MMVAEConfig, MMVAEObjective, arranged, resolve_config, sampling_weights
from vaetool.latents.modalities import Labels, Modality, Pictures, dependence, numbers, product_of_experts
from vaetool.latents.vae import ACTIVE, LOG_VAR_LIMITS, Posterior
from vaetool.nn.base import Batch, Facts, ImageStore, Losses, Nothing, TrainingImages, register
from vaetool.scoring.scorer import Scorer

CHANCE = 0.6
"""AUROC below which true pairs are hardly told from random ones."""


@register("mmvae")
class MMVAE(Autoencoder, Scorer):
    """The multimodal variational autoencoder. See the module's docstring."""

    Config = MMVAEConfig
    Corruption = Nothing
    Objective = MMVAEObjective
    metric = "elbo"
    shown = ("original", "reconstruction", "each from the others", "new")
    has_modalities = True
    defaults: ClassVar[dict[str, dict[str, Any]]] = {**Autoencoder.defaults, "data": {"calibration": 0.2}}
    methods = ("pmi",)
    default_method = "pmi"
    config: MMVAEConfig
    ratio: Tensor

    def __init__(self, config: MMVAEConfig) -> None:
        super().__init__(config)
        self.parts = nn.ModuleList(
            Pictures(config.trunk(planes), config.private, likelihood, config.places)
            if planes
            else Labels(max(1, len(config.labels)), config.shared, config.size, config.places)
            for planes, likelihood in zip(config.planes, config.likelihoods, strict=True)
        )
        self.register_buffer("ratio", torch.tensor([0.0, *(1.0 for _ in config.planes)]))  # see `fit_ratio`

    @classmethod
    def resolve_config(cls, config: MMVAEConfig, sources: Sequence[Source], modalities: Sequence[str]) -> MMVAEConfig:
        """Return the configuration completed from the images; see `Model.resolve_config`."""
        return resolve_config(config, sources, modalities)

    @classmethod
    def whole(cls, source: Source, config: MMVAEConfig) -> np.ndarray:
        """Return the planes of all modalities of an image, (size, size, planes) uint8; see `Model.whole`."""
        pictures = (read() for read in (source.read, *source.others))
        return arranged([*pictures, *([source.label] if config.labels else [])], config)

    @classmethod
    def sampling_weights(cls, images: ImageStore, config: MMVAEConfig) -> Tensor | None:
        """Return sampling weights, if there are masks; see `Model.sampling_weights`."""
        return sampling_weights(images, config)

    def prepare(self, image: Any) -> Tensor:
        """Prepare modalities as input, (planes, size, size), given a sequence of images of any kind, the label last.

        An array of planes, as returned by `whole`, also works. Raises ImageError for a label unknown to the model.
        """
        planes = image if isinstance(image, np.ndarray) else arranged(image, self.config)
        return to_tensor(planes)

    def seen(self, source: Source) -> np.ndarray:
        """Return the modalities of an image for `prepare`; see `Scorer.seen`."""
        return self.whole(source, self.config)

    def modality(self, index: int) -> Modality:
        """Return the networks of a modality."""
        part = self.parts[index]
        assert isinstance(part, Modality)
        return part

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Split planes into those of the modalities."""
        return x.split([max(1, planes) for planes in self.config.planes], dim=1)

    @property
    def shared(self) -> int:
        """The number of entries of a code that all modalities share."""
        return self.config.shared * self.config.places**2

    @property
    def dims(self) -> int:
        """The number of values in all modalities of one thing."""
        return sum(self.modality(index).dims for index in range(len(self.parts)))

    def posteriors(self, x: Tensor, seen: Tensor) -> tuple[Posterior, list[Posterior]]:
        """Return the posteriors of shared units, and of the private units of each modality as if it were seen.

        x: (batch, planes, size, size) in 0..1. seen: (batch, modalities) bool.
        """
        experts = []
        for index, planes in enumerate(self.split(x)):
            mean, log_var = self.modality(index).encode(planes).float().chunk(2, dim=1)
            experts.append((mean, log_var.clamp(*LOG_VAR_LIMITS)))
        shared = self.shared
        means, log_vars = (torch.stack([each[:, :shared] for each in kind]) for kind in zip(*experts, strict=True))
        return Posterior(*product_of_experts(means, log_vars, seen)), [
            Posterior(mean[:, shared:], log_var[:, shared:]) for mean, log_var in experts
        ]

    def pieces(self, code: Tensor) -> tuple[Tensor, ...]:
        """Split codes, (..., numbers), into shared units and the private ones of each modality."""
        sizes = [self.modality(index).private for index in range(len(self.parts))]
        return code.split([self.shared, *sizes], dim=-1)

    def all_seen(self, x: Tensor) -> Tensor:
        """Return a mask with every modality marked as seen, (batch, modalities)."""
        return torch.ones((len(x), len(self.parts)), dtype=torch.bool, device=x.device)

    def embed(self, x: Tensor) -> Tensor:
        """Return the means of posteriors given all modalities; see `Autoencoder.embed`."""
        shared, private = self.posteriors(x, self.all_seen(x))
        return torch.cat([shared.mean, *(each.mean for each in private)], dim=1)

    def draw_codes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one code from each posterior given all modalities."""
        noise = torch.randn((len(x), self.config.numbers), generator=generator, device=x.device)
        posteriors = self.posteriors(x, self.all_seen(x))
        parts = zip((posteriors[0], *posteriors[1]), self.pieces(noise), strict=True)
        return torch.cat([posterior.sample(each) for posterior, each in parts], dim=1)

    def render(self, z: Tensor) -> Tensor:
        """Decode codes to the planes of all modalities, (batch, planes, size, size) in 0..1."""
        shared, *private = self.pieces(z)
        modalities = ((self.modality(index), w) for index, w in enumerate(private))
        return torch.cat([each.planes_of(each.decode(torch.cat([shared, w], dim=1))) for each, w in modalities], dim=1)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decode codes to the pictures of all modalities side by side, (codes, size, width, channels) uint8."""
        planes = torch.from_numpy(super().decode(codes)).permute(0, 3, 1, 2)
        return self.side_by_side(planes).permute(0, 2, 3, 1).numpy()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities; see `Generative.modalities`."""
        return self.config.modalities

    def decode_apart(self, codes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the pictures of codes; see `Generative.decode_apart`."""
        shown = [max(1, planes) for planes in self.config.planes]
        for planes in super().decode(codes):
            parts = np.split(planes, np.cumsum(shown)[:-1], axis=2)
            yield from (part for part, channels in zip(parts, self.config.planes, strict=True) if channels)

    @torch.inference_mode()
    def labels_of(self, codes: np.ndarray) -> list[str]:
        """Return the likeliest labels of codes, by name."""
        index = self.config.planes.index(0)
        shared = torch.from_numpy(codes[:, : self.shared]).to(self.device)
        return [self.config.labels[number] for number in self.modality(index).decode(shared).argmax(dim=1).tolist()]

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Nothing) -> Batch:
        """Return all modalities, a mask of the seen ones, and the noise for drawing codes."""
        count, device = len(self.parts), clean.device
        subset = torch.randint(1, 2**count, (len(clean), 1), generator=generator, device=device)
        seen = (subset >> torch.arange(count, device=device)) % 2 == 1
        noise = torch.randn((len(clean), self.config.numbers), generator=generator, device=device)
        return {"clean": clean, "seen": seen, "noise": noise}

    def terms(self, x: Tensor, seen: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log p(modality given code), (batch, modalities), the KL of all units, (batch,), and the `dependence`.

        All are in nats; the last is one number.
        """
        shared, private = self.posteriors(x, seen)
        shared_by_private = dependence(shared.mean, [posterior.mean for posterior in private])
        shared_noise, *private_noise = self.pieces(noise)
        z, kl = shared.sample(shared_noise), shared.kl().sum(dim=1)
        log_likelihoods = []
        for index, (planes, posterior, e) in enumerate(zip(self.split(x), private, private_noise, strict=True)):
            modality, mine = self.modality(index), seen[:, index]
            w = posterior.sample(e) * mine[:, None]
            output = modality.decode(torch.cat([z, w], dim=1))
            found = torch.zeros(len(x), device=x.device)
            for is_seen in (True, False):
                rows = mine if is_seen else ~mine
                if rows.any():
                    found[rows] = modality.log_likelihood(output[rows], planes[rows], seen=is_seen).float()
            log_likelihoods.append(found)
            kl = kl + posterior.kl().sum(dim=1) * mine
        return torch.stack(log_likelihoods, dim=1), kl, shared_by_private

    def loss(self, batch: Batch, objective: MMVAEObjective | None = None, fraction: float = 1.0) -> Losses:
        """Return the negative bound on the log-likelihood of all modalities, per dimension; see `VAE.loss`."""
        objective = objective or MMVAEObjective()
        log_likelihoods, kl, shared_by_private = self.terms(batch["clean"], batch["seen"], batch["noise"])
        weights = [
            objective.label_weight if not planes else objective.mask_weight if is_mask else 1.0
            for planes, is_mask in zip(self.config.planes, self.config.are_masks, strict=True)
        ]
        reconstruction = (log_likelihoods * log_likelihoods.new_tensor(weights)).sum(dim=1).mean()
        cost = objective.kl_weight(fraction) * kl.mean() + objective.difference * shared_by_private
        loss = (cost - reconstruction) / self.dims
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl.mean()}

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the bound in nats, averaged over subsets and with all seen; active units; the accuracy of labels.

        The active units are those of the shared code. Labels are predicted from all other modalities.
        """
        bounds: list[Tensor] = []
        joint: list[Tensor] = []
        means, right = [], []
        parts = (batch[name].split(self.batch_size) for name in ("clean", "seen", "noise"))
        for x, seen, noise in zip(*parts, strict=True):
            for found, which in ((bounds, seen), (joint, self.all_seen(x))):
                log_likelihoods, kl, _ = self.terms(x, which, noise)
                found.append(log_likelihoods.sum(dim=1) - kl)
            means.append(self.posteriors(x, self.all_seen(x))[0].mean)
            if self.config.labels:
                last = len(self.parts) - 1
                told = self.translate(x, last, self.others_seen(x, last))
                right.append(told.argmax(dim=1) == numbers(self.split(x)[-1]))
        units = torch.cat(means)
        figures = {"elbo": torch.cat(bounds).mean().item(), "joint": torch.cat(joint).mean().item()}
        if right:
            figures["accuracy"] = torch.cat(right).float().mean().item()
        active = float((units.var(dim=0) > ACTIVE).sum()) if len(units) > 1 else float(self.shared)
        return figures | {"active_units": active}

    @torch.inference_mode()
    def components(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the components of scores, (batch,) each; see `Scorer.components`.

        `pmi`: an estimate of the pointwise mutual information of the modalities, log p(a, b) − log p(a) − log p(b), in
        nats: a sum of `gains`, weighted by `fit_ratio`.
        """
        return {"pmi": self.ratio[0] + self.gains(x) @ self.ratio[1:]}

    def gains(self, x: Tensor) -> Tensor:
        """Return how well each modality is predicted from the others, (batch, modalities), in nats.

        log p(a given z) at the mean of q(z given the others), minus that at the mean of q(z given a). Averaging eight
        draws did not separate pairs any better.
        """
        found = []
        for index, planes in enumerate(self.split(x)):
            others = self.others_seen(x, index)
            told, itself = (
                self.modality(index).log_likelihood(self.translate(x, index, seen), planes, seen=False)
                for seen in (others, ~others)
            )
            found.append(told - itself)
        return torch.stack(found, dim=1)

    def complete(self, images: TrainingImages, held_out: Batch, corruption: Any, generator: torch.Generator) -> Facts:
        """Also learn to recognise what belongs together; see `Model.complete`.

        The values get `pairs_auroc`, the AUROC of held-out pairs against random ones, and a `doubt` if that is hardly
        better than chance.
        """
        auroc = self.fit_ratio(held_out["clean"])
        # Codes of many places are too long for a density to be fitted: samples are drawn from N(0, I).
        describe = super().complete if self.config.places == 1 else super(Autoencoder, self).complete
        words, values = describe(images, held_out, corruption, generator)
        told = f"held-out pairs are told from random pairs with an AUROC of {auroc:.3f}"
        values["pairs_auroc"] = round(auroc, 4)
        if auroc < CHANCE:
            told += ", hardly better than chance: the model has not learnt what belongs together; train it longer"
            values["doubt"] = told
        return Facts([told, *words], values)

    @torch.inference_mode()
    def fit_ratio(self, x: Tensor) -> float:
        """Fit the weights of `gains` in a score, and return their AUROC.

        The log-odds of a logistic regression that tells true from random pairs are the logarithm of
        p(a, b) / p(a) p(b) (Sugiyama, Suzuki & Kanamori 2012, section 4.2). x: held-out pairs.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score

        mixed = torch.cat([part.roll(index, 0) for index, part in enumerate(self.split(x))], dim=1)
        parts = (part for each in (x, mixed) for part in each.split(self.batch_size))
        gains = np.concatenate([self.gains(part).cpu().numpy() for part in parts])
        belongs = np.arange(len(gains)) < len(x)
        spread = gains.std(axis=0).clip(1e-6)
        fitted = LogisticRegression().fit(gains / spread, belongs)
        weights = np.concatenate([fitted.intercept_, fitted.coef_[0] / spread])
        self.ratio.copy_(torch.from_numpy(weights))
        return float(roc_auc_score(belongs, fitted.decision_function(gains / spread)))

    def translate(self, x: Tensor, index: int, seen: Tensor) -> Tensor:
        """Return the output of a modality's decoder for the mean of the posterior, with private units of 0."""
        shared, private = self.posteriors(x, seen)
        return self.modality(index).decode(torch.cat([shared.mean, torch.zeros_like(private[index].mean)], dim=1))

    def others_seen(self, x: Tensor, index: int) -> Tensor:
        """Return a mask with every modality but one marked as seen, (batch, modalities)."""
        seen = torch.ones((len(x), len(self.parts)), dtype=torch.bool, device=x.device)
        seen[:, index] = False
        return seen

    def find_directions(self, codes: np.ndarray, labels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
        """Return no directions, since labels are a modality."""
        return {}

    def baseline(self, training: ImageStore, held_out: Tensor, generator: torch.Generator) -> dict[str, Any]:
        """Return no baseline, since there is no linear code of several modalities."""
        return {}

    def diagnose(self, figures: Mapping[str, float]) -> str | None:
        """Return advice if the shared units have collapsed, else None."""
        if figures["active_units"] >= 1:
            return None
        return (
            "the shared code has collapsed: no unit tells anything about a modality. Either the modalities have nothing"
            " in common, or try a lower --beta, a slower start (--set objective.warmup=0.3), or longer training"
        )

    def example(self, batch: Batch) -> list[Tensor]:
        """Return pictures, side by side, their reconstructions, each from the others, and samples from the prior."""
        clean = batch["clean"]
        translated = [
            self.modality(index).planes_of(self.translate(clean, index, self.others_seen(clean, index)))
            for index in range(len(self.parts))
        ]
        made = (clean, self.render(self.embed(clean)), torch.cat(translated, dim=1), self.render(batch["noise"]))
        return [self.side_by_side(planes) for planes in made]

    def side_by_side(self, x: Tensor) -> Tensor:
        """Return the pictures of all modalities side by side, (batch, 1 or 3, size, width)."""
        channels = max(self.config.planes)
        pictures = [part for part, planes in zip(self.split(x), self.config.planes, strict=True) if planes]
        return torch.cat([part.expand(-1, channels, -1, -1) for part in pictures], dim=3)
