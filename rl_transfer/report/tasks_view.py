"""The section of the page that says what the tasks are: perturbations in words and numbers, and pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from rl_transfer.analysis.model import Matrix
from rl_transfer.report.markup import Html, esc, items, joined, tag
from rl_transfer.results.portraits import Portrait, Portraits
from rl_transfer.spec import JsonObject
from rl_transfer.wording import in_words

OPEN = 6
"""With more targets than this the section is folded."""


def tasks_section(matrix: Matrix, portraits: Portraits, config: JsonObject) -> Html:
    """Sources and targets: what each is, what was perturbed, base and target side by side.

    Args:
        matrix: the analysis, which names them.
        portraits: what the sweep stored of them; where it stored nothing, the config is quoted.
        config: of the sweep.

    Returns:
        A section with its heading; nothing where neither says anything.
    """
    sources = [_source(name, _portrait(portraits.sources.get(name), config, "sources", name), config)
               for name in matrix.sources]  # fmt: skip
    cards = [_target(name, _portrait(portraits.targets.get(name), config, "targets", name), config)
             for name in matrix.targets]  # fmt: skip
    if not any(cards):
        return Html("")
    grid = tag("div", joined(cards), class_="grid tasks")
    if len(cards) > OPEN:
        grid = tag("details", tag("summary", tag("b", f"All {len(cards)} targets")), grid)
    return joined([tag("h2", "Tasks"), items(each for each in sources if each), grid])


def _portrait(found: Portrait | None, config: JsonObject, group: str, name: str) -> Portrait:
    """What was stored; else the entry's environment as its config says it."""
    if found is not None:
        return found
    env = _entry(config, group, name).get("env")
    if not isinstance(env, dict):
        return Portrait("")
    perturb = env.get("perturb")
    words = [
        f"{key}: {value}"
        for each in (perturb if isinstance(perturb, list) else [])
        if isinstance(each, dict)
        for key, value in each.items()
    ]
    return Portrait(str(env.get("id") or ""), tuple(words))


def _entry(config: JsonObject, group: str, name: str) -> JsonObject:
    entries = config.get(group)
    entry = entries.get(name) if isinstance(entries, dict) else None
    return entry if isinstance(entry, dict) else {}


def _source(name: str, portrait: Portrait, config: JsonObject) -> Html:
    if not portrait.env:
        return Html("")
    summary = str(_entry(config, "sources", name).get("summary") or "")
    words = in_words([*portrait.words]) if portrait.words else "unperturbed"
    text = f": {portrait.env}, {words}{f'. {summary}' if summary else ''}"
    return joined(["Source ", tag("b", name), text])


def _target(name: str, portrait: Portrait, config: JsonObject) -> Html:
    summary = str(_entry(config, "targets", name).get("summary") or "")
    if not portrait.env and not summary:
        return Html("")
    words: Iterable[str] = portrait.words or (("unperturbed",) if portrait.env else ())
    parts = [
        tag("h3", name, tag("small", f" {portrait.env}") if portrait.env else ""),
        tag("p", summary) if summary else "",
        items(words),
        _pictures(name, portrait),
        tag("p", portrait.note, class_="muted") if portrait.note else "",
    ]
    return tag("div", joined(parts), class_="task")


def _pictures(name: str, portrait: Portrait) -> Html:
    if portrait.base is None or portrait.picture is None:
        return Html("")
    what = in_words([*portrait.words]) if portrait.words else name
    pair = [
        _image(
            portrait.base, f"{portrait.env}, unperturbed", f"{portrait.env} at its first reset, unperturbed"
        ),
        _image(portrait.picture, name, f"{name} at its first reset, from the same seed: {what}"),
    ]
    return tag("div", joined(pair), class_="pair")


def _image(picture: bytes, caption: str, described: str) -> Html:
    data = base64.b64encode(picture).decode("ascii")
    image = Html(f'<img alt="{esc(described)}" src="data:image/png;base64,{data}">')
    return tag("figure", image, tag("figcaption", caption))
