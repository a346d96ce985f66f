"""rl_transfer: does a policy trained in environment A help in environment B?

    import rl_transfer as rt

Nothing is imported before somebody asks for it: every command would wait for it.
"""

TYPE_CHECKING = False  # the real one would be read from typing, which takes time
if TYPE_CHECKING:
    from rl_transfer import core as core
    from rl_transfer import errors as errors
    from rl_transfer.api.calls import evaluate as evaluate
    from rl_transfer.api.calls import sweep as sweep
    from rl_transfer.api.calls import train as train
    from rl_transfer.api.calls import transfer as transfer
    from rl_transfer.api.pictures import Picture as Picture
    from rl_transfer.api.publishing import publish as publish
    from rl_transfer.api.results import SweepResults as SweepResults
    from rl_transfer.api.results import load_sweep as load_sweep
    from rl_transfer.api.single import SingleRun as SingleRun

    __version__: str
else:
    import sys

    class _Room(type(sys)):
        """The package ``rl_transfer.sweep``, whose name is that of a command: it is the call too."""

        def __call__(self, *arguments, **options):
            """See ``rl_transfer.api.calls.sweep``."""
            from rl_transfer.api.calls import sweep

            return sweep(*arguments, **options)

    class _Package(type(sys)):
        def __setattr__(self, name, value):
            if name == "sweep":  # Python's own import does this, whoever imports it first
                value.__class__ = _Room
            super().__setattr__(name, value)

    sys.modules[__name__].__class__ = _Package

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


_MODULES = ("core", "errors", "sweep")
_API = {
    "Picture": "pictures",
    "SingleRun": "single",
    "SweepResults": "results",
    "evaluate": "calls",
    "load_sweep": "results",
    "publish": "publishing",
    "train": "calls",
    "transfer": "calls",
}
"""Name → the module of ``rl_transfer.api`` that it stands in."""

__all__ = [
    "Picture",
    "SingleRun",
    "SweepResults",
    "__version__",
    "core",
    "errors",
    "evaluate",
    "load_sweep",
    "publish",
    "sweep",
    "train",
    "transfer",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
