"""Two thousand configs and overrides that somebody got wrong: only the project's own errors, and soon."""

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_transfer.errors import ConfigError
from rl_transfer.spec import load, shipped
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import SingleConfig
from rl_transfer.spec.yaml_map import read_yaml
from rl_transfer.sweep.dispatch import SUITES, TRAIN, TRANSFER
from rl_transfer.sweep.graph import build_graph
from support.cases import drawn, tiered

BATCHES = 80
PER_BATCH = 25
FILES = [
    (category, path.read_text(encoding="utf-8"), read_yaml(path).data)
    for category in ("suites", "train", "transfer")
    for path in shipped(category).values()
]
SINGLE: dict[str, dict[str, type[SingleConfig]]] = {"train": {**TRAIN}, "transfer": {**TRANSFER}}
DEEP = json.loads("[" * 40 + "]" * 40)
VALUES: list[Json] = [
    None, True, False, 0, -1, 1, 2, 10**9, 10**12 + 1, -(10**30), 2**128, 10**4000, 0.0, -0.0, 0.5, 1e9,
    -1e300, 1e-300, "", " ", "x" * 300, "[b]", "[/b]", "²", "٣", "\x00", "\u202e", "é\u0301", "../..", "/",
    "~", "-", "=", "<<", "*a", "a:b", "a:b:c", "nowhere:Nothing", "hf://", "package://", "CartPole-v1",
    "PPO", "scratch", "fine-tune", "all", "x2", "trunk", "cartpole-longer-pole", "rl", "image", "auto", [],
    [[]], {}, {"": 1}, {"=": 1}, {"<<": {}}, {"name": []}, {"name": "PPO"}, {"kind": ["rl"]}, {"id": 1},
    ["rl"], [None], [1, "a", None], [0, 0], {"a": {"b": {"c": []}}}, DEEP, list(range(300)),
    {str(number): number for number in range(300)}, {"towards": "high"}, {"severity": 2},
    {"linear": 1e9, "final": -1}, {"features_dim": 10**9}, {"cnn_output_dim": [1]}, {"width_mult": 1e6},
    {"a": [{"depth": 10**4000}]}, {"name": "timm", "architecture": "resnet18", "kwargs": {"a": [-1e300]}},
]  # fmt: skip
WORDS = [
    "name", "kind", "seeds", "strategies", "targets", "sources", "algorithm", "env", "perturb", "id", "0",
    "1", "-1", "²", "٣", "<<", "=", "", " ", "a" * 300, "policy_kwargs", "net_arch", "analysis", "q",
    "training", "total_steps", "severity", "longer-pole", "scratch", "[b]", "\x00", "\u202e", "\udcff",
    "9" * 5000, "data", "model", "weights", "kwargs", "features_extractor_kwargs", "features_dim",
]  # fmt: skip
TEXTS = [
    ".nan", "-.inf", "1e999", "0x" + "f" * 5000, "9" * 5000, "=", "<<", "{<<: {}}", "{=: 1}", "[" * 1000,
    "{a: " * 1000, "&a [*a]", "[&a [1, 2], *a, *a]", "[&a [x, x], &b [*a, *a], [*b, *b]]", "!!int x",
    "!!python/object:os.system {}", "!!binary aa", "2020-99-99", '"\\ud800"', '"\\U99999999"', "[1, 2", "{",
    "}", "? a", "- a", "*b", "%YAML 9.9", "\t", "|", "{a: 1, a: 2}", "\udcff", "[1]=2", "===",
    "{linear: .inf}", "1_000", "0o8", "1:2:3", "yes", "~", "'", '"', "#", "[b]",
]  # fmt: skip
"""YAML that no Python value is written as."""


