"""How functions of the engine are compiled, and where the machine code is kept.

Numba keys what it keeps on disk by the file of the function alone: after a change of another file that
the function calls into, the old machine code is loaded and nothing is said. Everything that is compiled
here lies in a folder named by a digest of all compiled sources, of the libraries and of the processor.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar, cast, overload

import llvmlite
import numpy as np
from llvmlite import binding

Function = TypeVar("Function", bound=Callable[..., object])

FAST = {"nsz", "reassoc", "contract"}
"""Floating-point freedoms: sums may be reordered and fused; NaN and infinities stay what they are."""

_ENGINE = Path(__file__).resolve().parent
_called: dict[Path, set[Path]] = {}


def _one_thread_blas() -> None:
    """Load SciPy's BLAS, through which Numba multiplies matrices, with one thread.

    OpenBLAS reads the variable once, while it is loaded; two threads on small products were measured to
    be slower than one, and give other sums.
    """
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        import scipy.linalg.cython_blas  # noqa: F401
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


_one_thread_blas()

import numba  # noqa: E402


@functools.cache
def blas_kernels() -> str | None:
    """For which processor the kernels are that OpenBLAS multiplies matrices with in this process.

    It chooses by the processor, and ``OPENBLAS_CORETYPE`` overrules it; other kernels round otherwise.

    Returns:
        OpenBLAS's own name, such as ``Haswell`` (AVX2) or ``SkylakeX`` (AVX-512); None for another library.
    """
    import scipy

    root = Path(scipy.__file__).parent
    for path in sorted([*root.parent.glob("scipy.libs/*openblas*"), *root.glob(".dylibs/*openblas*")]):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(str(path))  # the one that is loaded already
            for prefix in ("scipy_", ""):
                named = getattr(library, f"{prefix}openblas_get_corename", None)
                if named is not None:
                    named.restype = ctypes.c_char_p
                    return str(named().decode())
    return None


def register(module: str, sources: Iterable[Path]) -> None:
    """Let further files count as sources of what is compiled beside a module.

    Call it before the first :func:`kernel` that reaches into them.

    Args:
        module: its ``__file__``.
        sources: Python files elsewhere with functions that compiled ones of its folder call.
    """
    beside = Path(module).resolve().parent
    _called.setdefault(beside, set()).update(path.resolve() for path in sources)
    _folder.cache_clear()


def digest(beside: Path = _ENGINE) -> str:
    """Sixteen hexadecimal digits that change with whatever can change machine code.

    Args:
        beside: folder of the compiled functions.

    Returns:
        Digest of the contents of the engine's sources, of those in the folder and of what was registered
        for it, of the versions of Python, NumPy, SciPy, Numba and llvmlite, and of the processor's name
        and features.
    """
    import scipy

    features = dict(binding.get_host_cpu_features())
    parts = [
        sys.version,
        platform.machine(),
        np.__version__,
        scipy.__version__,
        numba.__version__,
        llvmlite.__version__,
        binding.get_host_cpu_name(),
        ",".join(sorted(name for name, present in features.items() if present)),
    ]
    found = hashlib.sha256("\n".join(parts).encode())
    sources = {*_ENGINE.glob("*.py"), *beside.glob("*.py"), *_called.get(beside, set())}
    for path in sorted(sources):
        found.update(f"\n{path.name}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def cache_home() -> Path:
    """Where folders of machine code are made: ``$XDG_CACHE_HOME/rl_transfer``, or in ``~/.cache``."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(given) if given else Path("~/.cache").expanduser()
    return home / "rl_transfer"


@functools.cache
def _folder(beside: Path) -> Path | None:
    """Where machine code of a folder's functions is kept; None where it cannot be written."""
    folder = cache_home() / f"engine-{digest(beside)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return None
    return folder


def cache_folder() -> Path | None:
    """The folder in which machine code of the engine is kept.

    Returns:
        None where it cannot be written: every process then compiles for itself.
    """
    return _folder(_ENGINE)


def is_kept(module: str) -> bool:
    """Whether an earlier process kept machine code of a module, from these sources of the engine.

    Args:
        module: of the engine: ``ppo``.

    Returns:
        False where the next run that uses it compiles it.
    """
    folder = cache_folder()
    return folder is not None and any(folder.rglob(f"{module}.*.nbc"))


class _Cache(Protocol):
    """What Numba keeps of one function on disk."""

    load_overload: Callable[[object, object], object]
    save_overload: Callable[[object, object], object]

    def flush(self) -> None:
        """Forget all of it."""


def _in_nobodys_way(cache: _Cache) -> None:
    """Compile anew where what is on disk is damaged; do without where the disk takes nothing."""
    load, save = cache.load_overload, cache.save_overload

    def load_or_drop(signature: object, context: object) -> object:
        try:
            return load(signature, context)
        except Exception:  # noqa: BLE001 - damaged bytes raise anything
            with contextlib.suppress(OSError):
                cache.flush()
            return None

    def save_or_not(signature: object, compiled: object) -> None:
        with contextlib.suppress(OSError):
            save(signature, compiled)

    cache.load_overload, cache.save_overload = load_or_drop, save_or_not


@overload
def kernel(function: Function) -> Function: ...


@overload
def kernel(*, exact: bool = False, inline: bool = False) -> Callable[[Function], Function]: ...


def kernel(
    function: Function | None = None, *, exact: bool = False, inline: bool = False
) -> Function | Callable[[Function], Function]:
    """Compile a function at its first call with arguments of new types, and keep it on disk.

    Division by zero gives infinities and NaN as in NumPy; without that LLVM vectorises nothing.

    Args:
        function: over arrays and numbers; it may call other compiled functions by their names, never
            one that it gets as an argument (such are compiled anew in every process).
        exact: every operation as written, in the order written; otherwise see :data:`FAST`.
        inline: into the functions that call it.

    Returns:
        The compiled function, or a decorator that makes it.
    """

    def compiled(body: Function) -> Function:
        made = numba.njit(
            body,
            error_model="numpy",
            fastmath=False if exact else FAST,
            inline="always" if inline else "never",
            nogil=True,
        )
        folder = _folder(Path(body.__code__.co_filename).resolve().parent)
        if folder is not None and not inline:
            settings = vars(numba.config)
            before, settings["CACHE_DIR"] = settings["CACHE_DIR"], str(folder)
            try:
                made.enable_caching()
            finally:
                settings["CACHE_DIR"] = before
            _in_nobodys_way(made._cache)
        return cast(Function, made)

    return compiled if function is None else compiled(function)
