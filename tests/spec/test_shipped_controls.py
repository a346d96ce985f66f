"""Every transfer strategy of a shipped suite has a control that it can be told apart from."""

import pytest

from rl_transfer.spec import MatrixConfig, load, shipped
from rl_transfer.sweep.dispatch import SUITES


@pytest.mark.parametrize("name", shipped("suites"))
def test_every_transfer_strategy_of_a_shipped_suite_has_its_control(name: str) -> None:
    suite = load(name, SUITES, "suites", []).config
    assert isinstance(suite, MatrixConfig)
    served = {each for control in suite.strategies if control.control for each in control.control_for}
    transfers = {each.name for each in suite.strategies if each.needs_source and not each.control}
    assert transfers
    assert transfers <= served
    frozen = {each.name for each in suite.strategies if each.name in transfers and each.freeze}
    masks = {each.freeze for each in suite.strategies if each.control}
    for each in suite.strategies:
        assert each.name not in frozen or each.freeze in masks, "a control that freezes the same"
