"""The environment that a word on the command line names."""

from __future__ import annotations

from rl_transfer.spec.load import validate
from rl_transfer.spec.modules import import_named
from rl_transfer.spec.rl import Environment
from rl_transfer.spec.shipped import is_path, locate, shipped
from rl_transfer.spec.yaml_map import Document, read_yaml


def read_environment(argument: str | Environment | None) -> Environment | None:
    """The environment that ``--env`` names: a YAML file, a shipped target, or a Gymnasium id.

    Args:
        argument: as the user wrote it, or an environment; None for no ``--env``.

    Returns:
        The environment, not built yet, its modules imported; None where none was named.
    """
    if argument is None:
        return None
    if isinstance(argument, Environment):
        found = argument
    elif argument in shipped("targets") or (is_path(argument) and argument.endswith((".yaml", ".yml"))):
        document = read_yaml(locate(argument, "targets"))
        data = document.data.get("env", document.data)
        found = validate(Environment, Document(data, document.places))
    else:
        found = Environment(id=argument)
    import_named(found)
    return found
