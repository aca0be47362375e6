"""Lets ``python -m qlstm`` stand for the command ``qlstm``."""

from .cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
