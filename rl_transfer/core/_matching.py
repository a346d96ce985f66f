"""Which source tensor stands for which target tensor, and whether it can be copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from torch import Tensor, nn

from rl_transfer.core._inputs import layer_maps, map_columns, mapping_note
from rl_transfer.core._outputs import map_outputs, output_maps, output_note
from rl_transfer.core._selectors import names_whole_parts
from rl_transfer.core._sorting import alias_groups, identity, owner_path
from rl_transfer.core._text import shape_text, table
from rl_transfer.core.digest import digest_tensors, dtype_name, tensors_of
from rl_transfer.core.parts import Part, PartMap, TensorInfo
from rl_transfer.core.strategy import InputFill, InputMap, OutputMap, Strategy
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing

SourceParts = PartMap | Mapping[str, Sequence[str]]
MOST_PROBLEMS = 10
"""Lines of a refusal; a network of a hundred broken tensors is told by the first."""


@dataclass(frozen=True)
class Match:
    """A target tensor's counterpart in the source.

    Attributes:
        source_names: its name in the source first, then the target's other names found there.
        source_shape: None without a counterpart.
        value: what will be copied; None where nothing is.
        note: what a reader of the plan should know; empty if nothing.
    """

    source_names: tuple[str, ...] = ()
    source_shape: tuple[int, ...] | None = None
    value: Tensor | None = None
    note: str = ""


class Matcher:
    """Pairs a source state with the tensors of a target, part by part."""

    def __init__(
        self,
        source: Mapping[str, Tensor],
        part_map: PartMap,
        source_parts: SourceParts | None,
    ) -> None:
        self._source = source
        self._map = part_map
        self._given = source_parts is not None
        self._parts = _names_by_part(source, part_map, source_parts)
        self._aliases = {name: group for group in alias_groups(source) for name in group}
        self.pairs = {info.name: names for part in part_map for info, names in self._pair(part)}

    def _pair(self, part: Part) -> Iterable[tuple[TensorInfo, tuple[str, ...]]]:
        """Every tensor of the part with the names of its counterpart, none if there is none."""
        source: Iterable[str] = self._source
        if self._given:
            held = self._parts.get(part.name, ())
            source = {alias for name in held for alias in self._aliases[name]}
        by_name = {info: tuple(n for n in info.names if n in source) for info in part.tensors}
        if not self._given or all(by_name.values()):
            return by_name.items()
        ours = [layer.tensors for layer in part.layers]
        theirs = self.layers(part.name)
        by_place = {
            name: found
            for i, names in enumerate(ours)
            for name in names
            for found in (theirs[i] if i < len(theirs) else ())
            if _local(found) == _local(name)
        }
        return ((i, (by_place[i.name],) if i.name in by_place else ()) for i in part.tensors)

    def layers(self, part: str) -> list[tuple[str, ...]]:
        """The source's layers of a part: tensor names grouped by the sub-module that owns them."""
        groups: dict[str, list[str]] = {}
        for name in self._parts.get(part, ()):
            groups.setdefault(owner_path(name), []).append(name)
        return [tuple(names) for names in groups.values()]

    def surplus(self, part: Part) -> list[str]:
        """The source's tensors of a part that are no target tensor's counterpart."""
        used = {alias for n in part.tensor_names for name in self.pairs[n] for alias in self._aliases[name]}
        return [name for name in self._parts.get(part.name, ()) if name not in used]

    def side_by_side(self, part: Part) -> str:
        """The part's layers in the source and in the target, as a table."""
        theirs = [_shapes(names, self._source) for names in self.layers(part.name)]
        target = {name: info.shape for name, info in self._map.tensors.items()}
        ours = [_describe((name, target[name]) for name in layer.tensors) for layer in part.layers]
        both = zip_longest(theirs, ours, fillvalue="–")
        rows = [(f"{part.name}.{i}", a, b) for i, (a, b) in enumerate(both)]
        return table(("layer", "source", "target"), rows)


def find_matches(
    source: Mapping[str, Tensor],
    model: nn.Module,
    part_map: PartMap,
    strategy: Strategy,
    source_parts: SourceParts | None,
) -> dict[str, Match]:
    """The match of every target tensor by canonical name, in part order.

    Raises:
        TransferError: see :func:`rl_transfer.core.transfer.plan`; all problems at once.
    """
    copy = set(part_map.select(strategy.copy, key=strategy.key_of("copy")))
    whole_parts = set(part_map.layers([s for s in strategy.copy if names_whole_parts(s, part_map.names)]))
    wanted = copy - set(part_map.select(strategy.reset, key=strategy.key_of("reset")))
    lenient = part_map.layers(strategy.reset_on_mismatch, key=strategy.key_of("reset_on_mismatch"))
    maps, heads = layer_maps(part_map, strategy, wanted), output_maps(part_map, strategy, wanted)
    matcher = Matcher(source, part_map, source_parts)
    live = tensors_of(model)
    found: dict[str, Match] = {}
    problems: list[str] = []
    crooked: list[Part] = []
    for part in part_map:
        surplus = matcher.surplus(part) if whole_parts.issuperset(part.layers) else []
        deeper = bool(surplus) and bool(wanted.intersection(part.tensor_names))
        if deeper and not set(part.layers) <= set(lenient):
            problems.append(f"{part.name}: the source has more there: {listing(surplus)}")
            crooked.append(part)
        for layer in part.layers:
            pairs = {name: (matcher.pairs[name], live[name]) for name in layer.tensors}
            declared = _Maps(maps.get(layer), heads.get(layer), strategy.input_fill)
            matches, unfit, fatal = _match_layer(pairs, source, wanted, declared)
            if layer in lenient and (unfit or deeper):
                reason = unfit[0] if unfit else "the source's part has more layers"
                matches = _reset_layer(matches, wanted, f"{reason}; the layer starts fresh")
            elif unfit:
                problems += unfit
                crooked += [] if part in crooked else [part]
            problems += fatal
            found.update(matches)
    if problems:
        raise _refusal(strategy, problems, [matcher.side_by_side(part) for part in crooked])
    return found


