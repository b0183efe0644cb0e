"""Trained models for other programs: ONNX graphs, Hugging Face folders, a page that translates in the browser."""
