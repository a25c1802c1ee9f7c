"""`python -m tests.cli.hold`: the console command, whatever the working directory."""

import sys

from commonhold.cli.main import main

sys.exit(main())
