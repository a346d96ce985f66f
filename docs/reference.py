"""Writes docs/reference.md: every key of every config and every option of the command line, from the code.

python docs/reference.py            rewrite the page
python docs/reference.py --check    exit code 1 if it is stale
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from typer.models import ArgumentInfo, OptionInfo

from rl_transfer.cli.app import app
from rl_transfer.spec.base import LARGEST, LARGEST_INT, MOST
from rl_transfer.spec.engine import AUTO, AskedEngine
from rl_transfer.spec.shorthand import FromText
from rl_transfer.sweep.dispatch import KINDS

PAGE = Path(__file__).with_name("reference.md")
HEAD = """\
# Reference

Every key of every config, and every command. To learn what they are for, begin with the
[tutorial](tutorial.md).
Unknown keys are refused with their place in the file. On the command line a key within another one is
written with a dot, `training.total_steps=512`; from Python with two underscores, `training__total_steps=512`.
`python docs/reference.py` writes this page from the code, and a test compares.

"""
OF_SB3 = {
    "batch_size": "Samples of one gradient step.",
    "buffer_size": "Transitions that the replay buffer holds.",
    "cg_damping": "Added to the diagonal of the Fisher matrix.",
    "cg_max_steps": "Steps of the conjugate gradient.",
    "clip_range": "How far the ratio of new to old probabilities may leave 1 and still count.",
    "clip_range_vf": "The same for the value function, in units of the return; none: not clipped.",
    "ent_coef": "Weight of the entropy; `auto`, where it is offered: learnt.",
    "exploration_final_eps": "Share of random actions when exploration has run down.",
    "exploration_fraction": "Share of the budget over which it runs down.",
    "exploration_initial_eps": "Share of random actions at the start.",
    "gae_lambda": "λ of generalised advantage estimation.",
    "gamma": "Discount factor.",
    "learning_rate": "Learning rate of the optimizer.",
    "line_search_max_iter": "Steps of the line search.",
    "line_search_shrinking_factor": "By which the line search shortens the step.",
    "max_grad_norm": "Gradients are scaled down to this norm; none: they are not.",
    "n_critic_updates": "Gradient steps of the critic per update of the policy.",
    "n_epochs": "Passes over a rollout.",
    "name": "The algorithm.",
    "normalize": "Running normalisation of observations and rewards; none: they are taken as they are.",
    "normalize_advantage": "Whether advantages are brought to mean 0 and standard deviation 1.",
    "policy": "For vectors, images or dictionaries of observations.",
    "policy_delay": "Updates of the critics per update of the policy.",
    "rms_prop_eps": "ε of RMSProp.",
    "sde_sample_freq": "Steps between fresh gSDE noise; −1: once per rollout.",
    "sub_sampling_factor": "Every how manieth sample the Fisher matrix is computed from.",
    "target_entropy": "Entropy that `ent_coef: auto` aims at; `auto`: minus the number of action dimensions.",
    "target_kl": "Divergence of new from old policy at which an update ends; none: nowhere.",
    "target_noise_clip": "Largest noise on the target's actions.",
    "target_policy_noise": "Standard deviation of the noise on the target's actions.",
    "target_update_interval": "Steps between updates of the target networks.",
    "tau": "Share of the online network that an update of the target network takes over.",
    "top_quantiles_to_drop_per_net": "Quantiles of each critic that are dropped.",
    "use_rms_prop": "RMSProp instead of Adam.",
    "use_sde": "Whether exploration noise depends on the state (gSDE, Raffin et al. 2021).",
    "vf_coef": "Weight of the value loss.",
}
"""What names of Stable-Baselines3 mean, whichever algorithm has them."""
ALGORITHMS = "rl_transfer.spec.algorithms"
VERBS = {"suite": "sweep", "train": "train", "transfer": "transfer"}


class Field(NamedTuple):
    """A key of a config as the page tells it.

    Attributes:
        key: as YAML writes it.
        type: in words, with links.
        default: as YAML writes it, or what stands for it.
        meaning: a sentence.
    """

    key: str
    type: str
    default: str
    meaning: str


def page() -> str:
    """The whole page.

    Returns:
        Markdown.
    """
    return HEAD + "\n".join([*configs(), *commands()])


def roots() -> dict[type[BaseModel], str]:
    """What people write files of: config → which command reads it."""
    return {
        getattr(row, form): f"`rl-transfer {verb}`, `kind: {kind}`"
        for form, verb in VERBS.items()
        for kind, row in KINDS.items()
    }


def models() -> list[type[BaseModel]]:
    """Every config class that a file can have a part of, in the order in which they are met."""
    found = dict.fromkeys(roots())
    waiting = [*found]
    while waiting:
        for field in waiting.pop(0).model_fields.values():
            for model in parts(field.annotation):
                if model not in found:
                    found[model] = None
                    waiting.append(model)
    return [*found]


def parts(annotation: object) -> Iterator[type[BaseModel]]:
    """The config classes in an annotation."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from parts(inner)


