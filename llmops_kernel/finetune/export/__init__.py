"""What a trained model becomes: adapter, merged weights, GGUF, AWQ or GPTQ, an Ollama Modelfile.

`worker` runs in the training environment, beside torch. So this package imports the standard
library alone until one of its functions is called.
"""
