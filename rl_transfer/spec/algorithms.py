"""Algorithm configs: the hyperparameters of Stable-Baselines3's algorithms, under SB3's own names."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from rl_transfer.spec.base import (
    MOST,
    FiniteFloat,
    Frozen,
    JsonObject,
    JsonValue,
    KeyedValueError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
    at_most,
)
from rl_transfer.wording import shortened

MOST_WIDTH = 16_384
_WIDE = "one layer of that width and its gradients take gigabytes"
Width = Annotated[PositiveInt, at_most(MOST_WIDTH, _WIDE)]
Widths = Annotated[tuple[Width, ...], Field(max_length=64)]
Repeats = Annotated[PositiveInt, at_most(10_000, "it is repeated in every update")]
Steps = Annotated[PositiveInt, at_most(10_000_000, "all of a rollout is in memory")]
MOST_WEIGHTS = 2**28
"""Between the hidden layers of one network: a gigabyte, and three more for gradients and moments."""
MOST_RATE = 10
"""Of learning; weights of networks overflow a few updates beyond it."""


class LinearSchedule(Frozen):
    """A value that runs linearly from ``linear`` to ``final`` over the run's own budget."""

    linear: PositiveFloat
    """Value at the first step."""
    final: NonNegativeFloat = 0.0
    """Value at the last step."""


Rate = PositiveFloat | LinearSchedule


class Normalization(Frozen):
    """Running normalisation (SB3's ``VecNormalize``); the statistics travel in the policy bundle."""

    observation: bool = True
    """Whether observations are brought to mean 0 and standard deviation 1."""
    reward: bool = True
    """Whether rewards are divided by the standard deviation of the discounted return."""
    clip_observation: PositiveFloat = 10.0
    """Largest magnitude of a normalised observation."""
    clip_reward: PositiveFloat = 10.0
    """Largest magnitude of a normalised reward."""


