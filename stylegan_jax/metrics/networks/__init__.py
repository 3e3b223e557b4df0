"""Networks whose features the metrics compare.

detectors       the table of detectors; loads one by name
detector        the interface of a detector, and how a network runs over devices
inception, vgg  the networks; *_weights: the names of the tensors in their files
lpips           the perceptual distance on top of VGG16
resize          how images are brought to a network's input size
published       finds the weights, or downloads them with `downloads`
"""
