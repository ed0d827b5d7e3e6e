"""`python -m workbench.cli`: the console script where it is not installed."""

from . import main

main()
