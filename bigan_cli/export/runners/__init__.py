"""Programs that score images with an exported ONNX file; each is copied as it is."""
