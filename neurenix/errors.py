"""The exception tree. Every error names the thing, its value and the way out, and carries a stable code.

    NeurenixError
    ├── ConfigError            bad_config          [tool.neurenix] has problems; all of them are listed
    ├── BuildError             build_failed        some models could not be built; each is named with its reason
    ├── SiteError              site_failed         the site of a project could not be built; the build has said why
    ├── TrainingError          training_failed     the project's training function raised or returned nonsense
    │   └── TrainingTimeoutError training_timeout the training took longer than its 'timeout'
    ├── ToolchainError         toolchain_missing   zig is absent or too old
    ├── CompileError           compile_failed      zig refused the printed C
    ├── UnsupportedError       unsupported         the model or the request needs what this version has not
    ├── VerificationError      verification_failed a compiled form disagrees with the reference
    ├── ModelError             bad_model           a model file breaks its format's rules; the message names the node
    ├── GraphError             bad_graph           a graph breaks its own rules (shapes, names, order)
    ├── DimensionError         bad_dims            a symbolic dimension is out of its declared range
    ├── InputError             bad_input           an input is missing, extra, or of the wrong shape or dtype
    ├── OutputError            bad_output          the folder for a bundle cannot be written
    ├── BundleError            bad_bundle          a bundle's JSON is not what FORMAT.md says
    │   ├── MissingFileError   missing_file        a file of the bundle is not there
    │   ├── IntegrityError     bad_integrity       a file's size or SHA-256 is not the manifest's
    │   └── VersionError       bad_version         the bundle was written in another format version
    ├── RunError               run_failed          compiled code trapped, or gave up for the sizes it was given
    ├── DeviceError            device_unavailable  the device or backend is not on this host
    ├── MissingExtraError      missing_extra       an optional package is needed; the message names the extra
    └── CacheError             bad_cache           the build cache cannot be read or written

The JavaScript runtime throws a `NeurenixError` with the same codes, and four more that only a
browser meets: `fetch_failed`, `aborted`, `out_of_memory` and `disposed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class NeurenixError(Exception):
    """The root of every error that Neurenix raises on purpose.

    `code` is stable across releases and languages: match on it, not on the message.
    """

    code = "error"


class ConfigError(NeurenixError):
    """`[tool.neurenix]` has problems. `problems` holds one line each, every one with its dotted path."""

    code = "bad_config"

    def __init__(self, problems: Sequence[str], source: str = "pyproject.toml") -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem" + ("s" if len(self.problems) != 1 else "")
        super().__init__(f"{count} in {source}:\n" + "\n".join(f"  {p}" for p in self.problems))
        self._source = source

    def __reduce__(self) -> tuple[type[ConfigError], tuple[Sequence[str], str]]:
        return type(self), (self.problems, self._source)  # It travels between the processes of a build.


class BuildError(NeurenixError):
    """Some of several models could not be built. `failures` has the error of each by the model's name."""

    code = "build_failed"

    def __init__(self, failures: Mapping[str, BaseException], models: int) -> None:
        self.failures = dict(failures)
        self._models = models
        lines = (f"  {name}: {str(error) or type(error).__name__}" for name, error in failures.items())
        super().__init__(
            f"{len(failures)} of {models} models could not be built; what is done of the others is in the cache\n"
            + "\n".join(lines)
        )

    def __reduce__(self) -> tuple[type[BuildError], tuple[Mapping[str, BaseException], int]]:
        return type(self), (self.failures, self._models)


class SiteError(NeurenixError):
    """The static site of a project could not be built, by a build of its own that has said why."""

    code = "site_failed"


class TrainingError(NeurenixError):
    """The project's training function raised, or returned something that is no model."""

    code = "training_failed"


class TrainingTimeoutError(TrainingError):
    """The training took longer than its `timeout`; it was ended with all that it started."""

    code = "training_timeout"


class ToolchainError(NeurenixError):
    """The zig compiler is absent or too old."""

    code = "toolchain_missing"


class CompileError(NeurenixError):
    """zig refused the printed C. The message carries its first errors and where the source lies."""

    code = "compile_failed"


class UnsupportedError(NeurenixError):
    """The model or the request needs something that this version does not have."""

    code = "unsupported"


class VerificationError(NeurenixError):
    """A compiled form of a model does not give the reference's answers."""

    code = "verification_failed"


class ModelError(NeurenixError):
    """A model file breaks the rules of its format, or asks for more than its budget allows."""

    code = "bad_model"


class GraphError(NeurenixError):
    """A graph breaks its own rules: an unknown op, a shape that does not fit, a name used twice."""

    code = "bad_graph"


class DimensionError(NeurenixError):
    """A symbolic dimension has a value outside its declared range."""

    code = "bad_dims"


class InputError(NeurenixError):
    """An input is missing, extra, or of the wrong shape or dtype."""

    code = "bad_input"


class OutputError(NeurenixError):
    """The folder that a bundle goes into cannot be written."""

    code = "bad_output"


class BundleError(NeurenixError):
    """A bundle's description is not what `FORMAT.md` says."""

    code = "bad_bundle"


class MissingFileError(BundleError):
    """A file of the bundle is not there."""

    code = "missing_file"


class IntegrityError(BundleError):
    """A file's size or SHA-256 is not the one in the manifest."""

    code = "bad_integrity"


class VersionError(BundleError):
    """The bundle was written in a format version that this release does not read."""

    code = "bad_version"


class RunError(NeurenixError):
    """A model's compiled code trapped, or gave up with a status, for the sizes it was given."""

    code = "run_failed"


class DeviceError(NeurenixError):
    """The device or backend asked for is not available on this host."""

    code = "device_unavailable"


class MissingExtraError(NeurenixError):
    """An optional package is needed. The message names the extra that installs it."""

    code = "missing_extra"

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}': pip install 'hatch-neurenix[{extra}]'")
        self._given = (package, extra, purpose)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        return type(self), self._given


class CacheError(NeurenixError):
    """The build cache cannot be read or written."""

    code = "bad_cache"
