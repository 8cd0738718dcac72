"""Spaces in which lesions are compared as a whole, and the distances in them, each beside what real lesions reach.

space      what                                                           needs
---------  -------------------------------------------------------------  -------------------------------------------------
features   18 features of appearance (``lesion_features``)                nothing
radiomics  38 radiomics by the IBSI's definitions (``radiomics``)         nothing
network    the deepest layer of a segmentation network inside the lesion  ``evaluation.feature_network``; weights of a file
                                                                          must be stated by their SHA-256

A distance without the name of its space means nothing, nor does a Fréchet distance without its size of sample.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool3d

from freetumor.core.config import Config
from freetumor.core.errors import UserError
from freetumor.core.files import sha256_file
from freetumor.synthesizer.assembly import load_segmenter
from freetumor.synthesizer.networks import build_network, load_network
from freetumor.synthesizer.painters import window_image

from .coverage import NEAREST, density_and_coverage
from .lesion_features import LESION_FEATURES, Crop
from .likeness import Bounded, frechet_distance
from .radiomics import RADIOMICS
from .two_samples import NOTHING, from_half, kernel_distances, standardized

NETWORK = "network_"  # prefix of the columns of a network
PROBE = 64  # voxels per side of the input by which a network's deepest layer is found
DISTANCES = ("kernel", "frechet", "density", "coverage")


def spaces(table: pd.DataFrame) -> dict[str, list[str]]:
    """Columns of each space that a table of measured lesions holds."""
    found = {"features": list(LESION_FEATURES), "radiomics": list(RADIOMICS)}
    network = [name for name in table if name.startswith(NETWORK) and table[name].notna().any()]
    return found | ({"network": network} if network else {})


def space_distances(
    painted: np.ndarray,
    real: np.ndarray,
    painted_patients: np.ndarray,
    real_patients: np.ndarray,
    confidence: float,
    rng: np.random.Generator,
) -> dict[str, tuple[Bounded, Bounded]]:
    """All :data:`DISTANCES` of standardized features, of painted lesions and of real ones, from halves of the real ones.

    Args:
        painted: features (n, d).
        real: features (m, d), which also standardize.
        painted_patients: (n,).
        real_patients: (m,).
        confidence: share of the halvings that a range holds.
        rng: source of randomness.

    Returns:
        By name, of painted lesions and of real ones (the floor); see :func:`two_samples.from_half`.
    """
    options = painted_patients, real_patients, confidence, rng
    a, b = standardized(painted, real), standardized(real, real)
    between, within = cdist(a, b), cdist(b, b)

    def neighbors(apart: np.ndarray, which: int) -> Callable[[np.ndarray, np.ndarray], float]:
        return lambda x, y: density_and_coverage(apart[np.ix_(x, y)], within[np.ix_(y, y)])[which]

    found = {
        "kernel": kernel_distances(painted, real, *options),
        "frechet": from_half(lambda x, y: frechet_distance(a[x], b[y]), lambda x, y: frechet_distance(b[x], b[y]), *options),
    }
    for which, name in enumerate(("density", "coverage")):
        few = len(np.unique(real_patients)) // 2 <= NEAREST
        found[name] = (NOTHING,) * 2 if few else from_half(neighbors(between, which), neighbors(within, which), *options)
    return found


class LesionEncoder:
    """Describes lesions by the deepest layer of a segmentation network, averaged over the lesion.

    The deepest layer is the last of its convolutions with the coarsest output, whatever the network is called.

    Args:
        network: with one input channel.
        window: HU interval that the network sees as 0 to 1.
        device: where the network is.
    """

    def __init__(self, network: nn.Module, window: tuple[float, float], device: torch.device) -> None:
        self.network, self.window, self.device = network.eval(), window, device
        self._seen: dict[str, Tensor] = {}
        hooks = [
            module.register_forward_hook(lambda _module, _inputs, output, name=name: self._seen.__setitem__(name, output))
            for name, module in network.named_modules()
            if isinstance(module, nn.Conv3d)
        ]
        self._run(np.zeros((PROBE,) * 3, np.float32))
        coarsest = min(output.shape[2] for output in self._seen.values())
        self.layer = [name for name, output in self._seen.items() if output.shape[2] == coarsest][-1]
        self.size = self._seen[self.layer].shape[1]
        self.stride = PROBE // coarsest
        for hook in hooks:
            hook.remove()
        network.get_submodule(self.layer).register_forward_hook(
            lambda _m, _i, output: self._seen.__setitem__(self.layer, output)
        )

    def __call__(self, crop: Crop) -> dict[str, float]:
        """Features ``network_000`` ... of a lesion."""
        lacking = [-length % self.stride for length in crop.image.shape]
        image, lesion = (np.pad(array, [(0, n) for n in lacking], mode="edge") for array in (crop.image, crop.lesion))
        self._run(window_image(image, self.window))
        layer = self._seen[self.layer][0].float()
        inside = torch.from_numpy(lesion.astype(np.float32))[None, None].to(self.device)
        share = adaptive_avg_pool3d(inside, layer.shape[1:])[0, 0]
        means = (layer * share).sum(dim=(1, 2, 3)) / share.sum()
        return {f"{NETWORK}{index:03d}": float(value) for index, value in enumerate(means.cpu())}

    @torch.inference_mode()
    def _run(self, image: np.ndarray) -> None:
        self.network(torch.from_numpy(image)[None, None].to(self.device))


def load_encoder(config: Config, weights: str | Path, device: torch.device) -> LesionEncoder:
    """The encoder that the study asks for.

    Args:
        config: the study, with ``evaluation.feature_network``.
        weights: safetensors of the study's segmenter, or of the file that is asked for.
        device: where to compute.

    Raises:
        UserError: if the file is not the one that was stated, or if its weights do not fit.
    """
    settings = config.evaluation.feature_network
    if settings.network is None:
        network = load_segmenter(weights, config.segmenter.network, config, device)
        return LesionEncoder(network, config.working.window, device)
    if not Path(weights).is_file():
        raise UserError(f"{weights}: weights not found; see evaluation.feature_network.weights")
    found = sha256_file(weights)
    if found != settings.sha256:
        raise UserError(f"{weights}: has SHA-256 {found}, but evaluation.feature_network.sha256 says {settings.sha256}")
    network = build_network(settings.network, 1, settings.outputs, seed=0)
    return LesionEncoder(load_network(weights, network, config, device), config.working.window, device)
