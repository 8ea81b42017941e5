"""The layer of a custom op: an op that a user registered, with its attributes, as a part of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Union

from neurenix.nn.module import Module
from neurenix.tensor import Tensor
from neurenix.tensor.custom import apply, custom_attributes


class Named(Protocol):
    """What `register_op` returns."""

    @property
    def name(self) -> str: ...


class Custom(Module):
    """A registered custom op as a layer; other options are the op's attributes. Raises GraphError for what it has not.

    >>> Custom("acme.soft_clip", limit=2.0)  # doctest: +SKIP
    Custom(op='acme.soft_clip', limit=2.0)
    """

    def __init__(self, op: Union[str, Named], **attrs: Any) -> None:
        super().__init__()
        self.op = op if isinstance(op, str) else op.name
        self.attrs = custom_attributes(self.op, attrs)

    def config(self) -> Mapping[str, Any]:
        return {"op": self.op, **self.attrs}

    def forward(self, *inputs: Tensor) -> Tensor:
        return apply(self.op, *inputs, **self.attrs)
