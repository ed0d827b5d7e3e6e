"""Measure the favourable multiple of channels of every Ethos-U accelerator and print the table that ships.

python tools/channel_multiples.py > workbench/hardware/channel_multiples.json      # some two minutes
"""

import json
import sys

from workbench.hardware import ETHOS_U, EthosU
from workbench.hardware.channel_multiple import measure_multiple

if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: measure_multiple(EthosU(name)) for name in ETHOS_U}, indent=1) + "\n")
