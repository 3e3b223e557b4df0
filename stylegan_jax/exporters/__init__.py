"""Networks as programs for other runtimes: StableHLO, ONNX, and a static web page."""
