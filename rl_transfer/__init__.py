"""rl_transfer: does a policy trained in environment A help in environment B?

    import rl_transfer as rt

Nothing is imported before somebody asks for it: every command would wait for it.
"""

TYPE_CHECKING = False  # the real one would be read from typing, which takes time
if TYPE_CHECKING:
    from rl_transfer import core as core
    from rl_transfer import errors as errors
    from rl_transfer.api.pictures import Picture as Picture
    from rl_transfer.api.results import SweepResults as SweepResults
    from rl_transfer.api.results import load_sweep as load_sweep

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """What ``__all__`` names, looked up when somebody asks; type checkers read the names above."""
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name in _API:
            return getattr(import_module(f"{__name__}.api.{_API[name]}"), name)
        if name == "__version__":
            from importlib.metadata import version

            return version("rl-transfer")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_MODULES = ("core", "errors")
_API = {"Picture": "pictures", "SweepResults": "results", "load_sweep": "results"}
"""Name → the module of ``rl_transfer.api`` that it stands in."""

__all__ = ["Picture", "SweepResults", "__version__", "core", "errors", "load_sweep"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
