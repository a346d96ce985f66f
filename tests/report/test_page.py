import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.report import write_report
from rl_transfer.report.document import document
from rl_transfer.report.markup import Html, esc, table, tag
from rl_transfer.results import Labels
from rl_transfer.spec import Analysis
from support.records import change_manifest

VOID = {"meta", "br", "img"}


class Checker(HTMLParser):
    """Collects ids and links, and refuses tags that do not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.tags, self.links, self.text, self.scripts = [], [], set(), [], [], []

    def handle_starttag(self, name, attributes):
        self.tags.add(name)
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given[key] for key in ("href", "src", "xlink:href") if key in given]
        if name not in VOID:
            self.open.append("data" if name == "script" and "type" in given else name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        assert self.open, f"</{name}> without a start"
        assert self.open.pop() in ((name, "data") if name == "script" else (name,))

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        if not {"style", "script", "data", "nav"} & {*self.open}:
            self.text.append(data)


def check(path):
    checker = Checker()
    checker.feed(path.read_text(encoding="utf-8"))
    assert checker.open == []
    return checker


@pytest.mark.parametrize("which", ["complete", "partial"])
def test_the_page_is_well_formed_and_needs_nothing_else(which, request):
    page = check(request.getfixturevalue(which).paths.page)
    assert len(page.ids) == len(set(page.ids))
    assert page.tags.isdisjoint({"link", "img", "iframe", "object"})
    inner = {link[1:] for link in page.links if link.startswith("#")}
    assert inner <= set(page.ids)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    text = request.getfixturevalue(which).paths.page.read_text()
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)
    assert "@import" not in text
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri" in text


def test_the_page_says_what_people_ask_first(complete):
    text = " ".join(check(complete.paths.page).text)
    assert "fine-tune from cartpole helps on longer-pole" in text
    html = complete.paths.page.read_text()
    places = [html.index(each) for each in (">Findings</h2>", "How to read this page", ">Verdicts</h2>")]
    assert places == sorted(places)
    for part in (
        "Verdicts",
        "Learning curves",
        "Jump-start",
        "Sources",
        "Targets",
        "Every cell",
        "How to read",
    ):
        assert part in text
    assert re.search(r"Without the source's knowledge: [\w-]+ (final quality|sample efficiency) ", text)
    assert "all reach it" in text
    assert "torch" in text
    assert text.count("of 5 runs") == 12
    # Three targets, two metrics, one control: the gain as a sum, in every cell that has a control.
    assert text.count("= strategy − control p + control − scratch") == 3
    assert text.count("knowledge helps") == 6 + 6 + 3, "beside the verdicts, in the sums, in the findings"


def test_the_page_of_a_partial_sweep_warns(partial):
    text = " ".join(check(partial.paths.page).text)
    assert "1 of 5 fine-tune runs missing (seed 2 failed: ValueError: boom)" in text
    assert "below the bar 400" in text
    assert "from acrobot" in text


def test_every_metric_is_defined_once_and_its_figures_lead_there(complete):
    page = check(complete.paths.page)
    everywhere = {info.anchor for info in METRICS.values() if info.everywhere}
    assert everywhere <= set(page.ids)
    assert "linear-probe" not in page.ids
    assert {f"#{anchor}" for anchor in everywhere - {"retention", "zero-shot"}} <= set(page.links)
    text = " ".join(page.text)
    for info in METRICS.values():
        assert (info.defined(Labels(), Analysis()) in text) == info.everywhere
    assert text.count("Lower is better.") == 2


def test_text_from_configs_and_records_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>&\""
    sweep = SyntheticSweep(
        shapes={"task": QUICKSTART["longer-pole"]},
        strategies=(
            {"name": "scratch", "summary": evil},
            {"name": "fine-tune", "summary": evil, "copy": ["all"]},
        ),
        seeds=4,
        budget=1024,
        measure=f"return {evil}",
        failed=["cartpole-task-fine-tune-1"],
    )
    folder = sweep.write(tmp_path / "sweep")
    change_manifest(folder, name=f"$name_1$ {evil}", config={**sweep.config(), "summary": evil})
    failure = folder / "runs" / "cartpole-task-fine-tune-1" / "failure.json"
    failure.write_text(json.dumps({"error": "E", "message": evil}))
    page = check(write_report(folder).page)
    assert len(page.scripts) == 1
    assert "alert" not in page.scripts[0]
    assert evil in "".join(page.text)


def test_markup_escapes_all_but_html():
    assert esc("<b>") == "&lt;b&gt;"
    assert tag("td", "<b>", Html("<br>"), class_='a"b') == '<td class="a&quot;b">&lt;b&gt;<br></td>'
    assert "&lt;x&gt;" in table(["<x>"], [["<x>", 1]])


def test_headings_with_one_text_have_ids_of_their_own_and_given_ones_stay() -> None:
    body = Html('<h2>A &amp; b</h2><h2>A b</h2><h2 id="mine">Mine</h2><h2>№</h2>')
    text = document("t", Html(""), body)
    for place in ("section-a-b", "section-a-b-", "mine", "section-3"):
        assert text.count(f'<h2 id="{place}">') == text.count(f'href="#{place}"') == 1
