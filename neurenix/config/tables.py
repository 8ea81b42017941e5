"""Defines every table and key below `[tool.neurenix]`; the reader and its messages follow from here.

A field is one key: `max_error` is written `max-error`. Its metadata holds `description` (one sentence for
the reference), `check` (a value's own rule), `check_key` (a rule for the names in a table of tables) and, for
a model's keys, `sources`: those of 'train', 'load' and 'data' that the key goes with.
`check_table`, where a table has one, sees all the values that could be read and compares them; it yields
a key below the table or a path of keys and indices, and the problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neurenix.config.keys import key
from neurenix.config.model_table import ModelConfig
from neurenix.config.op_table import OpConfig, an_op_name
from neurenix.config.overlays import TARGETS
from neurenix.config.rules import (
    a_byte_count,
    a_version,
    at_least,
    each,
    filled,
    model_name,
    native_target,
    one_of,
    overlays,
    parse_bytes,
)
from neurenix.graph.shaders import PRECISIONS


@dataclass(frozen=True)
class WebConfig:
    """What the web part of each bundle has."""

    simd: bool = key("Also make SIMD and relaxed SIMD variants; scalar is always there.", default=True)
    threads: bool = key("Run on several threads where the page allows it.", default=True)
    webgpu: bool | None = key(
        "Also make WebGPU shaders: `true` fails the build when an op has none, `false` makes none; left out, models "
        "get them when every op has one.",
        default=None,
    )
    webgpu_precision: str = key(
        "What tensors between inputs and outputs are stored as on a GPU: with 'float16' those that have it take half "
        "the memory, products compute in it where that cannot overflow, and answers differ by up to 0.01; others stay "
        "with 'float32'.",
        default="float32",
        check=one_of(PRECISIONS),
    )
    max_size: str | None = key(
        "The build fails when a model's web files weigh more, such as '5 MB'.",
        default=None,
        check=a_byte_count,
    )

    @property
    def max_bytes(self) -> int | None:
        """The limit in bytes, or None."""
        return None if self.max_size is None else parse_bytes(self.max_size)


@dataclass(frozen=True)
class NativeConfig:
    """Which native libraries each bundle has."""

    targets: tuple[str, ...] = key(
        "Platforms to compile for: 'host', or names such as 'x86_64-linux'.",
        empty=tuple,
        check=each(native_target),
    )
    standalone: bool = key(
        "Ship a small runtime beside the libraries, so that the wheel answers with NumPy alone.", default=False
    )


@dataclass(frozen=True)
class Config:
    """The table `[tool.neurenix]`."""

    models: Mapping[str, ModelConfig] = key(
        "The models of the project, each by its name.",
        empty=dict,
        check=filled("declare at least one model: [tool.neurenix.models.NAME]"),
        check_key=model_name,
    )
    minimum_version: str | None = key(
        "The oldest hatch-neurenix that may build this project, such as '0.1'.", default=None, check=a_version
    )
    train_dependencies: tuple[str, ...] = key(
        "Packages to install for a build that must train, and only then.",
        empty=tuple,
        check=each(filled("is empty -- name a package")),
    )
    prebuilt_in_sdist: bool = key(
        "Put the finished models into the sdist, so that an installation from it neither trains nor compiles.",
        default=True,
    )
    executor: Literal["processes", "dask"] = key(
        "What builds several models at once: 'processes' of this machine, or the workers of a 'dask' cluster.",
        default="processes",
    )
    workers: int | None = key(
        "How many models are built at once on this machine; one for each processor core when absent.",
        default=None,
        check=at_least(1, 1024),
    )
    dask_scheduler: str | None = key(
        "The address of the dask cluster's scheduler, such as 'tcp://10.0.0.1:8786'; NEURENIX_DASK_SCHEDULER wins.",
        default=None,
        check=filled("is empty -- write an address such as 'tcp://10.0.0.1:8786'"),
    )
    remote_cache: str | None = key(
        "A build cache that several machines share, as a URL that fsspec knows; NEURENIX_REMOTE_CACHE wins.",
        default=None,
        check=filled("is empty -- write a URL such as 's3://bucket/neurenix'"),
    )
    ops: Mapping[str, OpConfig] = key(
        "Custom ops with kernels of your own, each by its name, such as 'soft_clip' or 'acme.soft_clip'.",
        empty=dict,
        check_key=an_op_name,
    )
    web: WebConfig = field(default_factory=WebConfig, metadata={"description": "What the web part of each bundle has."})
    native: NativeConfig = field(
        default_factory=NativeConfig, metadata={"description": "Which native libraries each bundle has."}
    )
    targets: Mapping[str, Mapping[str, Any]] = key(
        "Tables laid over this one for one build target: 'wheel', 'editable' or 'static-site'.",
        empty=dict,
        check_key=one_of(TARGETS),
        check=overlays,
    )
    profiles: Mapping[str, Mapping[str, Any]] = key(
        "Tables laid over this one when the environment variable NEURENIX_PROFILE names them.",
        empty=dict,
        check_key=model_name,
        check=overlays,
    )
