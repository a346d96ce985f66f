"""From a YAML file and command-line overrides to a frozen config object."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.spec.base import Frozen
from rl_transfer.spec.explain import explain
from rl_transfer.spec.severity import expand_severities
from rl_transfer.spec.shipped import configs_folder, locate
from rl_transfer.spec.yaml_map import (
    DEEPEST,
    MOST_VALUES,
    Document,
    Key,
    Place,
    index_in,
    parse_value,
    read_yaml,
)
from rl_transfer.wording import did_you_mean, shortened

Config = TypeVar("Config", bound=BaseModel)

Overrides = Sequence[str] | Mapping[str, object]

MOST_OVERRIDES = 1_000
MOST_LETTERS = 2**15
"""Of all overrides together."""


@dataclass(frozen=True)
class Loaded(Generic[Config]):
    """A validated config, and where each of its values came from."""

    config: Config
    document: Document

    def located(self, error: RLTransferError) -> str:
        """The message of ``error``, preceded by file, line and key where its key is known.

        Args:
            error: what a lower room raised.

        Returns:
            The message for people.
        """
        if error.key is None:
            return error.message
        place = self.document.place(self.document.key_of(error.key))
        return f"{place}: {error.key}: {error.message}" if place else f"{error.key}: {error.message}"


def load(
    argument: str,
    models: dict[str, type[Config]],
    category: str,
    overrides: Overrides | None = None,
) -> Loaded[Config]:
    """Read, resolve, override and validate one config.

    Args:
        argument: a path to a YAML file, or the bare name of a shipped config.
        models: the accepted config type for each ``kind``.
        category: where a bare name is looked up (``suites``, ``train`` or ``transfer``).
        overrides: ``key.path=value`` strings, applied last, whose values are YAML; or key path → plain data.

    Returns:
        The config with the places of its values.

    Raises:
        ConfigError: anything is wrong with the file or an override; every mistake is listed.
    """
    path = locate(argument, category)
    return _finish(read_yaml(path), path.parent, models, overrides)


def load_plain(
    data: Mapping[str, object], models: dict[str, type[Config]], overrides: Overrides | None = None
) -> Loaded[Config]:
    """The same of a mapping that stands in no file; paths and names in it are those of a file here.

    Args:
        data: what a YAML file would say.
        models: the accepted config type for each ``kind``.
        overrides: as for :func:`load`.

    Returns:
        The config; every place is ``the mapping``.

    Raises:
        ConfigError: anything is wrong with the data or an override; every mistake is listed.
    """
    document = Document(_plain_data(data, "the mapping"), {(): Place("the mapping")})
    return _finish(document, Path(), models, overrides)


def _plain_data(value: object, what: str) -> Any:
    try:
        return json.loads(json.dumps(value, default=_plain_value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{what}: {error}; a config is numbers, text, true, false, null, lists and mappings"
        ) from None


def _plain_value(value: object) -> object:
    """What JSON does not know and people give all the same: paths, numbers of numpy, config objects."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Frozen):
        return value.plain()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{shortened(repr(value))} is of type {type(value).__name__}")


def _finish(
    document: Document, folder: Path, models: dict[str, type[Config]], overrides: Overrides | None
) -> Loaded[Config]:
    _resolve(document, folder)
    if isinstance(overrides, Mapping):
        for name, value in overrides.items():
            said = f"{name}={shortened(repr(value))}"
            _set(document, name, _plain_data(value, name), f"override {said}", f"override {said}")
    else:
        texts = overrides or ()
        letters = sum(map(len, texts))
        if len(texts) > MOST_OVERRIDES or letters > MOST_LETTERS:
            raise ConfigError(
                f"{len(texts):,} overrides of {letters:,} characters in all, expected at most "
                f"{MOST_OVERRIDES:,} of {MOST_LETTERS:,}; write so much into a YAML file"
            )
        for text in texts:
            _override(document, text)
    _resolve(document, Path())
    expand_severities(document)
    kind = document.data.get("kind", "rl")
    if not isinstance(kind, str) or kind not in models:
        place = document.place(("kind",))
        raise ConfigError(f"{place}: kind: got {shortened(repr(kind))}, accepted: {', '.join(models)}")
    return Loaded(validate(models[kind], document), document)


def validate(model: type[Config], document: Document) -> Config:
    """Build ``model`` from plain data; every mistake is reported with its place.

    Args:
        model: what the data should describe.
        document: plain data and the places of its keys.

    Returns:
        The config.

    Raises:
        ConfigError: the data does not describe one; every mistake is listed with its place.
    """
    try:
        return model.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(error, model, document)) from None


def parse(type_: Any, data: Any) -> Any:
    """Build a config from plain JSON data that has no file of its own, such as a stored record.

    Args:
        type_: a model, or a union such as ``Algorithm``.
        data: what :meth:`rl_transfer.spec.Frozen.plain` returned.

    Returns:
        The config.

    Raises:
        ConfigError: the data does not describe one; every mistake is listed with its key.
    """
    try:
        return TypeAdapter(type_).validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise ConfigError(explain(error, type_, Document(data, {}))) from None


