"""One Ray cluster for all tests that need one."""

from collections.abc import Iterator

import pytest

from support.cluster import Cluster, cluster


@pytest.fixture(scope="session")
def head() -> Iterator[Cluster]:
    """A cluster of one node at least."""
    with cluster() as found:
        yield found


@pytest.fixture
def two_nodes(head: Cluster) -> Cluster:
    """Of two nodes of one CPU each."""
    head.join()
    return head
