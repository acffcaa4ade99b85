"""Which context is this: classifiers, predicted losses and novelty, trained in JAX and carried as ONNX."""
