"""The plain layers. Names, arguments, defaults and parameter names are PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neurenix.nn import init, layer_functions
from neurenix.nn.module import Module, Parameter
from neurenix.tensor import Tensor


class Identity(Module):
    """The input itself; whatever arguments it is made with count nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """y = x Wᵀ + b, with W of shape (out_features, in_features)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(init.uniform((out_features, in_features), fan_in=in_features))
        self.register_parameter("bias", Parameter(init.uniform((out_features,), fan_in=in_features)) if bias else None)

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        self.weight.numpy()[...] = init.uniform((self.out_features, self.in_features), fan_in=self.in_features)
        if self.bias is not None:
            self.bias.numpy()[...] = init.uniform((self.out_features,), fan_in=self.in_features)

    def forward(self, input: Tensor) -> Tensor:
        return layer_functions.linear(input, self.weight, self.bias)


class Bilinear(Module):
    """y = x1ᵀ A x2 + b, with A of shape (out_features, in1_features, in2_features)."""

    weight: Parameter
    bias: Parameter | None

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(init.uniform((out_features, in1_features, in2_features), fan_in=in1_features))
        self.register_parameter("bias", Parameter(init.uniform((out_features,), fan_in=in1_features)) if bias else None)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        joined = input1.reshape((*input1.shape, 1)) * input2.reshape((*input2.shape[:-1], 1, self.in2_features))
        flat = joined.reshape((*input1.shape[:-1], self.in1_features * self.in2_features))
        return layer_functions.linear(flat, self.weight.reshape((self.out_features, -1)), self.bias)


class Flatten(Module):
    """Join the axes from `start_dim` to `end_dim`; the batch stays by default."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)


class Unflatten(Module):
    """Split the axis `dim` into several; one size of -1 is inferred."""

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)


class Dropout(Module):
    """In training, set each element to zero with probability p and scale the rest by 1 / (1 - p)."""

    # How many axes share one draw, counted from the end.
    shared_axes = 0

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        layer_functions.check_probability(type(self).__name__, p)
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return layer_functions.drop(input, self.p, self.training, self.shared_axes)


class Dropout1d(Dropout):
    """In training, set whole channels of (N, C, L) to zero with probability p, and scale the rest."""

    shared_axes = 1


class Dropout2d(Dropout):
    """In training, set whole channels of (N, C, H, W) to zero with probability p, and scale the rest."""

    shared_axes = 2


class Dropout3d(Dropout):
    """In training, set whole channels of (N, C, D, H, W) to zero with probability p, and scale the rest."""

    shared_axes = 3


class CosineSimilarity(Module):
    """The cosine of the angle between two tensors along `dim`; lengths below `eps` count as `eps`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return layer_functions.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return layer_functions.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)

    def config(self) -> Mapping[str, Any]:
        return {"p": self.norm, "eps": self.eps, "keepdim": self.keepdim}
