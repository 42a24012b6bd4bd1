"""`python -m regoal` is `regoal`."""

import sys

from regoal.cli import main

sys.exit(main())
