"""Which operators of torch differ from run to run on a GPU, and which of these this project uses.

torch names them in the documentation of ``torch.use_deterministic_algorithms``, in two lists: operations that refuse to run
where determinism is demanded (``core.device.prepare`` demands it), and operations that take another kernel there, which is
deterministic. The lists are those of torch 2.13. What is used is found by recording what trainings dispatch on a CPU; a GPU may
take other operators for the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

Arguments = Mapping[str, Any]  # of a call, by the names of the operator's schema


@dataclass(frozen=True)
class Listed:
    """An entry of torch's lists.

    Attributes:
        documented: its name there.
        operators: of ATen, with the overload where it matters.
        refused: whether it refuses to run, or takes another kernel.
        applies: whether a call with these arguments is meant.
    """

    documented: str
    operators: tuple[str, ...]
    refused: bool
    applies: Callable[[Arguments], bool] = lambda arguments: True


@dataclass(frozen=True)
class Use:
    """A listed operator that the project uses.

    Attributes:
        operators: of ATen.
        where: in which networks and losses.
        meaning: what that means on a GPU.
    """

    operators: tuple[str, ...]
    where: str
    meaning: str


def _adds_on_a_cpu(arguments: Arguments) -> bool:
    return arguments["accumulate"] and arguments["self"].is_cpu


def _floating(arguments: Arguments) -> bool:
    dtype = arguments["dtype"] or arguments["self"].dtype
    return dtype.is_floating_point or dtype.is_complex


CONVOLUTIONS = ("convolution", "convolution_backward")
NLL_LOSSES = ("nll_loss_forward", "nll_loss2d_forward")
UPSAMPLINGS = (
    "upsample_linear1d_backward",
    "upsample_bilinear2d_backward",
    "_upsample_bilinear2d_aa_backward",
    "upsample_bicubic2d_backward",
    "_upsample_bicubic2d_aa_backward",
    "upsample_trilinear3d_backward",
)
LISTED = (
    *(Listed(f"torch.nn.Conv{kind}{n}d", CONVOLUTIONS, False) for kind in ("", "Transpose") for n in (1, 2, 3)),
    *(Listed(f"torch.nn.ReplicationPad{n}d", (f"replication_pad{n}d_backward",), False) for n in (1, 2, 3)),
    Listed("torch.bmm", ("bmm",), False, lambda call: call["self"].is_sparse),
    Listed("torch.Tensor.__getitem__", ("index_put", "index_put_"), False, _adds_on_a_cpu),
    Listed(
        "torch.Tensor.index_put", ("index_put", "index_put_"), False, lambda call: call["self"].is_cpu or not call["accumulate"]
    ),
    Listed("torch.Tensor.put_", ("put", "put_"), False, _adds_on_a_cpu),
    Listed("torch.Tensor.scatter_add_", ("scatter_add", "scatter_add_"), False),
    Listed("torch.gather", ("scatter_add", "scatter_add_"), False),
    Listed("torch.index_add", ("index_add", "index_add_"), False),
    Listed("torch.index_select", ("index_add", "index_add_"), False),
    Listed("torch.repeat_interleave", ("index_add", "index_add_"), False),
    Listed("torch.Tensor.index_copy", ("index_copy", "index_copy_"), False),
    Listed("torch.Tensor.scatter", ("scatter.src", "scatter_.src"), False),
    Listed("torch.Tensor.scatter_reduce", ("scatter_reduce", "scatter_reduce_"), False, lambda call: call["reduce"] != "prod"),
    Listed("torch.nn.MaxPool3d", ("max_pool3d_with_indices_backward",), False),
    Listed("torch.nn.AvgPool3d", ("avg_pool3d_backward",), True),
    *(Listed(f"torch.nn.AdaptiveAvgPool{n}d", (f"_adaptive_avg_pool{n}d_backward",), True) for n in (2, 3)),
    Listed("torch.nn.AdaptiveMaxPool2d", ("adaptive_max_pool2d_backward",), True),
    *(Listed(f"torch.nn.FractionalMaxPool{n}d", (f"fractional_max_pool{n}d_backward",), True) for n in (2, 3)),
    *(Listed(f"torch.nn.MaxUnpool{n}d", (f"max_unpool{max(n, 2)}d",), True) for n in (1, 2, 3)),
    Listed("torch.nn.functional.interpolate", UPSAMPLINGS, True),
    *(Listed(f"torch.nn.ReflectionPad{n}d", (f"reflection_pad{n}d_backward",), True) for n in (1, 2, 3)),
    Listed("torch.nn.NLLLoss", NLL_LOSSES, True, lambda call: call["reduction"] != 0),
    Listed("torch.nn.CTCLoss", ("_ctc_loss_backward",), True),
    Listed("torch.nn.EmbeddingBag", ("_embedding_bag_backward",), True, lambda call: call["mode"] == 2),
    Listed("torch.Tensor.put_", ("put", "put_"), True, lambda call: not _adds_on_a_cpu(call)),
    Listed("torch.histc", ("histc",), True),
    Listed("torch.bincount", ("bincount",), True, lambda call: call["weights"] is not None),
    Listed("torch.median", ("median.dim", "nanmedian.dim"), True),
    Listed("torch.nn.functional.grid_sample", ("grid_sampler_2d_backward", "grid_sampler_3d_backward"), True),
    Listed("torch.cumsum", ("cumsum", "cumsum_"), True, _floating),
    Listed("torch.Tensor.scatter_reduce", ("scatter_reduce", "scatter_reduce_"), True, lambda call: call["reduce"] == "prod"),
    Listed("torch.Tensor.resize_", ("resize_",), True, lambda call: call["self"].is_quantized),
)

USES = (
    Use(
        ("nll_loss2d_forward",),
        "cross-entropy of voxels (segmenter, recognizers), on a CPU only",
        "not used: a GPU averages the losses of the voxels instead",
    ),
    Use(
        ("max_pool3d_with_indices_backward",),
        "max-pooling of `unet3d`, on a CPU only",
        "not used: a GPU takes the project's own gradient",
    ),
    Use(
        ("nll_loss_forward",),
        "cross-entropy of categories (`acgan`, `roi_cnn`)",
        "allowed: the list names `NLLLoss` as a whole, but in torch's source (an older version was read) only the kernel for "
        "voxels adds in no fixed order and refuses",
    ),
    Use(CONVOLUTIONS, "every network", "torch chooses a deterministic algorithm of cuDNN"),
    Use(
        ("replication_pad3d_backward",),
        "smoothing of a learned difference",
        "torch pads by indexing, and adds up the gradient in the order of the places",
    ),
    Use(
        ("index_put",),
        "gradient of an indexing: the organ's channel of a learned difference, its tumor class, positions in `swin_unetr`",
        "is listed for a CPU only: a GPU adds in the order of the places",
    ),
)


class Recorder(TorchDispatchMode):
    """Records, while it is active, the operators that are dispatched, those of backward passes included.

    Attributes:
        operators: how often each was, by its name in ATen without overload.
        listed: of these, those that torch lists, with the entries that mean them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: Counter[str] = Counter()
        self.listed: dict[str, set[Listed]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Note the operator, and call it."""
        keywords = kwargs or {}
        name = function.name().partition("::")[2]
        base = name.partition(".")[0]
        self.operators[base] += 1
        entries = [entry for entry in LISTED if {name, base} & {*entry.operators}]
        if entries:
            places = function._schema.arguments
            call = {place.name: place.default_value for place in places} | keywords
            call |= {place.name: value for place, value in zip(places, args, strict=False)}
            if meant := {entry for entry in entries if entry.applies(call)}:
                self.listed.setdefault(base, set()).update(meant)
        return function(*args, **keywords)

    @property
    def refused(self) -> set[str]:
        """Operators without a deterministic kernel, by torch's list."""
        return {name for name, entries in self.listed.items() if any(entry.refused for entry in entries)}


def unexplained(listed: Iterable[str]) -> set[str]:
    """Those of ``listed`` operators that :data:`USES` does not know."""
    return {*listed} - {operator for use in USES for operator in use.operators}


def table() -> str:
    """The rows of :data:`USES` as a table for the documentation."""
    refused = {operator for entry in LISTED if entry.refused for operator in entry.operators}
    rows = [
        (
            ", ".join(f"`{operator}`" for operator in use.operators),
            "no" if {*use.operators} & refused else "if asked for",
            use.where,
            use.meaning,
        )
        for use in USES
    ]
    header = ("operator", "deterministic, by torch's list", "where", "on a GPU")
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *rows)) + "\n"
