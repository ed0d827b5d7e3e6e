"""The analytic model: what an Ethos-U accelerator does with a lowered network, by its published rules.

    machine             the accelerator and its memories
    feature_map         shapes, and how they are stored
    passes              the operations the accelerator runs
    operators/          lowered operators -> passes
    blocks/             the blocks a pass is cut into
    weight_histogram    how weights are distributed
    weight_encoding     bytes of their encoded form
    cycles/             cycles of a pass and of every memory it touches
    schedule/           stripes, cascades, weight buffers, and what is near
    network             all of it: cycles of every pass, and the memory in use

The rules are those of the Vela compiler 5.2 (Apache-2.0), whose figures this predicts: see each file. Terms are the
compiler's: IFM and OFM are input and output feature maps, bricks the NHWCB16 format, near memory is its fast storage.
"""
