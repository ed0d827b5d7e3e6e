"""What an Ethos-U accelerator does with a lowered network, by its published rules.

passes     lowered operators -> what the accelerator issues
blocks     the tile a pass is cut into
cycles     cycles of a pass and of every memory it touches
schedule   which maps and weights stay near, which passes run as a cascade

machine    what all of these need to know of an accelerator and its memories
"""
