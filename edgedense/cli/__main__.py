"""`python -m edgedense.cli`, which a service and tests call where no console script is installed."""

from edgedense.cli.app import main

main()
