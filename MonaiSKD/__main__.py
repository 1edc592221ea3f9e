"""`python -m MonaiSKD` is the command `monai-skd`."""

import sys

from MonaiSKD.cli import main

sys.exit(main())
