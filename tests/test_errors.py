"""The public exception tree and its exit codes are an interface."""

from rl_transfer import errors


def test_the_tree_and_its_exit_codes() -> None:
    found = {
        name: cls.exit_code
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.RLTransferError)
    }
    assert found == {
        "RLTransferError": 1, "ConfigError": 3, "EnvironmentSpecError": 4, "TransferError": 5,
        "FrozenTensorMoved": 5, "DataNotAtHand": 5, "ClassesDiffer": 5, "NothingUnseen": 5,
        "BundleError": 6, "StoreError": 7, "SweepFailed": 8, "MissingExtraError": 9,
        "Interrupted": 130, "ClusterError": 10,
    }  # fmt: skip
