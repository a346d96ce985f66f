"""Input that nobody means, and what is said of it. Tests look at the words, ``make hostile`` at the cost."""

NAME = "a" * 300
BOMB = "\n".join(
    [f"b0: &b0 [{', '.join('x' * 9)}]"]
    + [f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]" for n in range(1, 9)]
)

OVERRIDES: list[tuple[str, str]] = [
    ("<<=3", "<<: unknown key '<<'"),
    ("==3", "expected key=value"),
    ("=", "expected key=value"),
    ("name==", "command line:1:1: '=': tag:yaml.org,2002:value is no tag of plain data"),
    ("analysis={<<: {q: 1}}", "merge keys and compound keys are not supported"),
    ("analysis={=: 1}", "analysis.=: unknown key '='"),
    ("kind=[rl]", "kind: got ['rl'], accepted: rl, image"),
    ("kind={rl: 1}", "kind: got {'rl': 1}, accepted: rl, image"),
    (f"name={NAME}", "expected at most 80 characters"),
    (f"targets.{NAME}={{env: {{id: CartPole-v1}}}}", "expected at most 80 characters"),
    (f"strategies.0={NAME}", "is no shipped config of strategies"),
    (f"env={NAME}.yaml", "no such file"),
    (f"analysis={'[' * 1000}{']' * 1000}", "more than 50 levels deep"),
    (f"{'a.' * 1000}a=1", "the key has 1001 steps"),
    (f"root_seed={'9' * 5000}", "cannot be read as int"),
    (f"root_seed=0x{'f' * 5000}", "whole numbers go up to 2^128 - 1"),
    (f"root_seed={2**128}", "whole numbers go up to 2^128 - 1"),
    ("strategies.²=1", "strategies is a list of 5; address an item by its index, 0 to 4"),
    (f"strategies.{'9' * 5000}=1", "address an item by its index"),
    ("seeds=1000000000", "got 1,000,000,000, expected at most 100,000: each is a run"),
    ("seeds=1e9", "got 1000000000.0, expected a whole number"),
    ("seeds=100000", "1 × 3 × 5 × 100,000, expected at most 1,000,000 places"),
    ("algorithm.policy_kwargs.net_arch=[1000000000]", "got 1,000,000,000, expected at most 16,384"),
    ("algorithm.policy_kwargs.net_arch=[16384, 16384, 16384]", "536,870,912 weights between its layers"),
    ("algorithm.policy_kwargs.net_arch={pi: [1000000000]}", "got 1,000,000,000, expected at most 16,384"),
    (f"algorithm.policy_kwargs.net_arch=[{'8, ' * 65}]", "at most 64 items"),
    (
        "algorithm.policy_kwargs.features_extractor_kwargs={features_dim: 1000000000}",
        "features_extractor_kwargs.features_dim: got 1,000,000,000, expected at most 16,384: one layer",
    ),
    (
        "algorithm.policy_kwargs.features_extractor_kwargs={cnn_output_dim: 1e9}",
        "features_extractor_kwargs.cnn_output_dim: got 1,000,000,000.0, expected at most 16,384",
    ),
    ("algorithm.n_epochs=1000000000", "n_epochs: got 1,000,000,000, expected at most 10,000"),
    ("algorithm.n_envs=1000000", "expected at most 65,536: each is an environment"),
    ("algorithm.learning_rate=1e9", "learning_rate: got 1,000,000,000.0, expected at most 10: weights"),
    ("algorithm.learning_rate={linear: 1e9}", "got 1,000,000,000.0, expected at most 10: weights"),
    ("evaluation.episodes=1000000000", "got 1,000,000,000, expected at most 100,000"),
    ("training.total_steps=10000000000000", "expected less than or equal to 1000000000000"),
    ("analysis.bootstrap=1000000000000", "expected less than or equal to 1000000"),
    ("analysis.delta=1e9", "expected less than or equal to 1"),
    ("summary=2020-99-99", "'2020-99-99' cannot be read as timestamp"),
    ('summary="\\ud800"', "has half a character"),
    ('summary="\\U99999999"', "not valid YAML"),
    ("\udcff=1", "expected key=value"),
    ("targets.longer-pole.severity=[" + "0.5, " * 101 + "]", "101 severities, expected at most 100"),
]
"""Overrides of the quickstart."""

FILES: list[tuple[str, str]] = [
    ("a: " + "[" * 1000 + "]" * 1000, "config.yaml:1:29: lists and maps more than 50 levels deep"),
    ("a: " + "{a: " * 1000 + "1" + "}" * 1000, "more than 50 levels deep"),
    ("\n".join(" " * level + "a:" for level in range(700)), "more than 50 levels deep"),
    (BOMB, "more than 10,000 keys and values; a config is a page, not a data set, aliases written out"),
    ("a: [" + "1," * 2_500_000 + "]", "larger than 256 KiB"),
    ("a: [" + "1," * 100_000 + "]", "more than 10,000 keys and values"),
    ("a: &a [*a]", "an alias that contains itself"),
    ("a: !!int x", "config.yaml:1:4: 'x' cannot be read as int"),
    ("a: " + "9" * 5000, "cannot be read as int"),
    ("<<: {a: 1}", "config.yaml:1:1: a key is a plain word; merge keys"),
    ("\n".join(f"k{number}: 1" for number in range(1000)), " more\n"),
    (
        "kind: image\nmodel: {name: torchvision, architecture: mobilenet_v2, kwargs: {width_mult: 1e6}}",
        "model.kwargs.width_mult: got 1,000,000.0, expected at most 4,096: no argument of an architecture",
    ),
    (
        "kind: image\nmodel: {name: timm, architecture: swin_tiny, kwargs: {img_size: 4096}}",
        "model.kwargs.img_size: img_size is 4096, more than 1,024 pixels",
    ),
    (
        "kind: image\nmodel: {name: timm, architecture: resnet18, kwargs: {input_size: [3, 2000, 2000]}}",
        "input_size is [3, 2000, 2000], more than 1,024 pixels",
    ),
    (
        "kind: image\nmodel: {name: timm, architecture: resnet18, kwargs: {a: [{depth: 1000000000}]}}",
        "model.kwargs.a.0.depth: got 1,000,000,000, expected at most 4,096",
    ),
    (
        "strategies: [" + "fine-tune," * 5_000 + "]",
        "more than 10,000 keys and values, those of the configs that are named",
    ),
]
"""Texts of a config."""

COMMANDS: list[tuple[list[str], int]] = [
    (["sweep", "./{}.yaml"], 3),
    (["sweep", "{}"], 3),
    (["train", "./{}.yaml"], 3),
    (["transfer", "cartpole-reversed", "--source", "{}"], 6),
    (["evaluate", "{}"], 6),
    (["evaluate", "{}", "--env", "{}"], 6),
    (["report", "{}"], 7),
    (["board", "{}"], 7),
    (["policies", "inspect", "{}"], 6),
    (["policies", "import", "{}", "-o", "{}"], 6),
    (["policies", "export", "{}", "--sb3", "{}"], 6),
    (["policies", "table", "{}"], 6),
    (["envs", "show", "{}"], 4),
    (["envs", "check", "{}"], 4),
    (["configs", "show", "{}"], 3),
    (["configs", "copy", "cartpole", "{}/x"], 7),
    (["{}"], 2),
    (["sweep", "--{}"], 2),
]
"""Commands with a name in them that nothing has, and their exit codes."""