def fields(model: type[BaseModel]) -> list[Field]:
    """The keys of a config, ``kind`` and required ones first.

    Args:
        model: the config class.

    Returns:
        One per key.
    """
    rows = [
        Field(field.alias or name, type_of(field), default_of(field), meaning_of(model, name, field))
        for name, field in model.model_fields.items()
    ]
    return sorted(rows, key=lambda row: (row.key != "kind", row.default != "required"))


def meaning_of(model: type[BaseModel], name: str, field: FieldInfo) -> str:
    """What a key means: its own words, those of the class that it comes from, or of the config in it."""
    own = (getattr(each, "__pydantic_fields__", {}).get(name) for each in model.__mro__)
    said = next((each.description for each in own if each is not None and each.description), None)
    if said is None and model.__module__ == ALGORITHMS:
        said = OF_SB3.get(name)
    if said is None and get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
        said = "Which one it is."
    inner = [*parts(field.annotation)]
    if said is None and len({*inner}) == 1:
        said = first_sentence(inner[0])
    return markdown(said or "")


def first_sentence(described: object) -> str:
    """The first sentence of a docstring."""
    return re.split(r"(?<!al)[.;]\s|\n\n|: (?=[a-z`])", inspect.getdoc(described) or "")[0].rstrip(".;") + "."


def markdown(text: str) -> str:
    """A docstring's text in a cell of a table."""
    text = re.sub(r":\w+:`~?\.?([^`]+)`", r"``\1``", " ".join(text.split()))
    text = re.sub(r"docs/([\w-]+)\.md", r"[\1](\1.md)", text)
    return text.replace("``", "`").replace("|", "\\|")


def default_of(field: FieldInfo) -> str:
    """The default of a key."""
    # Training.asked_engine: what a config asks for that says nothing
    value = (
        AUTO
        if get_args(field.annotation) == get_args(AskedEngine)
        else field.get_default(call_default_factory=True)
    )
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        said = value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return f"`{yaml(said)}`" if said else "its own"
    return f"`{yaml(value)}`"


