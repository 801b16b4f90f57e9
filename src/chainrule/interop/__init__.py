"""Exchange with other programs: ONNX, TensorBoard, scikit-learn, data frames."""
