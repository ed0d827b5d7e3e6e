"""Block configurations: the block of the OFM a pass computes at a time, and the IFM block it reads for that.

    config               what a block configuration is
    select               the block configuration of a pass
    search               what the searches of all accelerators share
    u55                  U55 and U65
    u85                  U85: which search a pass takes, and the search of convolutions
    u85_engine           its MAC arrays and buffers
    u85_buffers          what fits its IFM buffer
    u85_cover            depthwise and pooling operators
    u85_elementwise      elementwise operators
"""
