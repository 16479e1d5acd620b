"""`python -m lrat_hub.cli` is the `lrat` command."""

import sys

from lrat_hub.cli import main

sys.exit(main())