def _resolve(document: Document, folder: Path) -> None:
    """Replace names of strategies, targets and sources by the configs that they name."""
    data = document.data
    read = cache(read_yaml)

    def resolve(key: Key, item: object, category: str) -> None:
        _replace(document, key, item, category, folder, read)

    strategies = data.get("strategies")
    if isinstance(strategies, list):
        for index, item in enumerate(strategies):
            resolve(("strategies", index), item, "strategies")
    resolve(("strategy",), data.get("strategy"), "strategies")
    targets = data.get("targets")
    if isinstance(targets, list):
        # A list of shipped names is a mapping under the same names.
        data["targets"] = {str(name).rsplit("/")[-1].removesuffix(".yaml"): name for name in targets}
        targets = data["targets"]
    if isinstance(targets, dict):
        for name, item in targets.items():
            resolve(("targets", name), item, "targets")
    env = data.get("env")
    if isinstance(env, str):
        resolve(("env",), env, "targets")
        data["env"] = data["env"].get("env", data["env"])


def _replace(
    document: Document,
    key: Key,
    item: object,
    category: str,
    folder: Path,
    read: Callable[[Path], Document],
) -> None:
    if not isinstance(item, str):
        return
    place = document.place(key)
    try:
        part = copy.deepcopy(read(locate(item, category, folder)))
    except ConfigError as error:
        hint = " A Gymnasium environment is written {id: …}, or env.id=… on the command line."
        message = error.message + (hint if key == ("env",) else "")
        raise ConfigError(f"{place}: {'.'.join(map(str, key))}: {message}") from None
    if category == "strategies":
        part.data.setdefault("name", Path(item).stem)
    parent = document.data
    for step in key[:-1]:
        parent = parent[step]
    parent[key[-1]] = part.data
    document.places.update(
        {(*key, *inner): _seen(where, place) for inner, where in part.places.items() if inner}
    )
    if len(document.places) > MOST_VALUES:
        raise ConfigError(
            f"{place}: {'.'.join(map(str, key))}: more than {MOST_VALUES:,} keys and values, those of the "
            "configs that are named included"
        )


def _seen(where: Place, named: Place | None) -> Place:
    """The place itself in a file of the user's own; for one in a shipped config the line that names it."""
    folder = configs_folder()
    if named is None or _is_shipped(named) or not _is_shipped(where):
        return where
    return replace(named, shipped=f"{Path(where.source).relative_to(folder)}:{where.line}")


def _is_shipped(place: Place) -> bool:
    return Path(place.source).is_relative_to(configs_folder())


def _index_of(items: list[object], step: str) -> int | None:
    """The index of the item called ``step``, or the index that it says; None where it is neither."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    return names.index(step) if step in names else index_in(items, step)


def _override(document: Document, text: str) -> None:
    """Apply one ``key.path=value``."""
    name, equals, value = text.partition("=")
    said = f"override {shortened(text)!r}"
    if not equals or not name or not name.isprintable():
        raise ConfigError(f"{said}: expected key=value, for example training.total_steps=50000")
    _set(document, name, partial(parse_value, value), said, f"command line ({shortened(text)})")


def _set(document: Document, name: str, value: object, said: str, source: str) -> None:
    """Set one key; list items are addressed by index, strategies and such by name."""
    key: Key = ()
    parent = document.data
    steps = name.split(".")
    if len(steps) > DEEPEST:
        raise ConfigError(f"{said}: the key has {len(steps)} steps; no config is that deep")
    for position, step in enumerate(steps):
        last = position == len(steps) - 1
        if isinstance(parent, list):
            index = _index_of(parent, step)
            if index is None:
                hint = f"address an item by its index, 0 to {len(parent) - 1}" if parent else "give it whole"
                raise ConfigError(f"{said}: {'.'.join(map(str, key))} is a list of {len(parent)}; {hint}")
            part: str | int = index
        elif isinstance(parent, dict):
            part = step
            if not last and parent.get(part) is None:
                if key in (("targets",), ("sources",)):
                    meant = did_you_mean(step, parent)
                    raise ConfigError(
                        f"{said}: there is no {step!r} in {key[0]}.{meant} "
                        f"Known: {', '.join(parent)}. To add one, give it whole: {key[0]}.{step}={{…}}"
                    )
                parent[part] = {}
        else:
            raise ConfigError(
                f"{said}: {'.'.join(map(str, key))} is the value {shortened(repr(parent))}, not a mapping"
            )
        key = (*key, part)
        if last:
            parent[part] = copy.deepcopy(value() if isinstance(value, partial) else value)
        else:
            parent = parent[part]
    stale = [known for known in document.places if known[: len(key)] == key]
    for known in stale:
        del document.places[known]
    document.places[key] = Place(source)
