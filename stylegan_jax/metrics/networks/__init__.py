"""Networks whose features the metrics compare.

- `detectors` is the table of detectors and loads one by its name.
- `detector` has the interface of a detector, and runs networks over devices.
- `inception`, `vgg` and `efficientnet` are the networks; `inception_weights`,
  `vgg_weights` and `efficientnet_weights` name the tensors in their files.
- `lpips` is the perceptual distance on top of VGG16.
- `resize` brings images to a network's input size.
- `published` finds the weights; `downloads` fetches them.
"""
