import argparse
import sys
from pathlib import Path

from scrm.i18n.commands import add_arguments, run

parser = argparse.ArgumentParser(prog="python -m scrm.i18n")
add_arguments(parser)
options = parser.parse_args()
sys.exit(run(Path(__file__).resolve().parents[2], options.verb, options.file, options.check, print))
