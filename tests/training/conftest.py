"""Small tensors are fastest on one thread: a pool whose threads wait for busy cores takes fifty times as long."""

try:
    import torch
except ImportError:  # not installed beside Blender
    pass
else:
    torch.set_num_threads(1)
