"""How the passes of a network run: in stripes or whole, with which weights copied, and which feature maps near.

    dataflow            who writes and who reads every feature map
    input_buffering     which inputs of the network are copied near
    program             a machine, the passes of a network and their dataflow
    pass_schedule       one pass as scheduled: stripe, blocks, weight slices and what they cost
    striping            all passes as scheduled, and the cascades
    live_ranges         from when to when every feature map, rolling buffer and weight buffer is needed
    weight_buffering    which weights are copied near before use
    junctions           which passes can run stripe by stripe behind one another
    near_memory         near memory that passes need, and what lives beside them
    cascades            cascades of the smallest stripes
    stripe_heights      cascades of the highest stripes that fit
    placement           which feature maps are near
    scheduler           all of it in the compiler's order
"""
