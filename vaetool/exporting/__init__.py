"""Models as graphs that other programs run: files of ONNX and torch.export."""
