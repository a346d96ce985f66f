import base64
import json
import re
import zlib

from rl_transfer.report import packing
from rl_transfer.report.markup import Html, joined, tag
from rl_transfer.report.packing import packable, packed


def test_small_pages_are_left_alone_but_for_the_marks():
    body = joined([tag("p", "a"), packable(tag("b", "<x>")), packable(tag("i", "y"))])
    assert packed(body) == "<p>a</p><b>&lt;x&gt;</b><i>y</i>"


def test_marks_in_text_are_no_marks():
    assert packed(packable(tag("p", "<!--/pack-->"))) == "<p>&lt;!--/pack--&gt;</p>"


def test_what_is_too_much_is_packed_in_order_and_comes_out_as_it_was(monkeypatch):
    monkeypatch.setattr(packing, "MOST_PLAIN", 250)
    monkeypatch.setattr(packing, "_CHUNK", 150)
    parts = [tag("p", f"№ {place} {'x' * 80}") for place in range(9)]
    page = packed(Html("".join(f"<li>{packable(part)}</li>" for part in parts)))
    assert "<noscript>" in page
    lists = [
        json.loads(zlib.decompress(base64.b64decode(text)))
        for text in re.findall(r'<script type="text/plain" class="chunk">(.*?)</script>', page)
    ]
    assert len(lists) > 2
    boxes = re.findall(r'<li><div class="packed" data-chunk="(\d+)" data-place="(\d+)"></div></li>', page)
    assert [lists[int(chunk)][int(place)] for chunk, place in boxes] == parts[2:]
    assert all(part in page for part in parts[:2])
