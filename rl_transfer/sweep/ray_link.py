"""The connection to a Ray cluster: functions called on its nodes, their answers one after the other.

The only module that knows Ray.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar

from rl_transfer.errors import ClusterError, MissingExtraError
from rl_transfer.sweep import nodes
from rl_transfer.sweep.stops import SIGNALS

if TYPE_CHECKING:
    from types import ModuleType

    from ray import ObjectRef

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Alive:
    """A node as the cluster knows it."""

    id: str
    address: str
    resources: dict[str, float]


class RayLink:
    """A connection; the cluster itself is left as it is.

    Args:
        address: ``auto``, or ``host:port`` of the cluster's head.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: there is no cluster at the address.
    """

    def __init__(self, address: str) -> None:
        self._ray = _import_ray()
        self._remote = cache(self._ray.remote)  # anew, it would be sent to the whole cluster each time
        self._events: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._connect(address)

    def _connect(self, address: str) -> None:
        if address.startswith("ray://"):
            raise ClusterError(
                f"--address {address}: a sweep runs on a node of its cluster, not through a Ray client; log "
                "in there and give auto, or host:port"
            )
        if ":" in address:
            nodes.knock(address)
        try:
            with _signals_as_they_are():
                self._ray.init(address=address, log_to_driver=False, logging_level="CRITICAL")
        except (ConnectionError, ValueError, RuntimeError, self._ray.exceptions.RayError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ClusterError(
                f"no Ray cluster at {address}: {reason}; `ray start --head` starts one, and this machine "
                "must be one of its nodes"
            ) from None

    def nodes(self) -> list[Alive]:
        """The nodes that are alive.

        Returns:
            Each with its resources, as Ray names them.
        """
        return [
            Alive(each["NodeID"], each["NodeManagerAddress"], each["Resources"])
            for each in self._ray.nodes()
            if each["Alive"]
        ]

    def patiently(self) -> contextlib.AbstractContextManager[object]:
        """Passes over what Ray raises in the body, as while the head is out of reach."""
        return contextlib.suppress(self._ray.exceptions.RayError)

    def on(
        self, node: str, function: Callable[..., Answer], cpus: float = 0.0, gpus: float = 0.0
    ) -> Callable[..., ObjectRef[Answer]]:
        """A function, to be executed on one node; it is not tried again by itself.

        Args:
            node: its id.
            function: at the top of a module.
            cpus: that it takes there.
            gpus: that it takes there.

        Returns:
            What calls it there; the answer comes later.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = self._remote(function).options(
            num_cpus=cpus,
            num_gpus=gpus,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        )
        call: Callable[..., ObjectRef[Answer]] = options.remote
        return call

    def then(self, ref: ObjectRef[Answer], handle: Callable[[Future[Answer]], None]) -> None:
        """Handle an answer in the thread that calls :meth:`handle_next`.

        Args:
            ref: what was called.
            handle: gets the answer, or what was raised.
        """
        ref.future().add_done_callback(lambda done: self._events.put(partial(handle, done)))

    def handle_next(self, timeout: float | None = None) -> None:
        """Wait for the next answer and handle it.

        Args:
            timeout: seconds to wait at most; None: however long it takes.
        """
        with contextlib.suppress(queue.Empty):
            event = self._events.get(timeout=timeout)
            if event is not None:
                event()

    def wake(self) -> None:
        """Have :meth:`handle_next` return though no answer came."""
        self._events.put(None)

    def put(self, content: bytes) -> ObjectRef[bytes]:
        """Bytes in the cluster's store, for every node that asks for them.

        Args:
            content: of any size that the store takes.
        """
        found: ObjectRef[bytes] = self._ray.put(content)
        return found

    def cancel(self, ref: ObjectRef[Answer]) -> None:
        """End what was called, with its process.

        Args:
            ref: from ``remote``.
        """
        self._ray.cancel(ref, force=True)

    def raised(self, error: BaseException) -> bool:
        """Whether the function itself raised this; else its node or its process was lost.

        Args:
            error: of an answer.
        """
        return isinstance(error, self._ray.exceptions.RayTaskError)

    def leave(self) -> None:
        """Disconnect."""
        self._ray.shutdown()


@contextlib.contextmanager
def _signals_as_they_are() -> Iterator[None]:
    """Put handlers back that the body replaces: Ray's ends the process at SIGTERM."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def _import_ray() -> ModuleType:
    # Ray's own lines belong into its logs; by default some are printed here, whatever init() is told.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--executor ray needs Ray: pip install 'rl-transfer[ray]'") from None
    library: ModuleType = ray
    return library
