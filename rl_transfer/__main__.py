"""``python -m rl_transfer`` is ``rl-transfer``."""

from rl_transfer.cli import main

if __name__ == "__main__":
    main()
