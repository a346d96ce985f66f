"""JSON of strangers is refused beyond a depth."""

import json

import pytest

from rl_transfer import bounded


def nested(levels, innermost):
    for _ in range(levels - 1):
        innermost = [innermost] if levels % 2 else {"a": innermost}
    return json.dumps(innermost).encode()


@pytest.mark.parametrize("innermost", [[1], {"a": 1}, []])
def test_what_is_nested_as_deep_as_is_allowed_is_read_and_one_level_more_is_not(innermost):
    content = nested(bounded.DEEPEST, innermost)
    assert json.dumps(bounded.parse_json(content)).encode() == content
    with pytest.raises(ValueError, match="more than 100 levels deep"):
        bounded.parse_json(nested(bounded.DEEPEST + 1, innermost))


@pytest.mark.parametrize("content", [b"1", b'"text"', b"null", b"[]", b'{"a": [1, {"b": 2}]}'])
def test_what_is_shallow_is_what_it_says(content):
    assert bounded.parse_json(content) == json.loads(content)
