"""Safe readers and writers of weight files; they know the formats, not the networks.

files          reads a file of any kind, with one style of error message
pickle         an unpickler that runs nothing; pickle_stubs: what stands for the objects
tf_networks    the networks in TensorFlow-era pickles (StyleGAN, StyleGAN2)
torch_modules  the networks in snapshots of stylegan2-ada-pytorch
torch_files    PyTorch's state dicts and TorchScript; torch_tensors: their tensors
safetensors    arrays in the safetensors format
layout         tables that map the names and axes of a file to ours
"""
