"""Fine-tuning and distillation of large models: soul-mini's stages, by processes that share one."""
