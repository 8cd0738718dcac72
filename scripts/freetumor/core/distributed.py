"""What the processes of one training share, so that several compute what one would.

Samples are dealt out in turn: process r of w has the slots r, r + w, r + 2 w … of a batch, and all have as many. Gradients
flow through sums and gathered batches: each process then holds w times its part of the gradient of the common loss, and the
mean over the processes (:meth:`Device.average_gradients`) is the gradient that one process would have.
"""

import types

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _Total(torch.autograd.Function):
    """Sum over all processes."""

    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        result = value.clone()
        dist.all_reduce(result)
        return result

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        return _Total.apply(gradient.contiguous())


class _Gather(torch.autograd.Function):
    """The batches of all processes as one, in the order of the slots."""

    @staticmethod
    def forward(context: object, part: Tensor) -> Tensor:
        parts = [torch.empty_like(part) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, part.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[dist.get_rank() :: dist.get_world_size()]


def total(value: Tensor) -> Tensor:
    """Sum of ``value`` over all processes; differentiable."""
    return _Total.apply(value)


def gather(part: Tensor) -> Tensor:
    """The whole batch from the parts (slots, …) of all processes; differentiable if it is floating-point."""
    return _Gather.apply(part)


def average_gradients(module: nn.Module) -> None:
    """Average the gradients of ``module`` over all processes, in one message."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    if gradients:
        message = torch.cat([gradient.flatten() for gradient in gradients]) / dist.get_world_size()
        dist.all_reduce(message)
        for gradient, mean in zip(gradients, message.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))


def synchronize_norms(network: nn.Module) -> None:
    """Let the batch normalizations of ``network`` take their statistics over the parts of all processes while they train."""
    for module in network.modules():
        if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            module.forward = types.MethodType(_normalize, module)


def separate_norms(network: nn.Module) -> None:
    """Undo :func:`synchronize_norms`, for what a single process does."""
    for module in network.modules():
        module.__dict__.pop("forward", None)


def _normalize(norm: nn.modules.batchnorm._BatchNorm, x: Tensor) -> Tensor:
    """Batch normalization of ``x`` (batch, channels, …) by the mean and the variance over all processes."""
    if not norm.training:
        return type(norm).forward(norm, x)
    others = [0, *range(2, x.dim())]
    values = x.float()
    count = total(torch.tensor(float(x.numel() // x.shape[1]), device=x.device))
    mean = total(values.sum(others)) / count
    shape = (1, -1, *(1,) * (x.dim() - 2))
    centered = values - mean.view(shape)
    variance = total(centered.square().sum(others)) / count
    if norm.track_running_stats:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            share = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
            norm.running_mean.lerp_(mean, share)
            norm.running_var.lerp_(variance * count / (count - 1), share)
    result = centered * (variance + norm.eps).rsqrt().view(shape)
    if norm.affine:
        result = result * norm.weight.view(shape) + norm.bias.view(shape)
    return result.to(x.dtype)
