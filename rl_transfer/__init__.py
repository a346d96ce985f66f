"""rl_transfer: does a policy trained in environment A help in environment B?"""


def __getattr__(name: str) -> str:
    """``__version__``, looked up when somebody asks: every command would wait for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("rl-transfer")
