"""A user's hooks under check: their signatures when they are built, what they raise and give when called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Literal, cast

import gymnasium as gym
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from rl_transfer.core import PartMap
from rl_transfer.errors import ConfigError, RLTransferError, TransferError
from rl_transfer.frame.state import CannotCapture
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.spaces import Env, same
from rl_transfer.rl.policies.algorithms import import_object
from rl_transfer.rl.strategy.architecture import optimizers
from rl_transfer.rl.strategy.hook_state import STATE, Stateful, offered, why_not_the_same, written
from rl_transfer.wording import listing, what_was_raised

HookKind = Literal["loss", "behaviour", "architecture"]

METHODS: dict[HookKind, tuple[str, tuple[str, ...]]] = {
    "loss": ("loss", ("model", "parts", "progress")),
    "behaviour": ("wrap", ("env",)),
    "architecture": ("build", ("model", "parts")),
}
"""What a hook of each kind must offer: its method, and what that is called with."""


class CheckedHook:
    """One hook of a user's, of any kind: what is wrong with it is said in terms of its contract.

    Args:
        path: ``module:Class``, as the config has it.
        kind: of the hook.
        context: what the class is built with.

    Attributes:
        kind: of the hook.

    Raises:
        ConfigError: there is no such class, it cannot be built with a context, it lacks the method
            of its kind with the arguments of its kind, or it offers half of a state.
    """

    def __init__(self, path: str, kind: HookKind, context: object) -> None:
        self.kind: HookKind = kind
        self._path, self._key = path, f"strategy.hooks.{kind}"
        name, arguments = METHODS[kind]
        self._call = f"{name}({', '.join(arguments)})"
        maker = import_object(path, self._key)
        if not callable(maker):
            raise ConfigError(
                f"{path} is a {type(maker).__name__}; a {kind} hook is a class, built with a HookContext",
                key=self._key,
            )
        self._refuse_other_arguments(
            maker, ("context",), "is built with one argument, def __init__(self, context)"
        )
        try:
            hook: object = maker(context)
        except RLTransferError:
            raise
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{path} cannot be built: {what_was_raised(error)}", key=self._key) from error
        method = getattr(hook, name, None)
        if not callable(method):
            raise ConfigError(f"{path} has no method {name!r}, which a {kind} hook needs", key=self._key)
        self._refuse_other_arguments(
            method, arguments, f"is called with def {name}(self, {', '.join(arguments)})", f".{name}"
        )
        self._reaches = False
        self._method: Callable[..., object] = method
        self._state = self._stateful(hook)

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        """See :meth:`rl_transfer.rl.strategy.hooks.LossHook.loss`.

        Args:
            model: in training.
            parts: the named parts of ``model.policy``.
            progress: share of the budget spent, 0 to 1.

        Returns:
            The hook's term, of shape (); None if it gave none.

        Raises:
            TransferError: the hook raised, or gave no scalar, none with a gradient, or no number.
        """
        term = self._called(model, parts, progress, model=model)
        if term is None:
            return None
        if not isinstance(term, Tensor) or term.numel() != 1:
            what = f"of shape {[*term.shape]}" if isinstance(term, Tensor) else type(term).__name__
            kind = "a tensor " if isinstance(term, Tensor) else ""
            raise self._wrong(f"gave {kind}{what}; expected is a scalar tensor, or None for nothing to add")
        if not term.requires_grad and all(each.requires_grad for each in model.policy.parameters()):
            raise self._wrong(
                "gave a number without gradient, which changes nothing: compute it from model.policy's "
                "parameters without detach, item or no_grad, or give None"
            )
        if term.requires_grad and not self._reaches:
            self._refuse_out_of_reach(term, [*model.policy.parameters()])
        if not torch.isfinite(term).all():
            raise self._wrong(
                f"gave {term.item()} at {progress:.0%} of the budget; expected is a finite number"
            )
        return term.reshape(())

    def wrap(self, env: Env) -> Env:
        """See :meth:`rl_transfer.rl.strategy.hooks.BehaviourHook.wrap`.

        Args:
            env: one training environment.

        Returns:
            What the hook made of it, with the same spaces.

        Raises:
            TransferError: the hook raised, gave no environment, or one of other spaces.
        """
        wrapped = self._called(env)
        if not isinstance(wrapped, gym.Env):
            raise self._wrong(
                f"gave {'None' if wrapped is None else type(wrapped).__name__}; expected is the wrapped "
                "environment, such as a gymnasium.Wrapper"
            )
        for what in ("observation_space", "action_space"):
            has, had = getattr(wrapped, what), getattr(env, what)
            if not same(has, had):
                raise self._wrong(
                    f"changed the {what.replace('_', ' ')} from {had} to {has}; evaluation environments are "
                    "never wrapped, so the policy would not fit them"
                )
        return wrapped

    def build(self, model: BaseAlgorithm, parts: PartMap) -> None:
        """See :meth:`rl_transfer.rl.strategy.hooks.ArchitectureHook.build`.

        Args:
            model: fresh, its tensors copied.
            parts: the named parts of ``model.policy``.

        Raises:
            TransferError: the hook raised, or added parameters that no optimizer steps.
        """
        before = {id(each) for each in model.policy.parameters()}
        self._called(model, parts, model=model)
        sb3_seams.renew_network_aliases(model)
        stepped = {
            id(each) for own in optimizers(model) for group in own.param_groups for each in group["params"]
        }
        idle = [
            name
            for name, each in model.policy.named_parameters()
            if each.requires_grad and id(each) not in before | stepped and "_target." not in name
        ]
        if idle:
            raise self._wrong(
                f"added parameters that no optimizer steps: {listing(idle)}. Give them to one "
                "(model.policy.optimizer.add_param_group, off-policy that of model.actor or model.critic), "
                "or set their requires_grad to False"
            )

    @property
    def keeps_state(self) -> bool:
        """Whether the hook says itself what it keeps, for checkpoints."""
        return self._state is not None

    def state(self) -> dict[str, object]:
        """What the hook keeps, as plain data.

        Returns:
            A copy; {} for a hook that offers none.

        Raises:
            TransferError: the hook raised, or gave something else.
        """
        if self._state is None:
            return {}
        try:
            return written(self._state)
        except CannotCapture as error:
            raise self._wrong(f"gave a state that is no plain data: {error}", "state_dict()") from error
        except (Exception, SystemExit) as error:
            raise self._wrong(f"raised {what_was_raised(error)}", "state_dict()") from error

    def load(self, state: dict[str, object]) -> None:
        """Have the hook go on from a state.

        Args:
            state: what :meth:`state` gave.

        Raises:
            TransferError: the hook raised.
        """
        if self._state is None:
            return
        try:
            self._state.load_state_dict(state)
        except (Exception, SystemExit) as error:
            raise self._wrong(f"raised {what_was_raised(error)}", "load_state_dict(state)") from error

    def check_state(self, other: CheckedHook) -> None:
        """See that what the hook offers makes a fresh one say the same of itself.

        Args:
            other: built alike; not used afterwards.

        Raises:
            TransferError: it does not, or the hook raised.
        """
        if self._state is None or other._state is None:
            return
        try:
            reason = why_not_the_same(self._state, other._state)
        except RLTransferError:
            raise
        except (Exception, SystemExit) as error:
            raise self._wrong(
                f"raised {what_was_raised(error)}", "state_dict() or load_state_dict(state)"
            ) from error
        if reason is not None:
            raise self._wrong(reason, "state_dict()")

    def _stateful(self, hook: object) -> Stateful | None:
        """The hook as one that offers its state, if it does; half an offer is refused."""
        found = offered(hook) if self.kind != "architecture" else []
        for name in found:
            arguments = STATE[name]
            self._refuse_other_arguments(
                getattr(hook, name),
                arguments,
                f"with a state is called with def {name}({', '.join(('self', *arguments))})",
                f".{name}",
            )
        if len(found) == 1:
            (other,) = STATE.keys() - set(found)
            raise ConfigError(
                f"{self._path} has a method {found[0]!r} and no {other!r} of its own: checkpoints need both",
                key=self._key,
            )
        return cast("Stateful", hook) if found else None

    def _refuse_out_of_reach(self, term: Tensor, parameters: list[Tensor]) -> None:
        """Refuse a first term whose gradient reaches no parameter, unless some are frozen."""
        trained = [each for each in parameters if each.requires_grad]
        found = torch.autograd.grad(term.sum(), trained, allow_unused=True, retain_graph=True)
        if len(trained) == len(parameters) and all(each is None for each in found):
            raise self._wrong(
                "gave a number that depends on none of model.policy's parameters, which changes nothing"
            )
        self._reaches = True

    def _called(self, *arguments: object, model: BaseAlgorithm | None = None) -> object:
        try:
            return self._method(*arguments)
        except RLTransferError:
            raise
        except (Exception, SystemExit) as error:
            hint = ""
            if model is not None:
                name = type(model).__name__
                hint = f"; model is Stable-Baselines3's {name}, and its networks are model.policy"
            raise self._wrong(f"raised {what_was_raised(error)}{hint}") from error

    def _wrong(self, what: str, call: str | None = None) -> TransferError:
        return TransferError(f"{self._path}: {call or self._call} {what}", key=self._key)

    def _refuse_other_arguments(
        self, called: Callable[..., object], arguments: tuple[str, ...], contract: str, of: str = ""
    ) -> None:
        try:
            signature = inspect.signature(called)
        except (TypeError, ValueError):  # written in C: it does not say
            return
        try:
            signature.bind(*arguments)
        except TypeError:
            raise ConfigError(
                f"{self._path}{of} takes {signature}, but a {self.kind} hook {contract}", key=self._key
            ) from None
