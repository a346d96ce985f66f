"""What a module of hooks of one's own imports; the hooks themselves are in ``strategy/hooks.py``."""

from rl_transfer.rl.strategy.hooks import ArchitectureHook, BehaviourHook, HookContext, LossHook

__all__ = ["ArchitectureHook", "BehaviourHook", "HookContext", "LossHook"]
