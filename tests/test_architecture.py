"""The import table of docs/architecture.md, enforced over the syntax trees."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EVERYWHERE = {
    "rl_transfer.bounded", "rl_transfer.errors", "rl_transfer.seeding", "rl_transfer.wording", "rl_transfer",
}  # fmt: skip
ROOMS = {
    "core": {"torch", "numpy", "safetensors"},
    "engine": {"numpy", "numba", "llvmlite", "scipy"},
    "spec": {"pydantic", "pydantic_core", "ruamel"},
    "results": {"rl_transfer.spec", "numpy"},
    "frame": {
        "rl_transfer.core", "rl_transfer.spec", "rl_transfer.results", "torch", "numpy", "safetensors",
        "tensorboard", "onnx", "onnxscript", "onnxruntime",
    },
    "rl": {
        "rl_transfer.frame", "rl_transfer.core", "rl_transfer.engine", "rl_transfer.spec",
        "rl_transfer.results", "rl_transfer_envs", "rl_transfer.hub",
        "stable_baselines3", "sb3_contrib", "torch", "numpy", "gymnasium", "huggingface_hub", "safetensors",
        "scipy", "numba",
    },
    "supervised": {
        "rl_transfer.frame", "rl_transfer.core", "rl_transfer.spec", "rl_transfer.results", "rl_transfer.hub",
        "torch", "numpy", "PIL", "pyarrow",
    },
    "image": {
        "rl_transfer.frame", "rl_transfer.supervised", "rl_transfer.core", "rl_transfer.spec",
        "rl_transfer.results", "torch",
        "torchvision", "timm", "numpy", "PIL", "sklearn", "skimage", "datasets", "matplotlib", "safetensors",
    },
    "text": {
        "rl_transfer.frame", "rl_transfer.supervised", "rl_transfer.core", "rl_transfer.spec",
        "rl_transfer.results", "torch", "transformers", "tokenizers", "sklearn", "numpy", "PIL",
        "safetensors",
    },
    "sweep": {"rl_transfer.frame", "rl_transfer.spec", "rl_transfer.results", "rl_transfer.hub", "rich"},
    "analysis": {"rl_transfer.spec", "rl_transfer.results", "numpy"},
    "api": {
        "rl_transfer.sweep", "rl_transfer.frame", "rl_transfer.tracking", "rl_transfer.hub",
        "rl_transfer.analysis", "rl_transfer.report", "rl_transfer.results", "rl_transfer.spec", "pydantic",
        "pandas", "torch", "rich", "numpy",
    },
    "report": {
        "rl_transfer.analysis", "rl_transfer.results", "rl_transfer.spec", "numpy", "matplotlib",
        "tensorboard",
    },
}  # fmt: skip
# Sub-rooms of a package, from the ground up: each imports itself and what stands before it.
SUB_ROOMS = {
    "rl_transfer.rl": (
        "sb3_seams", "environments", "policies", "sources", "strategy", "hooks", "compiled", "training",
        "scores", "publishing", "room", "agents",
    ),
    "rl_transfer.supervised": (
        "data", "arrow_tables", "seeds", "predictions",
        "figures", "splits", "classifier", "kind", "batches", "evaluate", "bundle",
        "sources", "measures", "seen", "series", "translate", "optimizers", "matching", "transfer",
        "exact_statistics", "loop",
        "curve", "features", "alignment", "realign", "probe", "diagnosis", "gaps", "checkpoint", "training",
        "scores", "run", "preflight", "onnx_graph", "publishing", "room",
    ),
    "rl_transfer.image": (
        "preprocessing", "heads", "parts", "resnet", "backbones", "checkpoints", "weight_files", "weights",
        "keras_library", "keras_legacy", "keras_graph", "keras_reading", "keras_network", "data", "pictures",
        "pixels", "plain", "room",
    ),
    "rl_transfer.text": ("fetch", "tokens", "encoders", "data", "pictures", "room"),
}  # fmt: skip
# The fork server's preload and the dispatch table are the two doors from sweep into rl; one module calls Ray.
DOORS = {
    "sweep/preload.py": {"torch", "stable_baselines3", "rl_transfer.rl"},
    "sweep/ray.py": {"ray"},  # the type of what was called
    "sweep/ray_link.py": {"ray"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(node.module or "")
            if node.module == "rl_transfer" or node.module in SUB_ROOMS:
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def violations(path: Path, room: str, allowed: set[str]) -> list[str]:
    own = f"rl_transfer.{room}"
    bad = []
    for name in imported(path):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or name in EVERYWHERE:
            continue
        if name == own or name.startswith(f"{own}."):
            continue
        if not any(name == each or name.startswith(f"{each}.") for each in allowed):
            bad.append(f"{path.relative_to(ROOT)} imports {name}")
    return bad


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_import_only_what_the_table_allows(room: str) -> None:
    bad = []
    for path in sorted((ROOT / "rl_transfer" / room).rglob("*.py")):
        relative = path.relative_to(ROOT / "rl_transfer").as_posix()
        bad += violations(path, room, ROOMS[room] | DOORS.get(relative, set()))
    assert not bad, "\n".join(bad)


def upward(path: Path, package: str, order: tuple[str, ...]) -> list[str]:
    """Imports of a module that go to a sub-room above its own."""
    own = path.relative_to(folder_of(package)).parts[0].removesuffix(".py")
    bad = []
    for name in imported(path):
        other = name.removeprefix(f"{package}.").partition(".")[0] if name.startswith(f"{package}.") else own
        if other in order and order.index(other) > order.index(own):
            bad.append(f"{path.relative_to(ROOT)} imports {name}: {own} stands below {other}")
    return bad


def folder_of(package: str) -> Path:
    return ROOT / ("envs" if package.startswith("rl_transfer_envs") else "") / package.replace(".", "/")


@pytest.mark.parametrize("package", sorted(SUB_ROOMS))
def test_sub_rooms_import_only_downward(package: str) -> None:
    order, folder = SUB_ROOMS[package], folder_of(package)
    found = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    found |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert found == set(order), "every module and folder of the package has its place in the order"
    paths = [path for name in order for path in module_files(folder, name)]
    bad = [each for path in paths for each in upward(path, package, order)]
    assert not bad, "\n".join(bad)


def module_files(folder: Path, name: str) -> list[Path]:
    return sorted((folder / name).rglob("*.py")) or [folder / f"{name}.py"]


def test_the_check_sees_an_import_upward() -> None:
    order = SUB_ROOMS["rl_transfer.rl"]
    path = ROOT / "rl_transfer" / "rl" / "strategy" / "apply.py"
    assert upward(path, "rl_transfer.rl", (order[4], *order[:4])), "strategy imports policies"
    assert not upward(path, "rl_transfer.rl", order)


def test_environments_stand_alone() -> None:
    allowed = {"numpy", "gymnasium", "rl_transfer_envs", "mujoco", "Box2D", "PIL"}
    bad = []
    for path in sorted((ROOT / "envs" / "rl_transfer_envs").rglob("*.py")):
        for name in imported(path):
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in allowed:
                bad.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not bad, "\n".join(bad)


def test_every_room_of_the_package_is_in_the_table() -> None:
    folders = {path.parent.name for path in (ROOT / "rl_transfer").glob("*/__init__.py")}
    assert folders - {"cli"} == set(ROOMS), "the command line may import everything, nothing imports it"


def test_the_command_line_reaches_runs_through_the_protocol_but_for_what_only_rl_has() -> None:
    paths = sorted((ROOT / "rl_transfer" / "cli").glob("*.py"))
    kinds = ("rl_transfer.rl", "rl_transfer.image", "rl_transfer.text", "rl_transfer.supervised")
    direct = {
        (path.name, name.split(".")[1]) for path in paths for name in imported(path) if name.startswith(kinds)
    }
    assert direct == {("policies.py", "rl"), ("environments.py", "rl")}, "docs/architecture.md says why"


def test_nothing_imports_the_command_line() -> None:
    outside = [
        p for p in (ROOT / "rl_transfer").rglob("*.py") if "cli" not in p.parts and p.stem != "__main__"
    ]
    assert not [path for path in outside if any("rl_transfer.cli" in name for name in imported(path))]


def test_the_check_sees_a_violation(tmp_path: Path) -> None:
    path = ROOT / "rl_transfer" / "spec" / "load.py"
    assert violations(path, "spec", set()), "spec.load imports pydantic; an empty allowance must refuse it"
