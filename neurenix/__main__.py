"""Makes `python -m neurenix` the command line."""

import sys

from neurenix.cli import main

sys.exit(main())
