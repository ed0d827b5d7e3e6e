"""Lowered operators -> the passes that the accelerator runs for them.

    cpu_fallback      which operators the accelerator does not take
    decompose         composite operators as the operators it has
    transposes        TRANSPOSEs as permutations it does at once
    reshape_copies    copies before reshapes of what others read too
    kinds             operator kinds by what becomes of them
    shapes            shapes as the accelerator sees them
    aliases           which tensors share memory
    brick_format      which tensors cannot be in brick format
    storage           where the feature map of every tensor is, and in which format
    operator_pass     an operator as one pass
    stored_weights    the encoded weights of a pass
    split             an operator as several passes
    mean              a MEAN as sums
    resizing          RESIZE operators
    data_movement     operators that only move data
    chaining          operators that run on the output of the pass before
    sequence          all of it: the passes of a network in their order
"""
