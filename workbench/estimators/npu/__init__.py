"""What an Ethos-U accelerator does with a lowered network, by its published rules.

    machine     what all of these need to know of an accelerator and its memories
    layout      where the maps of a lowered network are: views, parts of others, in bricks or not
    issue       lowered operators -> passes, in the order the accelerator issues them (weights: their bytes as stored)
    blocks      the tile a pass is cut into (blocks_u55, blocks_u85)
    cycles      cycles of a pass and of every memory it touches (cycles_u85: what differs there)
    cascades    passes made stripe by stripe, so that the maps between them stay near
    buffering   weights copied near before use
    ranges      from when to when every map is needed
    placement   which maps are near
    weights     stored bytes of weights from how their values are distributed
    network     all of it: cycles of every pass

The rules are those of the Vela compiler 5.2 (Apache-2.0), whose figures this predicts: see each file.
"""