@dataclass(frozen=True)
class _Maps:
    """What a strategy declares of one layer's inputs and outputs."""

    inputs: InputMap | None
    outputs: OutputMap | None
    fill: InputFill

    def applied(self, name: str, value: Tensor, target: Tensor, note: str) -> tuple[Tensor, str]:
        """The source's tensor in the target's order, and what a reader of the plan should know."""
        notes = [note] if note else []
        if self.outputs is not None:
            value = map_outputs(name, value, target, self.outputs)
            notes.append(output_note(self.outputs))
        if self.inputs is not None and _differ_in_inputs_only(value, target):
            value = map_columns(value, target, self.inputs, self.fill)
            notes.append(mapping_note(self.inputs, self.fill))
        return value, "; ".join(notes)


def _match_layer(
    pairs: Mapping[str, tuple[tuple[str, ...], Tensor]],
    source: Mapping[str, Tensor],
    wanted: set[str],
    declared: _Maps,
) -> tuple[dict[str, Match], list[str], list[str]]:
    """Matches of one layer; what does not fit (another architecture); what is plainly wrong."""
    matches: dict[str, Match] = {}
    unfit: list[str] = []
    fatal: list[str] = []
    for name, (names, target) in pairs.items():
        if not names:
            matches[name] = Match()
            if name in wanted:
                unfit.append(f"{name}: the source has no counterpart")
            continue
        value = source[names[0]].detach()
        shape = tuple(value.shape)
        matches[name] = Match(names, shape)
        if name not in wanted:
            continue
        note = _provenance(name, names, source)
        value, note = declared.applied(name, value, target, note)
        if value.shape != target.shape:
            unfit.append(f"{name}: {shape_text(shape)} in the source, {shape_text(target.shape)} here")
        elif value.dtype != target.dtype:
            fatal.append(f"{name}: {dtype_name(value)} in the source, {dtype_name(target)} here")
        elif value.is_floating_point() and not bool(value.isfinite().all()):
            fatal.append(f"{name}: the source holds NaN or infinite values")
        else:
            matches[name] = Match(names, shape, value, note)
    return matches, unfit, fatal


def _differ_in_inputs_only(source: Tensor, target: Tensor) -> bool:
    shapes = [(*tensor.shape[:1], *tensor.shape[2:]) for tensor in (source, target)]
    return source.ndim == target.ndim > 1 and shapes[0] == shapes[1]


def _provenance(name: str, names: tuple[str, ...], source: Mapping[str, Tensor]) -> str:
    """What to say when the counterpart has another name, or several values for one tensor."""
    other = [
        n for n in names[1:] if digest_tensors({"": source[n]}) != digest_tensors({"": source[names[0]]})
    ]
    if other:
        return f"shared here, separate in the source: taken from {names[0]}, not {listing(other)}"
    return "" if names[0] == name else f"from {names[0]}"


def _reset_layer(matches: Mapping[str, Match], wanted: set[str], note: str) -> dict[str, Match]:
    return {
        name: Match(match.source_names, match.source_shape, None, note) if name in wanted else match
        for name, match in matches.items()
    }


def _refusal(strategy: Strategy, problems: list[str], tables: list[str]) -> TransferError:
    lines = [f"{strategy.called} cannot copy from this source; nothing was touched:"]
    lines += [f"  {problem}" for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        lines.append(f"  and {len(problems) - MOST_PROBLEMS} more tensors")
    if tables:
        lines += ["", *tables, ""]
        lines.append(
            "Give the target the source's architecture, copy fewer layers (part[:k]), reset the part, "
            "list its layers under reset_on_mismatch, or declare input maps for another observation, output "
            "maps for other actions."
        )
    return TransferError("\n".join(lines), key=strategy.key_of("copy"))


def _names_by_part(
    source: Mapping[str, Tensor], part_map: PartMap, source_parts: SourceParts | None
) -> dict[str, list[str]]:
    """Source names by part, one name per storage and only names that the source has."""
    if source_parts is None:
        given: Mapping[str, Sequence[str]] = part_map.assign(source)
    elif isinstance(source_parts, PartMap):
        given = {part.name: part.tensor_names for part in source_parts}
    else:
        given = source_parts
    found: dict[str, list[str]] = {}
    for part, names in given.items():
        once = {identity(source[name]): name for name in reversed(names) if name in source}
        found[part] = [name for name in names if name in once.values()]
    return found


def _local(name: str) -> str:
    path = owner_path(name)
    return name.removeprefix(f"{path}.") if path else name


def _shapes(names: Sequence[str], tensors: Mapping[str, Tensor]) -> str:
    return _describe((name, tuple(tensors[name].shape)) for name in names)


def _describe(tensors: Iterable[tuple[str, tuple[int, ...]]]) -> str:
    return ", ".join(f"{_local(name)} {shape_text(shape)}" for name, shape in tensors)
