"""`python -m MonaiSKD` is the command `monai-skd`."""

from MonaiSKD.cli import run

if __name__ == "__main__":
    run()
