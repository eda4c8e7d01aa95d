"""``python -m graphcond`` is the ``graphcond`` command."""

from graphcond.cli import main

main()
