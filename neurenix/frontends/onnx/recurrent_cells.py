"""What RNN, LSTM and GRU may ask for beyond the recurrent rows: other activations, clipping, a cell step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from neurenix.dims import Dim
from neurenix.errors import ModelError, UnsupportedError
from neurenix.tensor import Tensor, stack, where

# More steps than this are more nodes than a plan should have: each makes some ten of them.
MOST_STEPS = 512

Cell = Callable[[Tensor, "list[Tensor]"], "list[Tensor]"]


@dataclass(frozen=True)
class Activation:
    """One of ONNX's activation functions with its parameters."""

    name: str
    alpha: float
    beta: float

    def __call__(self, x: Tensor) -> Tensor:
        return _FUNCTIONS[self.name][0](x, self.alpha, self.beta)


# Each with its default alpha and beta; None where it has none.
_FUNCTIONS: dict[str, tuple[Callable[[Tensor, float, float], Tensor], float | None, float | None]] = {
    "Relu": (lambda x, a, b: x.relu(), None, None),
    "Tanh": (lambda x, a, b: x.tanh(), None, None),
    "Sigmoid": (lambda x, a, b: x.sigmoid(), None, None),
    "Affine": (lambda x, a, b: x * a + b, 1.0, 0.0),
    "LeakyRelu": (lambda x, a, b: x.leaky_relu(a), 0.01, None),
    "ThresholdedRelu": (lambda x, a, b: x.threshold(a, 0.0), 1.0, None),
    "ScaledTanh": (lambda x, a, b: (x * b).tanh() * a, 1.0, 1.0),
    "HardSigmoid": (lambda x, a, b: (x * a + b).clamp(0.0, 1.0), 0.2, 0.5),
    "Elu": (lambda x, a, b: x.elu(a), 1.0, None),
    "Softsign": (lambda x, a, b: x.softsign(), None, None),
    "Softplus": (lambda x, a, b: x.softplus(), None, None),
}


def activations_of(
    names: Sequence[str] | None, alpha: Sequence[float] | None, beta: Sequence[float] | None,
    otherwise: tuple[str, ...], directions: int,
) -> list[tuple[Activation, ...]]:  # fmt: skip
    """Return each direction's activations. The parameters belong to those functions that have some, in their order."""
    count = len(otherwise)
    wanted = list(names) if names else list(otherwise) * directions
    if len(wanted) == 2 * count and directions == 1:  # RNN's default names two
        wanted = wanted[:count]
    if len(wanted) != count * directions:
        raise ModelError(f"its activations are {len(wanted)}, and must be {count} for each of {directions} directions")
    known = {name.lower(): name for name in _FUNCTIONS}
    alphas, betas = list(alpha or ()), list(beta or ())
    found = []
    for given in wanted:
        if given.lower() not in known:
            raise ModelError(f"the activation {given[:60]!r} is none of {', '.join(_FUNCTIONS)}")
        name = known[given.lower()]
        _, a, b = _FUNCTIONS[name]
        found.append(Activation(name, _taken(alphas, a), _taken(betas, b)))
    return [tuple(found[d * count : (d + 1) * count]) for d in range(directions)]


def _taken(given: list[float], otherwise: float | None) -> float:
    """Take the next parameter for a function that has one, its default where none is left."""
    return 0.0 if otherwise is None else given.pop(0) if given else otherwise


def clipped(x: Tensor, clip: float | None) -> Tensor:
    """Return what goes into an activation, within -clip to clip."""
    if clip is None:
        return x
    if not clip > 0:
        raise ModelError(f"its attribute 'clip' is {clip}, and must be more than 0")
    return x.clamp(-clip, clip)


def stepped(cell: Cell, x: Tensor, initial: Sequence[Tensor], lengths: Tensor | None, reverse: bool) -> list[Tensor]:
    """Return the states after each step of x (T, N, G), each (T, N, H); a sequence that has ended keeps its state."""
    steps, batch = x.shape[:2]
    if isinstance(steps, Dim) or steps > MOST_STEPS:
        raise UnsupportedError(
            "peepholes, clip, input_forget, unusual activations and weights that the model computes are supported for "
            f"up to {MOST_STEPS} steps, and there are {steps}: fix their number with dims, or export the model without"
        )
    if steps < 1:
        raise ModelError("its input has no steps")
    state = [s.expand((batch, s.shape[1])) for s in initial]
    ends = None if lengths is None else lengths.cast("int64").reshape((-1, 1))
    made: list[list[Tensor]] = [[] for _ in range(steps)]
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        new = cell(x[t], state)
        state = new if ends is None else [where(ends > t, n, s) for n, s in zip(new, state)]
        made[t] = state
    return [stack([states[i] for states in made]) for i in range(len(initial))]