class PolicyConfig(Frozen):
    """The network: SB3's ``policy_kwargs`` as data."""

    net_arch: Widths | dict[str, Widths] | None = None
    """Hidden widths, for both networks or by name (``pi``, ``vf`` or ``qf``); none: SB3's default."""
    activation: Literal["tanh", "relu", "elu", "leaky_relu", "silu", "gelu"] | None = None
    """Activation function; none: SB3's default for the algorithm."""
    ortho_init: bool | None = None
    """Orthogonal initialisation (on-policy algorithms)."""
    log_std_init: FiniteFloat | None = None
    """Initial log standard deviation of a Gaussian policy."""
    share_features_extractor: bool | None = None
    """Whether actor and critic share the features extractor."""
    n_critics: Annotated[PositiveInt, at_most(100, "each is a network of its own")] | None = None
    """Number of critics (SAC, TD3, DDPG, TQC)."""
    n_quantiles: Annotated[PositiveInt, at_most(10_000, "each is an output of every action")] | None = None
    """Number of quantiles (QR-DQN, TQC)."""
    features_extractor: str | None = None
    """Import path ``module:Class`` of a custom features extractor."""
    features_extractor_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its constructor arguments."""
    normalize_images: bool | None = None
    """Whether uint8 images are divided by 255 (SB3's default: yes)."""

    @field_validator("net_arch")
    @classmethod
    def _fits(cls, given: Widths | dict[str, Widths] | None) -> Widths | dict[str, Widths] | None:
        for widths in given.values() if isinstance(given, dict) else [given or ()]:
            weights = sum(before * after for before, after in itertools.pairwise(widths))
            if weights > MOST_WEIGHTS:
                raise ValueError(
                    f"got {shortened(str(list(widths)))}, which has {weights:,} weights between its layers, "
                    f"expected at most {MOST_WEIGHTS:,}: with gradients and moments they take 4 GiB"
                )
        return given

    @field_validator("features_extractor_kwargs")
    @classmethod
    def _narrow(cls, given: JsonObject) -> JsonObject:
        for name in ("features_dim", "cnn_output_dim"):
            width = given.get(name)
            if isinstance(width, (int, float)) and width > MOST_WIDTH:
                raise KeyedValueError(name, f"got {width:,}, expected at most {MOST_WIDTH:,}: {_WIDE}")
        return given


@dataclass(frozen=True)
class NetworkDefaults:
    """What SB3 builds where ``policy_kwargs`` say nothing; ``tests/rl`` holds it against SB3.

    Attributes:
        activation: activation function.
        widths: hidden widths of every network.
        cnn_widths: the same on the features of a NatureCNN.
        critic: what ``net_arch`` calls the critic; empty where it is no network of its own.
        share: whether actor and critic share the features extractor; None without a critic.
        critics: number of critics, where it can be chosen.
        quantiles: number of quantiles, likewise.
    """

    activation: Literal["tanh", "relu"]
    widths: tuple[int, ...]
    cnn_widths: tuple[int, ...]
    critic: Literal["vf", "qf", ""] = ""
    share: bool | None = None
    critics: int | None = None
    quantiles: int | None = None


class _Algorithm(Frozen):
    network_defaults: ClassVar[NetworkDefaults]
    policy: Literal["MlpPolicy", "CnnPolicy", "MultiInputPolicy"] = "MlpPolicy"
    policy_kwargs: PolicyConfig = PolicyConfig()
    n_envs: Annotated[PositiveInt, at_most(65_536, "each is an environment in memory")] = 1
    """Number of training environments stepped in lockstep."""
    gamma: Share = 0.99
    learning_rate: Rate = 3e-4
    normalize: Normalization | None = None

    @field_validator("learning_rate", check_fields=False)
    @classmethod
    def _bounded(cls, rate: Rate) -> Rate:
        first = max(rate.linear, rate.final) if isinstance(rate, LinearSchedule) else rate
        if first > MOST_RATE:
            raise ValueError(
                f"got {first:,}, expected at most {MOST_RATE}: weights overflow within a few updates"
            )
        return rate

    @property
    def step_multiple(self) -> int:
        """Budgets and evaluation intervals must be multiples of this many environment steps."""
        return self.n_envs


class _OnPolicy(_Algorithm):
    network_defaults = NetworkDefaults("tanh", (64, 64), (), "vf", share=True)
    n_steps: Steps
    """Steps of the vector environment between updates."""

    @property
    def step_multiple(self) -> int:
        """One rollout: ``n_steps × n_envs``."""
        return self.n_steps * self.n_envs


class PPOConfig(_OnPolicy):
    """Proximal policy optimisation (Schulman et al. 2017), SB3's defaults."""

    name: Literal["PPO"]
    n_steps: Steps = 2048
    batch_size: PositiveInt = 64
    n_epochs: Repeats = 10
    gae_lambda: Share = 0.95
    clip_range: Rate = 0.2
    clip_range_vf: Rate | None = None
    normalize_advantage: bool = True
    ent_coef: NonNegativeFloat = 0.0
    vf_coef: NonNegativeFloat = 0.5
    max_grad_norm: PositiveFloat = 0.5
    target_kl: PositiveFloat | None = None
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1, le=MOST)] = -1

    @model_validator(mode="after")
    def _check(self) -> PPOConfig:
        rollout = self.n_steps * self.n_envs
        if rollout % self.batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} does not divide the rollout of n_steps × n_envs = "
                f"{self.n_steps} × {self.n_envs} = {rollout}; the last minibatch would be truncated"
            )
        if rollout < 2:
            raise ValueError("n_steps × n_envs must be at least 2: one step has no advantage to normalise")
        return self


class A2CConfig(_OnPolicy):
    """Advantage actor-critic (Mnih et al. 2016), SB3's defaults."""

    name: Literal["A2C"]
    learning_rate: Rate = 7e-4
    n_steps: Steps = 5
    gae_lambda: Share = 1.0
    ent_coef: NonNegativeFloat = 0.0
    vf_coef: NonNegativeFloat = 0.5
    max_grad_norm: PositiveFloat = 0.5
    rms_prop_eps: PositiveFloat = 1e-5
    use_rms_prop: bool = True
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1, le=MOST)] = -1
    normalize_advantage: bool = False


