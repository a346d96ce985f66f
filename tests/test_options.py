"""An option is there for somebody: a value that nothing in the product gives is a constant."""

from pathlib import Path

import pytest

from support.unused_options import unused_options

ROOT = Path(__file__).resolve().parent.parent
FOR_PEOPLE = {
    # docs/sources.md: what tensors do not show is told in Python
    "import_source(policy_kwargs)",
    "import_source(statistics)",
    "load_source(name_map)",
    "load_source(policy_kwargs)",
    "load_source(statistics)",
    # named in a config, under features_extractor_kwargs (docs/pixels.md)
    "SmallCNN(batch_norm)",
    "SmallCNN(features_dim)",
    # Gymnasium calls it with what an id was registered with
    "make_registered(base)",
    "make_registered(perturb)",
}
"""Options that only people use, and where; lines only leave."""


@pytest.mark.full
def test_every_option_is_given_somewhere_in_the_product() -> None:
    folders = (ROOT / "rl_transfer", ROOT / "envs" / "rl_transfer_envs")
    sources = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")]
    assert unused_options(sources) == FOR_PEOPLE, "delete the option, or say in FOR_PEOPLE who uses it"


@pytest.mark.parametrize(
    ("calls", "unused"),
    [
        ("f(1)", {"f(b)", "f(c)"}),
        ("f(1, 2)", {"f(c)"}),
        ("m.f(1, c=3)", {"f(b)"}),
        ("f(*rest)", set()),
        ("f(**options)", set()),
        ("partial(f, 1, c=3)", {"f(b)"}),
        ("table = [f]", set()),
        ("g(b=1, c=2)", {"f(b)", "f(c)"}),
    ],
)
def test_calls_give_options(calls: str, unused: set[str]) -> None:
    assert unused_options(["def f(a, b=1, *, c=2): ...", calls]) == unused


@pytest.mark.parametrize(
    ("calls", "unused"),
    [
        ("Base(1)", {"Base(b)"}),
        ("Heir(1, 2)", set()),
        ("class Own(Base):\n    def __init__(self):\n        super().__init__(1, b=2)", set()),
        ("class Other:\n    def make(cls):\n        return cls(1, b=2)", {"Base(b)"}),
    ],
)
def test_constructors_are_called_by_their_heirs_too(calls: str, unused: set[str]) -> None:
    plain = "class Base:\n    def __init__(self, a, b=1): ...\nclass Heir(Base): ..."
    data = "@dataclass\nclass Base:\n    a: int\n    b: int = 1\n    c: int = field()\nclass Heir(Base): ..."
    assert unused_options([plain, calls]) == unused_options([data, calls]) == unused


def test_replacing_and_assigning_give_a_field() -> None:
    data = "@dataclass\nclass D:\n    a: int = 0\n    b: int = 1"
    assert unused_options([data, "replace(d, a=1)"]) == {"D(b)"}
    assert unused_options([data, "d.b = 2"]) == {"D(a)"}
