"""Cycles of one pass.

    compute         the MAC units and the output stage
    output_stage    the output stage per element
    transfers       bytes moved between the accelerator and its memories, and what short transfers cost
    access          elements a pass reads and writes, and the cycles of every memory
    u85             what differs on the U85
"""
