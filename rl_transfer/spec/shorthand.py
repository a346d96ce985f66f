"""Configs that may be written as plain text: which branch of a union it is, and how text is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, GetCoreSchemaHandler

Config = TypeVar("Config")


def tag_of(value: object) -> str:
    """Which branch of a config with a shorthand a value belongs to: its ``name``, or ``text``."""
    if isinstance(value, str):
        return "text"
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return str(name)


class FromText(Generic[Config]):
    """A branch of a union that is written as plain text: the text goes through a function.

    Unlike a "before" validator it leaves the other branches to be read as JSON, lists as tuples.
    """

    def __init__(self, build: Callable[[str], Config]) -> None:
        self._build = build

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> Mapping[str, object]:
        return handler.generate_schema(Annotated[str, AfterValidator(self._build)])