class TRPOConfig(_OnPolicy):
    """Trust region policy optimisation (Schulman et al. 2015), sb3-contrib's defaults."""

    name: Literal["TRPO"]
    learning_rate: Rate = 1e-3
    n_steps: Steps = 2048
    batch_size: PositiveInt = 128
    cg_max_steps: Repeats = 15
    cg_damping: NonNegativeFloat = 0.1
    line_search_shrinking_factor: PositiveFloat = 0.8
    line_search_max_iter: Repeats = 10
    n_critic_updates: Repeats = 10
    gae_lambda: Share = 0.95
    normalize_advantage: bool = True
    target_kl: PositiveFloat = 0.01
    sub_sampling_factor: PositiveInt = 1
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1, le=MOST)] = -1

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves gSDE out at its default: ids and digests from before it stay as they were."""
        data: dict[str, JsonValue] = fields(self)
        for name in ("use_sde", "sde_sample_freq"):
            if getattr(self, name) == type(self).model_fields[name].default:
                data.pop(name, None)
        return data


class _OffPolicy(_Algorithm):
    buffer_size: Annotated[PositiveInt, at_most(10**8, "all of it is in memory")] = 1_000_000
    learning_starts: NonNegativeInt = 100
    """Environment steps of uniform-random actions before the first update of a from-scratch run."""
    batch_size: PositiveInt = 256
    train_freq: PositiveInt = 1
    """Steps of the vector environment between updates."""
    gradient_steps: Annotated[
        int, Field(ge=-1), at_most(10_000, "each is a pass through the networks in every update")
    ] = 1
    """Gradient steps per update; −1: as many as environment steps were taken."""

    @property
    def step_multiple(self) -> int:
        """One collection: ``train_freq × n_envs``."""
        return self.train_freq * self.n_envs


class _QLearning(_OffPolicy):
    network_defaults = NetworkDefaults("relu", (64, 64), ())
    learning_rate: Rate = 1e-4
    batch_size: PositiveInt = 32
    tau: Share = 1.0
    train_freq: PositiveInt = 4
    target_update_interval: PositiveInt = 10_000
    exploration_fraction: Share = 0.1
    exploration_initial_eps: Share = 1.0
    exploration_final_eps: Share = 0.05
    max_grad_norm: PositiveFloat = 10.0


class DQNConfig(_QLearning):
    """Deep Q-network (Mnih et al. 2015), SB3's defaults."""

    name: Literal["DQN"]


class QRDQNConfig(_QLearning):
    """Quantile-regression DQN (Dabney et al. 2018), sb3-contrib's defaults."""

    network_defaults = replace(_QLearning.network_defaults, quantiles=200)
    name: Literal["QRDQN"]
    learning_rate: Rate = 5e-5
    exploration_fraction: Share = 0.005
    exploration_final_eps: Share = 0.01
    max_grad_norm: PositiveFloat | None = None  # type: ignore[assignment]


class _Continuous(_OffPolicy):
    network_defaults = NetworkDefaults("relu", (256, 256), (256, 256), "qf", share=False, critics=2)
    tau: Share = 0.005
    action_noise_std: NonNegativeFloat = 0.0
    """Standard deviation of Gaussian exploration noise on the actions."""


class SACConfig(_Continuous):
    """Soft actor-critic (Haarnoja et al. 2018), SB3's defaults."""

    name: Literal["SAC"]
    ent_coef: NonNegativeFloat | Literal["auto"] = "auto"
    target_update_interval: PositiveInt = 1
    target_entropy: FiniteFloat | Literal["auto"] = "auto"
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1, le=MOST)] = -1


class TQCConfig(_Continuous):
    """Truncated quantile critics (Kuznetsov et al. 2020), sb3-contrib's defaults."""

    network_defaults = replace(_Continuous.network_defaults, quantiles=25)
    name: Literal["TQC"]
    ent_coef: NonNegativeFloat | Literal["auto"] = "auto"
    target_update_interval: PositiveInt = 1
    target_entropy: FiniteFloat | Literal["auto"] = "auto"
    top_quantiles_to_drop_per_net: NonNegativeInt = 2
    use_sde: bool = False
    sde_sample_freq: Annotated[int, Field(ge=-1, le=MOST)] = -1


class TD3Config(_Continuous):
    """Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018), SB3's defaults."""

    network_defaults = replace(_Continuous.network_defaults, widths=(400, 300))
    name: Literal["TD3"]
    learning_rate: Rate = 1e-3
    policy_delay: PositiveInt = 2
    target_policy_noise: NonNegativeFloat = 0.2
    target_noise_clip: NonNegativeFloat = 0.5


class DDPGConfig(_Continuous):
    """Deep deterministic policy gradient (Lillicrap et al. 2016), SB3's defaults."""

    network_defaults = replace(_Continuous.network_defaults, widths=(400, 300), critics=1)
    name: Literal["DDPG"]
    learning_rate: Rate = 1e-3


Algorithm = Annotated[
    PPOConfig
    | A2CConfig
    | TRPOConfig
    | DQNConfig
    | QRDQNConfig
    | SACConfig
    | TQCConfig
    | TD3Config
    | DDPGConfig,
    Field(discriminator="name"),
]
