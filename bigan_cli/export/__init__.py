"""Export of a detector as one graph that runs without bigan: ONNX, or a torch.export file."""