def places(value: Json, key: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every key of a config, from the root down."""
    inner: list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        inner = [*value.items()]
    elif isinstance(value, list):
        inner = [*enumerate(value)]
    return [place for name, child in inner for place in ((*key, name), *places(child, (*key, name)))]


def mutated(data: Json, draw: random.Random) -> Json:
    """The config with one thing changed."""
    found = copy.deepcopy(data)
    *way, last = draw.choice(places(found) or [("name",)])
    parent: Json = found
    for step in way:
        parent = parent[step]  # type: ignore[index]
    if isinstance(parent, list):
        changes: list[Callable[[], object]] = [
            lambda: parent.pop(int(last)),
            lambda: parent.append(copy.deepcopy(parent[int(last)])),
            lambda: parent.insert(int(last), copy.deepcopy(draw.choice(VALUES))),
            lambda: parent.__setitem__(int(last), copy.deepcopy(draw.choice(VALUES))),
        ]
    else:
        assert isinstance(parent, dict)
        changes = [
            lambda: parent.pop(str(last)),
            lambda: parent.__setitem__(draw.choice(WORDS), parent[str(last)]),
            lambda: parent.__setitem__(draw.choice(WORDS), copy.deepcopy(draw.choice(VALUES))),
            *[lambda: parent.__setitem__(str(last), copy.deepcopy(draw.choice(VALUES)))] * 4,
            lambda: parent.__setitem__(str(last), [parent[str(last)]]),
            lambda: parent.__setitem__(str(last), {str(last): parent[str(last)]}),
        ]
    draw.choice(changes)()
    return found


def damaged(text: str, draw: random.Random) -> str:
    """The text of a config with a line lost, doubled, indented or replaced, or cut off."""
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    line = lines[at]
    lines[at : at + 1] = draw.choice(
        [
            [],
            [line, line],
            [f"  {line}"],
            [line.lstrip()],
            [f"{line.partition(':')[0]}: {draw.choice(TEXTS)}"],
            [f"{draw.choice(TEXTS)}: {line}"],
            [line[: draw.randrange(len(line) + 1)] + draw.choice(TEXTS) + line],
        ]
    )
    return "\n".join(lines)


def override(data: Json, draw: random.Random) -> str:
    """An override of a key that is there, or is not, with a value that fits, or does not."""
    known = draw.choice(places(data) or [("name",)])
    key = [*map(str, known)]
    for _ in range(draw.randrange(3)):
        key.insert(draw.randrange(len(key) + 1), draw.choice(WORDS))
    value = draw.choice([*TEXTS, *(json.dumps(each) for each in VALUES[:20] if each != 10**4000)])
    return ".".join(key) + draw.choice(["=", "=", "=", "=", "", "=="]) + value


def planned(path: Path, category: str, overrides: list[str]) -> None:
    """What a command does with a config before it looks at environments and data."""
    if category != "suites":
        load(str(path), SINGLE[category], category, overrides).config.run()
        return
    config = load(str(path), SUITES, category, overrides).config
    if all(not source.exists for source in config.sources.values()) and len(config.all_seeds) < 20:
        build_graph(config)


@pytest.mark.parametrize("batch", tiered(range(BATCHES), drawn(range(BATCHES), 4)))
def test_configs_that_somebody_got_wrong_end_in_the_projects_own_errors(batch: int, tmp_path: Path) -> None:
    draw = random.Random(batch)
    path = tmp_path / "config.yaml"
    accepted = refused = 0
    for number in range(PER_BATCH):
        category, text, data = FILES[(batch * PER_BATCH + number) % len(FILES)]
        overrides: list[str] = []
        way = draw.choice(["data", "data", "text", "overrides"])
        if way == "data":
            for _ in range(draw.randint(1, 3)):
                data = mutated(data, draw)
            text = json.dumps(data)
        elif way == "text":
            text = damaged(text, draw)
        else:
            overrides = [override(data, draw) for _ in range(draw.randint(1, 3))]
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        try:
            planned(path, category, overrides)
        except ConfigError as error:
            refused += 0 < len(error.message) < 20_000
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} on {overrides or text}") from error
        else:
            accepted += 1
    assert accepted + refused == PER_BATCH, "a message is empty, or endless"
    assert refused > PER_BATCH // 2
