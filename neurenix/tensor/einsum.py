"""einsum: sums of products named by letters, made of permutations, matrix products and sums."""

from __future__ import annotations

import re
from collections.abc import Sequence

from neurenix.dims import Size, product
from neurenix.errors import GraphError
from neurenix.tensor.methods import Operand
from neurenix.tensor.tensor import Tensor, as_tensor

# A letter, or for an axis under an ellipsis its place from the end.
Label = str

_TERM = re.compile(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*")


def einsum(equation: str, *operands: Operand) -> Tensor:
    """Evaluate Einstein's summation, as `numpy.einsum` and `torch.einsum` do.

    Each letter names an axis: what has the same letter is multiplied, and letters that the output leaves out are
    summed. `...` stands for axes that broadcast. Without `->` the output has the letters that occur once, in
    alphabetical order, behind the ellipsis. Raises GraphError for an equation that does not fit the operands.
    """
    tensors = [as_tensor(o) for o in operands]
    terms, out = _parse(equation, tensors)
    parts = [_without_repeats(t, labels, equation) for t, labels in zip(tensors, terms)]
    sizes = _sizes(parts, equation)
    unknown = [label for label in out if label not in sizes]
    if unknown:
        raise GraphError(f"einsum '{equation}': the output's '{unknown[0]}' is in no operand")
    tensor, labels = parts[0]
    for at, (other, theirs) in enumerate(parts[1:], start=2):
        later = {*out, *(label for _, more in parts[at:] for label in more)}
        tensor, labels = _multiply(tensor, labels, other, theirs, later, sizes)
    summed = [i for i, label in enumerate(labels) if label not in out]
    if summed:
        tensor, labels = tensor.sum(tuple(summed)), [label for label in labels if label in out]
    return tensor if labels == out else tensor.permute(tuple(labels.index(label) for label in out))


def _parse(equation: str, tensors: Sequence[Tensor]) -> tuple[list[list[Label]], list[Label]]:
    text = equation.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(tensors):
        raise GraphError(f"einsum '{equation}' names {len(terms)} operands, got {len(tensors)}")
    if not all(_TERM.fullmatch(term) for term in (*terms, output)):
        raise GraphError(f"einsum '{equation}' is not of the form 'ij,jk->ik': letters, commas, '...' and one '->'")
    ranks = [t.ndim - len(term.replace("...", "")) for t, term in zip(tensors, terms)]
    for t, term, rank in zip(tensors, terms, ranks):
        if rank < 0 or (rank and "..." not in term):
            raise GraphError(f"einsum '{equation}': '{term}' does not name the axes of {list(t.shape)}")
    hidden = max((rank for rank, term in zip(ranks, terms) if "..." in term), default=0)
    named = [_labels(term, rank) for term, rank in zip(terms, ranks)]
    if arrow:
        if "..." in output and not any("..." in term for term in terms):
            raise GraphError(f"einsum '{equation}': the output has an ellipsis, no operand has")
        out = _labels(output, hidden)
        if len(set(out)) != len(out):
            raise GraphError(f"einsum '{equation}': the output names an axis twice")
        return named, out
    letters = "".join(terms).replace(".", "")
    once = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return named, _labels("..." + once if hidden else once, hidden)


def _labels(term: str, hidden: int) -> list[Label]:
    """Return the labels of a term's axes; those under the ellipsis are called by their place from the end."""
    before, dots, after = term.partition("...")
    return [*before, *(f".{i}" for i in range(hidden, 0, -1) if dots), *after]


def _without_repeats(t: Tensor, labels: list[Label], equation: str) -> tuple[Tensor, list[Label]]:
    """Take the diagonal where an operand names two of its axes alike."""
    while len(set(labels)) != len(labels):
        label = next(x for x in labels if labels.count(x) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        n, other = t.shape[first], t.shape[second]
        if n != other or not isinstance(n, int):
            raise GraphError(f"einsum '{equation}': '{label}' is {n} and {other} in one operand: no diagonal there")
        rest = [i for i in range(t.ndim) if i not in (first, second)]
        flat = t.permute((*rest, first, second)).reshape((*(t.shape[i] for i in rest), n * n))
        every = (None,) * flat.ndim
        t = flat.apply("slice", starts=every, stops=every, steps=(*(1 for _ in rest), n + 1))
        labels = [*(labels[i] for i in rest), label]
    return t, labels


def _sizes(parts: Sequence[tuple[Tensor, list[Label]]], equation: str) -> dict[Label, Size]:
    sizes: dict[Label, Size] = {}
    for tensor, labels in parts:
        for label, size in zip(labels, tensor.shape):
            known = sizes.get(label, 1)
            if known != size and 1 not in (known, size):
                raise GraphError(f"einsum '{equation}': '{label.strip('.')}' is {known} and {size}")
            sizes[label] = size if known == 1 else known
    return sizes


def _multiply(
    a: Tensor, left: list[Label], b: Tensor, right: list[Label], later: set[Label], sizes: dict[Label, Size]
) -> tuple[Tensor, list[Label]]:
    """Multiply two operands, and sum over what nothing later needs."""
    a, left = _reduced(a, left, {*right, *later})
    b, right = _reduced(b, right, {*left, *later})
    batch = [label for label in left if label in right and label in later]
    inner = [label for label in left if label in right and label not in later]
    rows, columns = ([x for x in own if x not in (*batch, *inner)] for own in (left, right))
    names = [*batch, *rows, *columns]
    if not inner:
        return _spread(a, left, names) * _spread(b, right, names), names
    depth, kept = product(tuple(sizes[x] for x in inner)), (len(batch), len(inner))
    a = _turned(_expanded(a, left, inner, sizes), left, [*batch, *rows, *inner])
    b = _turned(_expanded(b, right, inner, sizes), right, [*batch, *inner, *columns])
    a_rows, b_columns = a.shape[kept[0] : a.ndim - kept[1]], b.shape[sum(kept) :]
    a = a.reshape((*a.shape[: kept[0]], product(a_rows), depth))
    b = b.reshape((*b.shape[: kept[0]], depth, product(b_columns)))
    y = a @ b
    return y.reshape((*y.shape[: kept[0]], *a_rows, *b_columns)), names


def _reduced(t: Tensor, labels: list[Label], needed: set[Label]) -> tuple[Tensor, list[Label]]:
    """Sum over the axes that this operand alone has and nothing needs."""
    gone = [i for i, label in enumerate(labels) if label not in needed]
    return (t.sum(tuple(gone)), [x for x in labels if x in needed]) if gone else (t, labels)


def _turned(t: Tensor, labels: list[Label], order: list[Label]) -> Tensor:
    return t if labels == order else t.permute(tuple(labels.index(label) for label in order))


def _spread(t: Tensor, labels: list[Label], names: list[Label]) -> Tensor:
    """Bring the axes into an order of names, with 1 for each that is missing."""
    turned = _turned(t, labels, [x for x in names if x in labels])
    sizes = iter(turned.shape)
    return turned.reshape(tuple(next(sizes) if x in labels else 1 for x in names))


def _expanded(t: Tensor, labels: list[Label], inner: list[Label], sizes: dict[Label, Size]) -> Tensor:
    """Repeat an axis of 1 that is summed against a longer one."""
    shape = tuple(sizes[x] if x in inner else s for x, s in zip(labels, t.shape))
    return t if shape == t.shape else t.expand(shape)
