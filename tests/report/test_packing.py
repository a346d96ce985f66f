import base64
import json
import re
import zlib

from rl_transfer.report import packing
from rl_transfer.report.markup import Html, joined, tag
from rl_transfer.report.packing import listed, packable, packed


def test_small_pages_are_left_alone_but_for_the_marks():
    body = joined(
        [tag("p", "a"), packable(tag("b", "<x>")), packable(tag("i", "y")), listed([tag("hr")] * 999)]
    )
    assert packed(body) == "<p>a</p><b>&lt;x&gt;</b><i>y</i>" + "<hr></hr>" * 999


def test_marks_in_text_are_no_marks():
    assert packed(packable(tag("p", "<!--/pack-->"))) == "<p>&lt;!--/pack--&gt;</p>"


def chunks_of(page):
    found = re.findall(r'<script type="text/plain" class="chunk">(.*?)</script>', page)
    return [json.loads(zlib.decompress(base64.b64decode(text))) for text in found]


def test_what_is_too_much_is_packed_in_order_and_comes_out_as_it_was(monkeypatch):
    monkeypatch.setattr(packing, "MOST_PLAIN", 250)
    monkeypatch.setattr(packing, "_CHUNK", 150)
    parts = [tag("p", f"№ {place} {'x' * 80}") for place in range(9)]
    page = packed(Html("".join(f"<li>{packable(part)}</li>" for part in parts)))
    assert "<noscript" in page
    lists = chunks_of(page)
    assert len(lists) > 2
    boxes = re.findall(r'<li><div class="packed" data-chunk="(\d+)" data-place="(\d+)"></div></li>', page)
    assert [lists[int(chunk)][int(place)] for chunk, place in boxes] == parts[2:]
    assert all(part in page for part in parts[:2])


def test_rows_beyond_the_first_are_packed_as_one_with_the_places_of_what_they_hold(monkeypatch):
    monkeypatch.setattr(packing, "MOST_PLAIN", 50)
    monkeypatch.setattr(packing, "MOST_ROWS", 3)
    rows = [tag("li", place, packable(tag("p", f"{place} {'x' * 40}"))) for place in range(9)]
    page = packed(tag("ul", listed(iter(rows))))
    head, _, behind = page.partition("</ul>")
    assert head.count("<li>") == 3
    place = r'</li><template class="rest" data-chunk="(\d+)" data-place="(\d+)"></template>$'
    ((chunk, at),) = re.findall(place, head)
    lists = chunks_of(behind)
    rest = lists[int(chunk)][int(at)]
    assert len(lists[int(chunk)]) == 1, "it comes out first, and nothing else with it"
    assert [int(each) for each in re.findall(r"<li>(\d)", rest)] == [3, 4, 5, 6, 7, 8]
    boxes = re.findall(r'<div class="packed" data-chunk="(\d+)" data-place="(\d+)">', head + rest)
    inner = [lists[int(chunk)][int(place)] for chunk, place in boxes]
    assert inner == [f"<p>{place} {'x' * 40}</p>" for place in range(1, 9)]
