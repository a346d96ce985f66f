import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded_single_thread():
    """One thread and a fixed seed per test; the global generator is put back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
