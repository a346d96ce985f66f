"""The state of MuJoCo's model and simulation as numbers, and back; models carry it where perturbations write.

Whole numbers of these structures are sizes and indices to C code. They are compared and never written, so
that a state from elsewhere cannot make MuJoCo read or write outside of its memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rl_transfer_envs.aliases import Array

State = Mapping[str, object]
"""Names of MuJoCo's arrays and numbers, or of groups of them → what they are."""

_PARTS = ("model", "opt", "stat")


def kind_of(value: object) -> str:
    """Which of MuJoCo's structures something is; nothing is imported to ask.

    Args:
        value: anything.

    Returns:
        ``MjModel``, ``MjData`` or another one's name; empty for anything else.
    """
    kind = type(value)
    return kind.__name__ if getattr(kind, "__module__", "") == "mujoco._structs" else ""


def model_state(model: object) -> State:
    """The arrays, options and statistics of a model.

    Args:
        model: an ``MjModel``.

    Returns:
        Three groups, by name.
    """
    return {part: _numbers(_part(model, part)) for part in _PARTS}


def write_model(model: object, state: object) -> None:
    """Put a model back.

    Args:
        model: an ``MjModel`` of the same description.
        state: what :func:`model_state` gave.

    Raises:
        ValueError: it is of another model.
        KeyError: it lacks something, or has too much.
    """
    for part in _PARTS:
        _write(_part(model, part), _mapping(_mapping(state)[part]))


def data_state(data: object) -> State:
    """MuJoCo's full integration state, and what was derived from it: environments read that before a step.

    Args:
        data: an ``MjData``.

    Returns:
        ``integration`` as MuJoCo lays it out, ``derived`` by name.
    """
    import mujoco

    full, model = int(mujoco.mjtState.mjSTATE_INTEGRATION), _part(data, "model")
    state = np.empty(mujoco.mj_stateSize(model, full))
    mujoco.mj_getState(model, data, state, full)
    derived = {name: value for name, value in _numbers(data).items() if np.asarray(value).dtype.kind == "f"}
    return {"integration": state, "derived": derived}


def write_data(data: object, state: object) -> None:
    """Put a simulation back; what each step makes anew, at a size of its own, is left to the step.

    Args:
        data: an ``MjData`` of the same model.
        state: what :func:`data_state` gave.

    Raises:
        ValueError: it is of another model.
        KeyError: it lacks something.
    """
    import mujoco

    full, model = int(mujoco.mjtState.mjSTATE_INTEGRATION), _part(data, "model")
    integration = np.asarray(_mapping(state)["integration"], dtype=np.float64)
    if integration.shape != (mujoco.mj_stateSize(model, full),):
        raise ValueError("the state of a MuJoCo simulation has another size")
    live, derived = _numbers(data), _mapping(_mapping(state)["derived"])
    shapes = {name: np.asarray(value).shape for name, value in live.items()}
    fits = {name: v for name, v in derived.items() if np.asarray(v).shape == shapes.get(name)}
    _write(data, fits)
    mujoco.mj_setState(model, data, integration, full)


def _part(struct: object, name: str) -> object:
    part: object = struct if name == "model" and kind_of(struct) == "MjModel" else getattr(struct, name)
    return part


def _mapping(value: object) -> State:
    if not isinstance(value, Mapping):
        raise ValueError("the state of a MuJoCo structure has another form")
    return value


def _numbers(struct: object) -> dict[str, Array | float | int]:
    """The numbers and arrays of a structure, by name, but for constraints: each step makes its own."""
    found: dict[str, Array | float | int] = {}
    for name in dir(struct):
        if not name.startswith(("_", "efc_", "iefc_", "efm_")):
            value = getattr(struct, name)
            if isinstance(value, float | int) or (isinstance(value, np.ndarray) and value.size):
                found[name] = value
    return found


def _write(struct: object, saved: State) -> None:
    live = _numbers(struct)
    for name, value in saved.items():
        before, after = np.asarray(live[name]), np.asarray(value)
        if before.shape != after.shape:
            raise ValueError(f"MuJoCo's {name} has another shape")
        if before.dtype.kind == "f" and isinstance(live[name], np.ndarray):
            before[...] = after
        elif before.dtype.kind == "f":
            setattr(struct, name, float(after))
        elif not np.array_equal(before, after):
            raise ValueError(f"MuJoCo's {name} differs")
