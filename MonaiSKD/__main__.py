"""`python -m MonaiSKD` is the command `monai-skd`."""

import sys

from MonaiSKD.cli import main

if __name__ == "__main__":
    sys.exit(main())
