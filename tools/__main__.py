"""`python -m haltere.tools` is the `haltere` command."""

from haltere.tools.cli import main

main()
