"""Max-pooling of windows that do not overlap, with a gradient that is the same in every run on every device."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import max_pool3d


class MaxPool3d(nn.Module):
    """Maximum of each 2 x 2 x 2 window: on a CPU bit for bit the values and the gradients of ``torch.nn.MaxPool3d(2)``.

    A gradient goes to the first maximum of its window, and windows do not overlap, so that nothing has to be added up. torch's
    own backward pass adds on a GPU, in no fixed order. torch 2.13 documents a deterministic one where that is asked for, but
    its code turns to it only if the pooling returns its indices, and gathers all windows by indexing then. A CPU takes torch's,
    which is faster there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, z, y, x) to half of each size, rounded down."""
        return max_pool3d(x, 2) if x.device.type == "cpu" else Pool.apply(x)


class Pool(torch.autograd.Function):
    """The pooling of a GPU."""

    @staticmethod
    def forward(context: FunctionCtx, x: Tensor) -> Tensor:
        values, places = torch.ops.aten.max_pool3d_with_indices(x, [2, 2, 2])
        context.save_for_backward(places)
        context.size = x.shape[2:]
        return values

    @staticmethod
    @once_differentiable
    def backward(context: FunctionCtx, gradient: Tensor) -> Tensor:
        (places,) = context.saved_tensors
        return spread(gradient, places, context.size)


def spread(gradient: Tensor, places: Tensor, size: Sequence[int]) -> Tensor:
    """The gradient of a volume from that of its pooled values: each goes to the place of its maximum.

    Args:
        gradient: of the pooled values, (batch, channels, z, y, x).
        places: of the maxima, counted through the volume (z, y, x); int64, the shape of ``gradient``.
        size: of the volume.

    Returns:
        (batch, channels, *size).
    """
    result = gradient.new_zeros((*gradient.shape[:2], *size))
    gradient, zero = gradient + 0.0, gradient.new_zeros(())  # -0.0 becomes 0.0, as in a sum
    pooled, strides = gradient.shape[2:], (size[1] * size[2], size[2], 1)
    z, y, x = (2 * stride * torch.arange(n, device=gradient.device) for stride, n in zip(strides, pooled, strict=True))
    within = (places - (z[:, None, None] + y[:, None] + x)).int()  # counted from the first voxel of the window
    for corner in product((0, 1), repeat=3):
        step = sum(offset * stride for offset, stride in zip(corner, strides, strict=True))
        part = tuple(slice(offset, 2 * n, 2) for offset, n in zip(corner, pooled, strict=True))
        torch.where(within == step, gradient, zero, out=result[(..., *part)])
    return result
