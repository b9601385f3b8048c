"""Models as graphs that other programs run: ONNX files, and those of torch.export."""
