"""How far two trainings of the same seeds are apart."""

from collections.abc import Mapping, Sequence

from torch import Tensor

Tensors = Mapping[str, Tensor]


def furthest(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    """Largest difference of two records of losses."""
    return max(abs(a - b) for first, second in zip(one, other, strict=True) for a, b in zip(first, second, strict=True))


def unequal(one: Tensors, other: Tensors) -> list[str]:
    """Names of the tensors that do not agree bit for bit."""
    return [name for name, value in one.items() if value.numpy().tobytes() != other[name].numpy().tobytes()]


def distance(one: Tensors, other: Tensors) -> float:
    """Norm of the difference of all tensors, over the norm of the first."""
    squares = [
        ((value.double() - other[name].double()).square().sum(), value.double().square().sum()) for name, value in one.items()
    ]
    apart, size = (sum(float(square[part]) for square in squares) for part in (0, 1))
    return (apart / size) ** 0.5


def off(one: Tensors, other: Tensors) -> float:
    """Largest difference of two sets of gradients, each as a share of the largest of its tensor.

    Of a tensor whose gradients are below a thousandth of the largest of all, such as the bias before a normalization, whose
    gradient is rounding alone, it is the share of that thousandth.
    """
    sizes = {name: float(value.abs().max()) for name, value in one.items()}
    least = max(sizes.values()) / 1000
    return max(float((value - other[name]).abs().max()) / max(sizes[name], least) for name, value in one.items())
