"""The section of the page that says where everything comes from, and how to do it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.markup import Html, esc, joined, tag
from rl_transfer.report.runs_view import settings_text
from rl_transfer.results.manifest import CONFIG, CONFIG_DIGEST, NAME
from rl_transfer.spec import JsonObject, digest
from rl_transfer.spec.modules import named_modules
from rl_transfer.wording import counted, in_words, listing

_SETTINGS = ("algorithm", "model", "training", "evaluation")
_SHOWN = 3
_DIGITS = 6
_INSTALLED = ("rl_transfer", "rl_transfer_envs", "stable_baselines3", "gymnasium")


def provenance_section(sweep: Sweep, matrix: Matrix, config_text: str) -> Html:
    """Command, commit, machine, versions, settings and digests; then what to type to do it again.

    Args:
        sweep: the manifest and its runs, whose records say what they rest on.
        matrix: the analysis of it.
        config_text: the suite as YAML; empty where the sweep did not store it.

    Returns:
        A section with its heading.
    """
    distinct = [*{run.id: run for run in (*sweep.runs, *sweep.tuning)}.values()]
    records = [run.record for run in distinct if run.record is not None]
    facts = [
        ("command", _most(_origin(record, "command") for record in records)),
        ("commit of the folder", _most(map(_commit, records)) or "not recorded: no git repository"),
        ("dates", _dates(records)),
        ("machine", _most(map(_machine, records))),
        ("root seed", f"{sweep.root_seed}; seeds {_seeds(sweep)}"),
        *((key, settings_text(sweep.config[key])) for key in _SETTINGS if sweep.config.get(key)),
        ("versions", ", ".join(f"{name} {' / '.join(found)}" for name, found in matrix.versions.items())),
        ("code", _most(map(_code, records))),
        ("digests", _digests(sweep)),
        ("repeated", _repeated(distinct)),
    ]
    shown = [(name, value) for name, value in facts if value]
    return joined(
        [
            tag("h2", "Where this comes from"),
            tag("dl", joined(joined([tag("dt", name), tag("dd", value)]) for name, value in shown)),
            tag("h2", "Do it again"),
            _again(sweep, config_text),
        ]
    )


def _origin(record: JsonObject, key: str) -> str:
    said = record.get("provenance")
    value = said.get(key) if isinstance(said, dict) else None
    return "" if value is None else str(value)


def _most(values: Iterable[str]) -> str:
    """What the most runs say; of how many, where they differ."""
    counts = Counter(value or "not recorded" for value in values)
    if len(counts) <= 1:
        return next(iter(counts.keys() - {"not recorded"}), "")
    total = counts.total()
    return listing(
        [f"{value} ({count} of {total} runs)" for value, count in counts.most_common()], _SHOWN, "; "
    )


def _commit(record: JsonObject) -> str:
    said = record.get("provenance")
    git = said.get("git") if isinstance(said, dict) else None
    if not isinstance(git, dict) or not git.get("commit"):
        return ""
    return f"{git['commit']}{' with changes that are not committed' if git.get('dirty') else ''}"


def _machine(record: JsonObject) -> str:
    cores = _origin(record, "cores")
    words = (
        _origin(record, "cpu"),
        counted(int(cores), "core") if cores.isdecimal() and len(cores) < _DIGITS else "",
        _origin(record, "platform"),
    )
    return ", ".join(word for word in words if word)


def _code(record: JsonObject) -> str:
    code = record.get("code")
    return ", ".join(f"{name} {what}" for name, what in code.items()) if isinstance(code, dict) else ""


def _dates(records: Iterable[JsonObject]) -> str:
    known = [record for record in records if record.get("started") and record.get("finished")]
    if not known:
        return ""
    first, last = min(str(each["started"]) for each in known), max(str(each["finished"]) for each in known)
    seconds = [each.get("cpu_seconds") for each in known]
    hours = sum(each for each in seconds if isinstance(each, int | float)) / 3600
    begun, ended = (text[:16].replace("T", " ") for text in (first, last))
    return f"{begun} to {ended} UTC; {hours:,.2f} hours of CPU in {len(known):,} runs"


def _seeds(sweep: Sweep) -> str:
    seeds = sweep.seeds
    whole = len(seeds) > 1 and [*seeds] == [*range(seeds[0], seeds[-1] + 1)]
    return f"{seeds[0]} to {seeds[-1]}" if whole else listing([*map(str, seeds)], 12)


def _digests(sweep: Sweep) -> str:
    own = sweep.manifest.get("digest")
    said = [f"{NAME} sha256:{own}"] if own else []
    return ", ".join([*said, f"its config {digest(sweep.config, 64)}"])


def _repeated(runs: Iterable[Run]) -> str:
    """Runs that more than one process began: crashed, killed or interrupted before."""
    counts = [_origin(run.record, "attempts") for run in runs if run.record is not None]
    again = sum(count.isdecimal() and count not in ("0", "1") for count in counts)
    return f"{counted(again, 'run')} began more than once (interrupted, or tried again)" if again else ""


def _again(sweep: Sweep, config_text: str) -> Html:
    parts: list[Html] = []
    if config_text and sweep.manifest.get(CONFIG_DIGEST) != digest(config_text, 64):
        text = (
            f"{CONFIG} is not what this sweep wrote: it was changed, or comes from an older version. The "
            f"resolved config of these runs stands in {NAME}; the same sweep writes {CONFIG} anew."
        )
        parts.append(tag("p", text))
    elif config_text:
        text = (
            f"Save this as {CONFIG} (it lies in the sweep's folder too) and run it: the same config gives "
            "the same runs, under the same ids; on the same kind of machine the numbers are the same, too."
        )
        parts += [
            tag("p", text),
            *_modules(sweep.config),
            _block(f"rl-transfer sweep ./{CONFIG} --output results/again"),
            tag("details", tag("summary", CONFIG), _block(config_text)),
        ]
    else:
        text = f"The version that ran this sweep stored no {CONFIG}; its resolved config stands in {NAME}."
        parts.append(tag("p", text))
    return joined(parts)


def _modules(config: JsonObject) -> list[Html]:
    """Where to start, if the config names modules of the user's."""
    names = {each for each in named_modules(config) if each.partition(".")[0] not in _INSTALLED}
    if not names:
        return []
    text = (
        f"It names {in_words(sorted(names))}, of which this page has nothing: where such a module is not "
        "installed, start from the folder that has it."
    )
    return [tag("p", text)]


def _block(text: str) -> Html:
    return tag("pre", tag("code", esc(text)), tabindex="0", class_="copy")
