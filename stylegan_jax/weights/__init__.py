"""Safe readers and writers of weight files, which know formats, not networks.

- `files` reads a file of any format, with one style of error message.
- `pickle` is an unpickler that runs nothing; `pickle_stubs` replaces the objects.
- `tf_networks` reads TensorFlow-era pickles (StyleGAN, StyleGAN2).
- `torch_modules` reads the snapshots of stylegan2-ada-pytorch.
- `torch_files` reads PyTorch's state dicts and TorchScript, `torch_tensors` tensors.
- `safetensors` reads and writes arrays in that format.
- `layout` has the tables that map the names and axes of a file to ours.
"""