def yaml(value: object) -> str:
    """A value as one line of YAML would have it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {yaml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(yaml, value)) + "]"
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value)


def type_of(field: FieldInfo) -> str:
    """The type of a key in words."""
    said = words(field.annotation, field.metadata)
    return said.replace("|", "\\|")


def words(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """A type annotation in words, with its bounds and links to configs."""
    if any(isinstance(each, FromText) for each in metadata):
        return "text"
    origin, inner = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        told = [
            part for each in annotation.__metadata__ for part in getattr(each, "metadata", None) or [each]
        ]
        return words(annotation.__origin__, [*told, *metadata])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(each, metadata) for each in inner))
    if origin is Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin is tuple:
        many = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"list of {many}{plural(words(inner[0]))}"
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return f"map to {words(inner[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    plain = {bool: "true or false", int: "whole number", float: "number", str: "text", type(None): "none"}
    return plain.get(annotation, "anything") + (bounds(metadata) if annotation in (int, float) else "")


def plural(words_: str) -> str:
    """``numbers`` of ``number``."""
    return re.sub(r"^(whole number|number|text)\b", r"\1s", words_)


def bounds(metadata: list[Any] | tuple[Any, ...]) -> str:
    """`` > 0, ≤ 1``; bounds that only keep numbers finite are not told."""
    told = []
    for each in metadata:
        for kind, sign, attribute in ((Gt, ">", "gt"), (Ge, "≥", "ge"), (Lt, "<", "lt"), (Le, "≤", "le")):
            if isinstance(each, kind) and abs(getattr(each, attribute)) not in (MOST, LARGEST, LARGEST_INT):
                told.append(f"{sign} {getattr(each, attribute):,}")
    return f" {', '.join(told)}" if told else ""


def configs() -> Iterator[str]:
    """The part about configs."""
    yield "## Configs\n"
    yield "| file | begins with |\n|---|---|"
    for model, told in roots().items():
        yield f"| {told} | [{model.__name__}](#{model.__name__.lower()}) |"
    for model in models():
        yield f"\n### {model.__name__}\n"
        yield markdown((inspect.getdoc(model) or "").split("\n\n")[0]) + "\n"
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        for row in fields(model):
            yield f"| `{row.key}` | {row.type} | {row.default} | {row.meaning} |"


def commands() -> Iterator[str]:
    """The part about the command line."""
    yield "\n## Commands\n"
    yield markdown(str(app.info.epilog)) + "\n"
    for words_, function in of_app(app):
        yield f"### rl-transfer {words_}\n"
        said, _, example = (inspect.getdoc(function) or "").partition("Example: ")
        yield "\n\n".join(markdown(each) for each in said.strip().split("\n\n")) + "\n"
        if example:
            yield f"Example: `{example.strip()}`\n"
        yield "| argument or option | default | meaning |\n|---|---|---|"
        yield "\n".join(options(function)) + "\n"


def of_app(given: typer.Typer, before: str = "") -> Iterator[tuple[str, Callable[..., object]]]:
    """Every command of an application: its words and its function."""
    for command in given.registered_commands:
        if command.callback is not None and not command.hidden:
            yield before + (command.name or command.callback.__name__.replace("_", "-")), command.callback
    for group in given.registered_groups:
        if group.typer_instance is not None:
            yield from of_app(group.typer_instance, f"{before}{group.name} ")


def options(function: Callable[..., object]) -> Iterator[str]:
    """A row for every argument and option of a command."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        for told in getattr(hints[name], "__metadata__", ()):
            if isinstance(told, ArgumentInfo | OptionInfo) and not told.hidden:
                shown = ", ".join(f"`{each}`" for each in spelled(name, told, hints[name].__origin__))
                default = option_default(parameter.default)
                yield f"| {shown} | {default} | {markdown(told.help or '')} |"


def spelled(name: str, told: ArgumentInfo | OptionInfo, type_: object) -> list[str]:
    """How an argument or option is written."""
    if isinstance(told, ArgumentInfo):
        return [(told.metavar or name).upper()]
    words_ = name.replace("_", "-")
    first = [told.default] if isinstance(told.default, str) else []  # typer's Annotated form keeps it there
    return [*first, *(told.param_decls or ())] or [
        f"--{words_}/--no-{words_}" if type_ is bool else f"--{words_}"
    ]


def option_default(value: object) -> str:
    """The default of an argument or option; empty where nothing is given."""
    if value is inspect.Parameter.empty:
        return "required"
    plain = value.value if isinstance(value, Enum) else value
    if isinstance(plain, bool):
        return "on" if plain else "off"
    return "" if plain is None else f"`{plain}`"


def main() -> None:
    """Write the page, or say that it is stale."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit code 1 if the page is stale"
    )
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        sys.exit("docs/reference.md is stale: run python docs/reference.py")


if __name__ == "__main__":
    main()
