"""What runs in the training environment: pre-flight, training, samples, exports.

``python -m llmops_kernel.finetune.worker run|preflight RUN.json``. Modules here import the standard
library until they are asked for work: backends decide what is imported first.
"""
