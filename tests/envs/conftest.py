import pytest

from rl_transfer_envs.check import effect


@pytest.fixture(scope="module")
def few_repetitions():
    """The effect probe compares an environment with itself over a tenth of its steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effect, "_REPEATED", effect._REPEATED // 10)
        yield
