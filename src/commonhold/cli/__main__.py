"""`python -m commonhold.cli`: the command, for whoever has no `hold` on the path."""

import sys

from commonhold.cli.main import main

sys.exit(main())
