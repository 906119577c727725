"""One's own model: a function of a batch of images, `MODULE:FUNCTION`.

Conventions
    The function is given sites (B, C, H, W) as an array of NumPy, values as read (uint8 or uint16), channels
    in the order of the images, and gives (B, D) floats: an array, or what `numpy.asarray` takes; torch's
    tensors come from any device. Its rows are averaged over a well's sites, in float64, and have the type
    that they came in (float16 and bfloat16 become float32). Columns are `feature_0` ... .
    A batch has `batch_size` sites, of several wells if need be, the last one of a task fewer; all of one
    size.
    The module is looked for in the working directory first, as `python -m` does, then among what is
    installed. It is imported once a process, where the work is done, and what it prints goes to stderr.
    `protocol` has the hash of the module's file (of a package in the working directory, of all its Python
    files): a function that has changed is another. What it reads itself, such as weights, is not looked at.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polaris_rxrx.errors import DataError, UsageError, one_line, short, some
from polaris_rxrx.featurize.featurizer import Features
from polaris_rxrx.featurize.rows import table_of
from polaris_rxrx.images.sites import Fault, ImageSet, Site
from polaris_rxrx.types import Matrix

BATCH = 32
WELLS_A_TASK = 64
_loaded: dict[tuple[str, str], Callable[[Any], Any]] = {}


@dataclass(frozen=True)
class Function:
    """A featurizer of a user's own.

    Args:
        name: `MODULE:FUNCTION`, as in `mymodel:embed`.
        folder: The working directory, where the module is looked for first.
        batch_size: How many sites it is given at once.
        wells_a_task: How many wells a part has.
        code: Hashes of the module's files by their names.
    """

    name: str
    folder: Path
    batch_size: int = BATCH
    wells_a_task: int = WELLS_A_TASK
    code: tuple[tuple[str, str], ...] = ()

    @classmethod
    def find(cls, name: str, *, batch_size: int = BATCH, wells_a_task: int = WELLS_A_TASK) -> Function:
        """Find and import a function.

        Raises:
            UsageError: There is no such module, it cannot be imported, or has no such function.
        """
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} sites; 1 or more was expected")
        made = cls(name, Path.cwd(), batch_size, wells_a_task)
        made.load()
        return cls(name, made.folder, batch_size, wells_a_task, tuple(made._code().items()))

    @property
    def where(self) -> str:
        """The module's file."""
        return str(self._file())

    def protocol(self) -> dict[str, Any]:
        return {
            "function": self.name,
            "batch_size": self.batch_size,
            "wells_a_task": self.wells_a_task,
            "sites": "mean",
            "code": dict(self.code),
        }

    def check(self, images: ImageSet) -> None:
        """Any images will do."""

    def beside(self, images: ImageSet, wells: Sequence[str]) -> Sequence[str]:
        return ()

    def features(
        self, images: ImageSet, wells: Sequence[str], step: Callable[[int], None] | None = None
    ) -> Features:
        """Call the function on all sites of some wells.

        Raises:
            DataError: It raises, or gives what is no (B, D) of finite floats, or another width than before.
        """
        function = self.load()
        self._same_code()
        faults, counts, order = list[Fault](), dict[str, int](), list[str]()
        total: Matrix | None = None
        kind, done = np.dtype(np.float32), 0
        at = {well: i for i, well in enumerate(wells)}
        for batch in self._batches(images, wells, faults, order):
            x = self._call(function, batch)
            if total is None:
                total, kind = np.zeros((len(wells), x.shape[1])), x.dtype
            elif x.shape[1] != total.shape[1]:
                raise DataError(
                    f"{self.name} gave {x.shape[1]:,} features for {_wells(batch)}, and {total.shape[1]:,} "
                    "before; the same number for every site was expected"
                )
            for site, row in zip(batch, x, strict=True):
                total[at[site.well]] += row
                counts[site.well] = counts.get(site.well, 0) + 1
            if step is not None and len(order) > done:
                done = len(order)
                step(done)
        kept = [well for well in wells if well in counts]
        columns = {}
        if total is not None:
            mean = total[[at[w] for w in kept]] / np.array([counts[w] for w in kept], float)[:, None]
            columns = {f"feature_{i}": column for i, column in enumerate(mean.astype(kind).T)}
        return Features(table_of(images, kept, [counts[w] for w in kept], columns), tuple(faults))

    def _batches(
        self, images: ImageSet, wells: Sequence[str], faults: list[Fault], order: list[str]
    ) -> Iterator[list[Site]]:
        """Sites, as many at once as a batch has and of one size; what is wrong with others goes to `faults`,
        wells that are read to `order`."""
        batch = list[Site]()
        for found in images.read(wells):
            faults += found.faults
            for site in found.sites:
                if batch and (
                    site.pixels.shape != batch[0].pixels.shape or site.pixels.dtype != batch[0].pixels.dtype
                ):
                    yield batch
                    batch = []
                batch.append(site)
                if len(batch) == self.batch_size:
                    yield batch
                    batch = []
            order.append(found.well)
        if batch:
            yield batch

    def _call(self, function: Callable[[Any], Any], batch: Sequence[Site]) -> Matrix:
        """The function's answer to a batch, looked at."""
        pixels = np.stack([site.pixels for site in batch])
        try:
            with contextlib.redirect_stdout(sys.stderr):
                given = _as_array(function(pixels))
        except (Exception, SystemExit) as error:
            raise DataError(
                f"{self.name} raised {short(one_line(error), 300)} ({self._line(error)}) on a batch of "
                f"{len(batch)} sites of {_wells(batch)}"
            ) from None
        told = f"{self.name} gave {_what(given)} for a batch of {len(batch)} sites of {_wells(batch)}"
        expected = f"floating-point numbers ({len(batch)}, D) were expected"
        if given.ndim != 2 or given.shape[0] != len(batch) or not given.shape[1]:
            raise DataError(f"{told}; {expected}")
        if given.dtype.kind != "f":
            raise DataError(f"{told}; {expected}")
        given = given.astype(np.promote_types(given.dtype, np.float32), copy=False)
        wrong = np.argwhere(~np.isfinite(given))
        if len(wrong):
            worst = [batch[i] for i in sorted({int(i) for i in wrong[:, 0]})]
            raise DataError(
                f"{self.name} gave {given[tuple(wrong[0])]} for {len(worst)} of {len(batch)} sites, of "
                f"{_wells(worst)}; finite numbers were expected"
            )
        return given

    def load(self) -> Callable[[Any], Any]:
        """The function, imported if this process has not done so.

        Raises:
            UsageError: There is none, or its module cannot be imported.
        """
        import pkgutil

        module, _, function = self.name.partition(":")
        if not (_is_name(module) and _is_name(function)):
            raise UsageError(f"{self.name!r}: MODULE:FUNCTION, such as mymodel:embed, was expected")
        if module.endswith(".py"):
            raise UsageError(f"{self.name!r}: the name of a module, {module[:-3]}:{function}, was expected")
        local = self._local()
        key = (self.name, str(local) + (_hash(local) if local else ""))
        if key in _loaded:
            return _loaded[key]
        if local is not None:
            _forget(module.partition(".")[0], self.folder, local)
            if str(self.folder) not in sys.path:
                sys.path.insert(0, str(self.folder))
        with contextlib.redirect_stdout(sys.stderr):
            try:
                pkgutil.resolve_name(module)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                    raise UsageError(f"{module} cannot be imported: {one_line(error)}") from None
                raise UsageError(
                    f"there is no module {module!r}: neither {module.replace('.', '/')}.py in the working "
                    f"directory ({self.folder}) nor one that is installed"
                ) from None
            except (Exception, SystemExit) as error:
                raise UsageError(
                    f"{module} cannot be imported: {short(one_line(error), 300)} ({self._line(error)})"
                ) from None
        try:
            found = pkgutil.resolve_name(self.name)
        except AttributeError:
            raise UsageError(f"{sys.modules[module].__file__ or module} has no {function!r}") from None
        if not callable(found):
            raise UsageError(f"{self.name} is {type(found).__name__}; a function was expected")
        made: Callable[[Any], Any] = found
        _loaded[key] = made
        return made

    def _same_code(self) -> None:
        """Raise `DataError` if the module is not what it was when the work began."""
        now = self._code()
        changed = [name for name, digest in self.code if now.get(name) != digest]
        if changed:
            raise DataError(
                f"{some(changed)} of {self.name} changed while features were being made; the same code for "
                "all wells was expected"
            )

    def _code(self) -> dict[str, str]:
        """Hashes by name: of the module's file, or of all files of a package of the working directory."""
        file, root = self._file(), self.folder / self.name.partition(":")[0].partition(".")[0]
        if file is None:
            return {}
        files = sorted(root.rglob("*.py")) if file.is_relative_to(root) else [file]
        return {p.relative_to(p.parent if p is file else self.folder).as_posix(): _hash(p) for p in files}

    def _local(self) -> Path | None:
        """The module's file in the working directory, if it is there."""
        below = self.folder.joinpath(*self.name.partition(":")[0].split("."))
        return next((p for p in (below.with_suffix(".py"), below / "__init__.py") if p.is_file()), None)

    def _file(self) -> Path | None:
        local = self._local()
        found = getattr(sys.modules.get(self.name.partition(":")[0]), "__file__", None)
        return local if local is not None else None if found is None else Path(found)

    def _line(self, error: BaseException) -> str:
        """Where in the user's own file an error came up; else where it came from."""
        frames = traceback.extract_tb(error.__traceback__)
        file = str(self._file())
        own = [f for f in frames if f.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            return f"{Path(file).name}, line {error.lineno}"
        chosen = (own or frames)[-1]
        return f"{Path(chosen.filename).name}, line {chosen.lineno}"


def _is_name(dotted: str) -> bool:
    return all(part.isidentifier() for part in dotted.split("."))


def _forget(root: str, folder: Path, file: Path) -> None:
    """Take a module of the working directory out of what is imported: its file may have changed.

    Raises:
        UsageError: Another module of that name is imported already.
    """
    held = sys.modules.get(root)
    if held is None:
        return
    own = getattr(held, "__file__", None) or next(iter(getattr(held, "__path__", [])), None)
    if own is None or not Path(own).resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{file}: a module {root!r} of another place ({own or 'Python itself'}) is in use already; "
            "another name was expected"
        )
    for name in [n for n in sys.modules if n == root or n.startswith(f"{root}.")]:
        del sys.modules[name]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _as_array(given: Any) -> Matrix:
    """An answer as an array: tensors leave their device and their gradients."""
    if hasattr(given, "detach"):
        given = given.detach()
        given = given.cpu() if hasattr(given, "cpu") else given
        if "bfloat16" in str(getattr(given, "dtype", "")):  # which NumPy does not have
            given = given.float()
    found = np.asarray(given)
    return found.astype(np.float32) if found.dtype.name == "bfloat16" else found


def _what(given: Matrix) -> str:
    return f"{given.dtype.name} {given.shape}"


def _wells(batch: Sequence[Site]) -> str:
    wells = list(dict.fromkeys(site.well for site in batch))
    return f"the well{'' if len(wells) == 1 else 's'} {some(wells, 3)}"
