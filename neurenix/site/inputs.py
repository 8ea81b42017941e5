"""How the page of a model makes its inputs, where the signature does not tell: values of a picture, rate of a sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurenix.config.rules import at_least, suggestion
from neurenix.errors import ConfigError

_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class InputHints:
    """What a model's page should know, as its training did: `(share - mean) / std` of a channel from 0 to 1."""

    mean: tuple[float, ...] = field(
        default=(), metadata={"description": "The mean of a picture's channels, from 0 to 1: one, or one for each."}
    )
    std: tuple[float, ...] = field(
        default=(), metadata={"description": "Their spread, from 0 to 1: what is left is divided by it."}
    )
    invert: bool | None = field(
        default=None, metadata={"description": "Swap light and dark, as for dark ink that the model wants light."}
    )
    sample_rate: int | None = field(
        default=None,
        metadata={"description": "The samples per second of a sound.", "check": at_least(8000, 96000)},
    )

    @staticmethod
    def check_table(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        mean, std = values.get("mean"), values.get("std")
        for name, given in (("mean", mean), ("std", std)):
            if given and len(given) not in _CHANNELS:
                yield name, f"has {len(given)} numbers -- give one, or one for each of 3 or 4 channels"
        if mean and std and len(mean) != len(std):
            yield "std", f"has {len(std)} numbers, and mean has {len(mean)} -- give as many"
        if std and not all(value > 0 for value in std):
            yield "std", "is not above 0 -- a picture's values are divided by it"

    def for_page(self) -> dict[str, Any]:
        """Return what is given, as the page's scripts call it."""
        count = max(len(self.mean), len(self.std))
        told: dict[str, Any] = {}
        if count:
            told |= {"mean": list(self.mean or (0,) * count), "std": list(self.std or (1,) * count)}
        told |= {"invert": self.invert, "sampleRate": self.sample_rate}
        return {name: value for name, value in told.items() if value is not None}


def check_hints(hints: Mapping[str, InputHints], manifests: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Raise ConfigError for hints that belong to no model of the site, or to pictures of other channels."""
    problems: list[str] = []
    for name, hint in hints.items():
        if name not in manifests:
            problems.append(f"{where}.{name}: the site has no model of this name" + suggestion(name, manifests))
            continue
        count = max(len(hint.mean), len(hint.std))
        sizes = {size for port in manifests[name]["inputs"] for size in port["shape"] if not isinstance(size, list)}
        if count > 1 and count not in sizes:
            problems.append(f"{where}.{name}: has {count} numbers, and no input has {count} channels -- give one")
    if problems:
        raise ConfigError(problems)
